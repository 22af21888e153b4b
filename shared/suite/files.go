package suite

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"bldst/shared/build"
	"bldst/shared/problem"
)

var fileTests = []test{
	{"a file goes up in parts, is registered once and comes down as it was", wholeFile},
	{"an upload that is not complete registers nothing and says what is missing", incompleteFile},
	{"an interrupted upload goes on where it was", interruptedFile},
	{"the bucket takes only the bytes that were promised", promisedBytes},
	{"a signed request is good for what it was signed for", signedRequests},
	{"an upload can be thrown away", abortedFile},
	{"an upload of a replaced attempt registers nothing", replacedAttempt},
	{"a file that is uploaded again is the same artifact, and another one takes its place until its state is done", uploadedAgain},
	{"what lies elsewhere has no download", elsewhere},
	{"uploads that cannot be are refused and name the field", badUploads},
}

// An uploading is an upload that a test sends parts of.
type uploading struct {
	s     *session
	at    string // its path
	size  int64  // of its parts
	parts []build.Part
	bytes []byte
}

const minPart = 5 << 20

// newUpload begins to upload a file of a build.
func (s *session) newUpload(t *testing.T, b, name string, more obj) *uploading {
	t.Helper()
	r := s.dev.post(t, "/builds/"+b+"/uploads", with(obj{"artifact_name": name, "state_code": 5, "part_size": minPart}, more)).is(http.StatusCreated)
	return &uploading{s: s, at: "/builds/" + b + "/uploads/" + r.id(), size: minPart}
}

