//go:build s3

package bucket

import (
	"bytes"
	"hash/crc32"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"bldst/shared/build"
	"bldst/shared/id"
	"bldst/shared/problem"
)

// TestOnAnS3 holds the bucket against the S3 at BLDST_TEST_S3.
func TestOnAnS3(t *testing.T) {
	endpoint := os.Getenv("BLDST_TEST_S3")
	if endpoint == "" {
		t.Fatal("BLDST_TEST_S3 names no S3, e.g. http://127.0.0.1:4566")
	}
	name := "bldst-" + id.New()[24:]
	b := Open(Access{Region: "us-east-1", Endpoint: endpoint, KeyID: "test", Secret: "test"}, name)
	if resp, err := b.send(t.Context(), http.MethodPut, "", nil, nil, nil); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("the bucket cannot be made: %v %v", resp, err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	const key = "builds/b1/u1/root_fs"
	handle, err := b.Begin(t.Context(), key, 5<<20)
	must(err)
	content := [][]byte{bytes.Repeat([]byte("0123456789abcdef"), 5<<20/16), []byte("the end")}
	for i, c := range content {
		p := build.Part{Number: i + 1, Size: int64(len(c)), CRC32C: build.CRC32C(crc32.Checksum(c, crc32.MakeTable(crc32.Castagnoli)))}
		signed, err := b.Put(t.Context(), key, handle, p)
		must(err)
		if status, body := do(t, signed, c, ""); status != http.StatusOK {
			t.Fatalf("part %d: %d %s", p.Number, status, body)
		}
	}
	first, err := b.Parts(t.Context(), key, handle, 0, 1)
	must(err)
	rest, err := b.Parts(t.Context(), key, handle, 1, 10)
	must(err)
	parts := append(first, rest...)
	if len(first) != 1 || len(parts) != 2 || parts[1].Size != 7 || parts[1].CRC32C == "" {
		t.Fatalf("parts %+v", parts)
	}
	must(b.Finish(t.Context(), key, handle, parts))
	if _, err := b.Parts(t.Context(), key, handle, 0, 10); !problem.Is(err, problem.NotFound) {
		t.Errorf("parts of what is finished: %v", err)
	}
	if n, err := b.Size(t.Context(), key); err != nil || n != 5<<20+7 {
		t.Errorf("size %d, %v", n, err)
	}
	read, err := b.Get(t.Context(), key)
	must(err)
	if status, got := do(t, read, nil, "bytes=5242880-5242886"); status != http.StatusPartialContent || string(got) != "the end" {
		t.Errorf("a range: %d %q", status, got)
	}
	must(b.Abort(t.Context(), key, handle))
	if _, err := b.Size(t.Context(), key); !problem.Is(err, problem.NotFound) {
		t.Errorf("it is still there: %v", err)
	}
}

func do(t *testing.T, s build.Signed, body []byte, span string) (int, []byte) {
	t.Helper()
	if time.Until(s.ExpiresAt) < 50*time.Minute {
		t.Errorf("it expires at %v", s.ExpiresAt)
	}
	req, err := http.NewRequestWithContext(t.Context(), s.Method, s.URL, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range s.Headers {
		req.Header.Set(k, v)
	}
	if span != "" {
		req.Header.Set("Range", span)
	}
	resp, err := http.DefaultClient.Do(req)
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