func crcOf(b []byte) string {
	return build.CRC32C(crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

// part returns what is said of a part.
func (u *uploading) part(number int, b []byte) obj {
	return obj{"part_number": number, "size_bytes": len(b), "checksum_crc32c": crcOf(b)}
}

// sign returns the request that uploads a part of these bytes.
func (u *uploading) sign(t *testing.T, c caller, number int, b []byte) build.Signed {
	t.Helper()
	var out build.SignedParts
	c.post(t, u.at+"/parts", obj{"parts": []obj{u.part(number, b)}}).is(http.StatusOK).as(&out)
	if len(out.Parts) != 1 || out.Parts[0].Number != number {
		t.Fatalf("asked for part %d, got %+v", number, out.Parts)
	}
	u.s.secret(signatureOf(out.Parts[0].URL))
	return out.Parts[0].Signed
}

// signatureOf is the part of a signed URL that makes it good.
func signatureOf(link string) string {
	l, _ := url.Parse(link)
	q := l.Query()
	return q.Get("signature") + q.Get("X-Amz-Signature")
}

// do makes a signed request and returns the status and the body.
func (s *session) do(t *testing.T, r build.Signed, b []byte, header ...string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), r.Method, r.URL, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range r.Headers {
		req.Header.Set(k, v)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, out
}

// put sends b in parts.
func (u *uploading) put(t *testing.T, c caller, b []byte) {
	t.Helper()
	u.bytes = b
	for p := range slices.Chunk(b, int(u.size)) {
		n := len(u.parts) + 1
		if status, body := u.s.do(t, u.sign(t, c, n, p), p); status != http.StatusOK {
			t.Fatalf("part %d: %d %s", n, status, body)
		}
		u.parts = append(u.parts, build.Part{Number: n, Size: int64(len(p)), CRC32C: crcOf(p)})
	}
}

// whole is the body that completes the upload of what was put.
func (u *uploading) whole() obj {
	sum := sha256.Sum256(u.bytes)
	return obj{"size_bytes": len(u.bytes), "checksum": hex.EncodeToString(sum[:]), "checksum_crc32c": build.Composite(u.parts)}
}

// twoParts are bytes that need two parts.
func twoParts() []byte { return bytes.Repeat([]byte("0123456789abcde\n"), minPart/16+1000) }

func wholeFile(t *testing.T, s *session) {
	b := s.newBuild(t, nil)
	u := s.newUpload(t, b, "root fs/ä", obj{"state_code": 25})
	s.reader.get(t, u.at).is(http.StatusOK).has(obj{"artifact_name": "root fs/ä", "state_code": 25, "attempt": 1, "part_size": minPart, "artifact_id": nil})
	u.put(t, s.dev, twoParts())
	body := with(u.whole(), obj{"artifact_type": "disk_image", "metadata": obj{"os": "rhel"}, "is_final": true})
	r := s.dev.post(t, u.at+"/complete", body).is(http.StatusCreated).keys(artifactKeys).has(obj{"build_id": b, "state_code": 25, "artifact_name": "root fs/ä",
		"artifact_type": "disk_image", "size_bytes": len(u.bytes), "checksum": body["checksum"], "checksum_algorithm": "sha256", "is_resumable": true, "is_final": true, "attempt": 1, "metadata": obj{"os": "rhel"}})
	s.dev.post(t, u.at+"/complete", body).is(http.StatusOK).has(r.obj())
	s.reader.get(t, u.at).is(http.StatusOK).has(obj{"artifact_id": r.id()})
	s.reader.get(t, u.at+"/parts").is(http.StatusOK)
	if open := s.reader.get(t, "/builds/"+b+"/uploads").is(http.StatusOK).list(); len(open) != 0 {
		t.Errorf("a complete upload is listed: %v", open)
	}
	s.dev.post(t, u.at+"/parts", obj{"parts": []obj{u.part(1, u.bytes[:5])}}).refused(http.StatusConflict, problem.Conflict, "complete", r.id())
	s.dev.delete(t, u.at).refused(http.StatusConflict, problem.Conflict, "complete", r.id())
	for _, ref := range []string{r.id(), url.PathEscape("root fs/ä")} {
		var d build.Download
		s.reader.get(t, "/builds/"+b+"/downloads/"+ref).is(http.StatusOK).as(&d)
		s.secret(signatureOf(d.URL))
		if status, got := s.do(t, d.Signed, nil); status != http.StatusOK || !bytes.Equal(got, u.bytes) {
			t.Errorf("%s: %d with %d bytes, want those that were sent", ref, status, len(got))
		}
		if status, got := s.do(t, d.Signed, nil, "Range", "bytes=5-9"); status != http.StatusPartialContent || string(got) != "56789" {
			t.Errorf("a range of it: %d %q", status, got)
		}
		if d.Artifact.ID != r.id() || *d.Artifact.Size != int64(len(u.bytes)) {
			t.Errorf("the download says %+v", d.Artifact)
		}
	}
	s.dev.get(t, "/builds/"+b+"/history").is(http.StatusOK)
}

func incompleteFile(t *testing.T, s *session) {
	b := s.newBuild(t, nil)
	u := s.newUpload(t, b, "half", nil)
	s.dev.post(t, u.at+"/complete", with(u.whole(), obj{"size_bytes": 10})).refused(http.StatusConflict, problem.Conflict, "0 of 10 bytes")
	all := twoParts()
	u.put(t, s.dev, all[:minPart])
	s.dev.post(t, u.at+"/complete", with(u.whole(), obj{"size_bytes": len(all)})).refused(http.StatusConflict, problem.Conflict, fmt.Sprintf("%d of %d bytes", minPart, len(all)))
	s.dev.post(t, u.at+"/complete", with(u.whole(), obj{"checksum_crc32c": "AAAAAA==-1"})).refused(http.StatusConflict, problem.Conflict, "not the ones that were sent")
	s.dev.post(t, u.at+"/complete", with(u.whole(), obj{"checksum": "abc"})).invalid("checksum")
	gap := s.newUpload(t, b, "gap", nil)
	for _, n := range []int{1, 3} {
		if status, body := s.do(t, gap.sign(t, s.dev, n, all[:minPart]), all[:minPart]); status != http.StatusOK {
			t.Fatalf("part %d: %d %s", n, status, body)
		}
	}
	s.dev.post(t, gap.at+"/complete", with(u.whole(), obj{"size_bytes": 2 * minPart})).refused(http.StatusConflict, problem.Conflict, "part 2 of 3 is missing")
	known := s.newUpload(t, b, "known", obj{"size_bytes": 100})
	known.put(t, s.dev, all[:60])
	s.dev.post(t, known.at+"/complete", known.whole()).invalid("size_bytes")
	if got := s.dev.get(t, "/builds/"+b+"/artifacts").is(http.StatusOK).list(); len(got) != 0 {
		t.Errorf("what is not complete was registered: %v", got)
	}
	s.reader.get(t, "/builds/"+b+"/downloads/half").refused(http.StatusNotFound, problem.NotFound, "half")
}

func interruptedFile(t *testing.T, s *session) {
	b := s.newBuild(t, nil)
	u := s.newUpload(t, b, "cut", obj{"size_bytes": len(twoParts())})
	u.put(t, s.dev, twoParts()[:minPart])
	body := obj{"artifact_name": "cut", "state_code": 5, "part_size": minPart, "size_bytes": len(twoParts())}
	s.dev.post(t, "/builds/"+b+"/uploads", body).is(http.StatusOK).has(obj{"id": strings.TrimPrefix(u.at, "/builds/"+b+"/uploads/")})
	if open := s.reader.get(t, "/builds/"+b+"/uploads").is(http.StatusOK).list(); len(open) != 1 {
		t.Errorf("open uploads: %v", open)
	}
	s.reader.get(t, u.at+"/parts").is(http.StatusOK)
	parts := s.reader.get(t, u.at+"/parts?limit=1").is(http.StatusOK)
	if got := parts.list(); len(got) != 1 || got[0]["part_number"] != 1.0 || got[0]["size_bytes"] != float64(minPart) || got[0]["checksum_crc32c"] != u.parts[0].CRC32C {
		t.Errorf("parts %v, want %+v", got, u.parts)
	}
	rest := twoParts()[minPart:]
	if status, answer := s.do(t, u.sign(t, s.dev, 2, rest), rest); status != http.StatusOK {
		t.Fatalf("%d %s", status, answer)
	}
	u.parts, u.bytes = append(u.parts, build.Part{Number: 2, Size: int64(len(rest)), CRC32C: crcOf(rest)}), twoParts()
	if got := s.reader.walk(t, u.at+"/parts?limit=1"); len(got) != 2 {
		t.Errorf("parts page by page: %v", got)
	}
	s.dev.post(t, u.at+"/complete", u.whole()).is(http.StatusCreated)
	s.newUpload(t, b, "cut", obj{"size_bytes": len(twoParts())}) // what is complete is not gone on with
}

func promisedBytes(t *testing.T, s *session) {
	b := s.newBuild(t, nil)
	u := s.newUpload(t, b, "promise", nil)
	good := []byte("what was promised")
	if status, body := s.do(t, u.sign(t, s.dev, 1, good), good); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	for name, other := range map[string][]byte{"other bytes": []byte("what was pr0mised"), "more": append(slices.Clone(good), '!'), "fewer": good[:5]} {
		if status, _ := s.do(t, u.sign(t, s.dev, 2, good), other); status < 400 || status >= 500 {
			t.Errorf("%s: %d", name, status)
		}
	}
	if got := s.reader.get(t, u.at+"/parts").is(http.StatusOK).list(); len(got) != 1 {
		t.Errorf("parts %v, want the first alone", got)
	}
}

func signedRequests(t *testing.T, s *session) {
	b := s.newBuild(t, nil)
	u := s.newUpload(t, b, "signed", nil)
	r := u.sign(t, s.dev, 1, []byte("x"))
	for name, other := range map[string]build.Signed{
		"without its query": {Method: r.Method, URL: strings.SplitN(r.URL, "?", 2)[0], Headers: r.Headers},
		"another method":    {Method: http.MethodGet, URL: r.URL, Headers: r.Headers},
		"another signature": {Method: r.Method, URL: strings.Replace(r.URL, signatureOf(r.URL), strings.Repeat("0", 64), 1), Headers: r.Headers},
	} {
		if status, body := s.do(t, other, []byte("x")); status != http.StatusForbidden && status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	s.reader.post(t, u.at+"/parts", obj{"parts": []obj{u.part(1, []byte("x"))}}).is(http.StatusForbidden)
}

func abortedFile(t *testing.T, s *session) {
	b := s.newBuild(t, nil)
	u := s.newUpload(t, b, "away", nil)
	u.put(t, s.dev, []byte("x"))
	r := u.sign(t, s.dev, 1, []byte("x"))
	s.dev.delete(t, u.at).is(http.StatusNoContent)
	s.dev.get(t, u.at).refused(http.StatusNotFound, problem.NotFound, "Upload", b)
	s.dev.post(t, u.at+"/complete", u.whole()).is(http.StatusNotFound)
	s.dev.delete(t, u.at).is(http.StatusNotFound)
	if status, body := s.do(t, r, []byte("x")); status != http.StatusNotFound {
		t.Errorf("a part of it afterwards: %d %s", status, body)
	}
	s.dev.get(t, "/builds/no-such/uploads").refused(http.StatusNotFound, problem.NotFound, "Build no-such not found")
}

func replacedAttempt(t *testing.T, s *session) {
	b := s.newBuild(t, nil)
	u := s.newUpload(t, b, "stale", nil)
	u.put(t, s.dev, []byte("half of it"))
	s.dev.post(t, "/builds/"+b+"/failure", obj{"state_code": 5, "error_message": "gone"}).is(http.StatusOK)
	s.dev.post(t, "/builds/"+b+"/state", obj{"state_code": 5, "status": "in_progress"}).is(http.StatusOK).has(obj{"attempt": 2})
	s.dev.post(t, u.at+"/complete", u.whole()).refused(http.StatusConflict, problem.StaleAttempt, "attempt 2")
	s.dev.post(t, u.at+"/complete", with(u.whole(), obj{"attempt": 1})).refused(http.StatusConflict, problem.StaleAttempt, "attempt 2")
	s.dev.post(t, u.at+"/parts", obj{"parts": []obj{u.part(1, []byte("x"))}}).refused(http.StatusConflict, problem.StaleAttempt, "attempt 2")
	s.dev.post(t, "/builds/"+b+"/uploads", obj{"artifact_name": "stale", "state_code": 5, "attempt": 1}).refused(http.StatusConflict, problem.StaleAttempt, "attempt 2")
	again := s.newUpload(t, b, "stale", obj{"attempt": 2})
	again.put(t, s.dev, []byte("all of it"))
	s.dev.post(t, again.at+"/complete", again.whole()).is(http.StatusCreated).has(obj{"attempt": 2})
}

func uploadedAgain(t *testing.T, s *session) {
	b := s.newBuild(t, nil)
	send := func(content string) (*uploading, obj) {
		u := s.newUpload(t, b, "again", nil)
		u.put(t, s.dev, []byte(content))
		return u, u.whole()
	}
	s.dev.post(t, "/builds/"+b+"/state", obj{"state_code": 5}).is(http.StatusOK)
	u, body := send("one")
	first := s.dev.post(t, u.at+"/complete", body).is(http.StatusCreated).id()
	u, body = send("one")
	if got := s.dev.post(t, u.at+"/complete", body).is(http.StatusOK).id(); got != first {
		t.Errorf("the same file is artifact %s, was %s", got, first)
	}
	if open := s.dev.get(t, "/builds/"+b+"/uploads").is(http.StatusOK).list(); len(open) != 0 {
		t.Errorf("left open: %v", open)
	}
	u, body = send("two")
	second := s.dev.post(t, u.at+"/complete", body).is(http.StatusCreated).id()
	s.dev.get(t, "/builds/"+b+"/artifacts/again").is(http.StatusOK).has(obj{"id": second})
	s.dev.get(t, "/builds/"+b+"/artifacts/"+first).is(http.StatusOK).has(obj{"superseded_by": second})
	s.dev.post(t, "/builds/"+b+"/state", obj{"state_code": 5, "status": "completed"}).is(http.StatusOK)
	u, body = send("three")
	s.dev.post(t, u.at+"/complete", body).refused(http.StatusConflict, problem.Conflict, second)
}

func elsewhere(t *testing.T, s *session) {
	b, other := s.newBuild(t, nil), s.newBuild(t, nil)
	u := s.newUpload(t, other, "theirs", nil)
	u.put(t, s.dev, []byte("x"))
	theirs := s.dev.post(t, u.at+"/complete", u.whole()).is(http.StatusCreated)
	at := "/builds/" + b
	s.dev.post(t, at+"/artifacts", artifact("far", 5)).is(http.StatusCreated)
	s.reader.get(t, at+"/downloads/far").refused(http.StatusConflict, problem.Conflict, "was not uploaded here", "s3://bucket/far")
	stolen := with(artifact("stolen", 5), obj{"storage_key": theirs.obj()["storage_key"], "storage_bucket": theirs.obj()["storage_bucket"], "artifact_path": theirs.str("artifact_path"), "storage_backend": theirs.str("storage_backend")})
	s.dev.post(t, at+"/artifacts", stolen).is(http.StatusCreated)
	s.reader.get(t, at+"/downloads/stolen").refused(http.StatusConflict, problem.Conflict, "was not uploaded here")
	odd := with(stolen, obj{"artifact_name": "odd", "storage_key": "builds/" + b + "/../" + other})
	s.dev.post(t, at+"/artifacts", odd).is(http.StatusCreated)
	s.reader.get(t, at+"/downloads/odd").refused(http.StatusConflict, problem.Conflict, "was not uploaded here")
	s.reader.get(t, at+"/downloads/none").refused(http.StatusNotFound, problem.NotFound, "none")
}

func badUploads(t *testing.T, s *session) {
	b := s.newBuild(t, nil)
	at := "/builds/" + b + "/uploads"
	good := obj{"artifact_name": "x", "state_code": 5}
	for field, bad := range map[string]obj{"artifact_name": {"artifact_name": nil}, "state_code": {"state_code": nil}, "size_bytes": {"size_bytes": -1}, "part_size": {"part_size": 1}} {
		s.dev.post(t, at, with(good, bad)).invalid(field)
	}
	s.dev.post(t, at, with(good, obj{"artifact_name": "a\nb"})).invalid("artifact_name")
	s.dev.post(t, at, with(good, obj{"part_size": minPart, "size_bytes": 1 << 40})).invalid("part_size")
	s.dev.post(t, at, with(good, obj{"state_code": 101})).invalid("state_code")
	u := s.newUpload(t, b, "x", obj{"size_bytes": 10})
	for field, bad := range map[string]obj{"part_number": {"part_number": 10001}, "checksum_crc32c": {"checksum_crc32c": "!!!!!!!!"}, "size_bytes": {"size_bytes": 11}} {
		s.dev.post(t, u.at+"/parts", obj{"parts": []obj{with(u.part(1, []byte("x")), bad)}}).is(http.StatusUnprocessableEntity)
		_ = field
	}
	s.dev.get(t, u.at+"/parts?cursor=nonsense").is(http.StatusUnprocessableEntity)
	s.dev.get(t, at+"/no-such").refused(http.StatusNotFound, problem.NotFound, "no-such")
}
