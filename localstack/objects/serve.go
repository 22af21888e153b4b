package objects

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"bldst/shared/build"
)

// Path begins the paths that ServeHTTP serves.
const Path = "/objects/"

// linkLife is how long a signed request is good.
const linkLife = time.Hour

// Put implements build.Bucket.
func (s *Store) Put(_ context.Context, _, handle string, p build.Part) (build.Signed, error) {
	return s.sign(http.MethodPut, "uploads/"+handle+"/"+strconv.Itoa(p.Number), url.Values{"size": {strconv.FormatInt(p.Size, 10)}, "crc32c": {p.CRC32C}}), nil
}

// Get implements build.Bucket.
func (s *Store) Get(_ context.Context, key string) (build.Signed, error) {
	return s.sign(http.MethodGet, "files/"+key, url.Values{}), nil
}

func (s *Store) sign(method, path string, q url.Values) build.Signed {
	until := s.now().Add(linkLife).UTC().Truncate(time.Second)
	q.Set("expires", strconv.FormatInt(until.Unix(), 10))
	q.Set("signature", s.signature(method, path, q))
	return build.Signed{Method: method, URL: s.base + Path + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode(), ExpiresAt: until}
}

// signature covers the method, the path and everything of the query but itself.
func (s *Store) signature(method, path string, q url.Values) string {
	rest := url.Values{}
	for k, v := range q {
		if k != "signature" {
			rest[k] = v
		}
	}
	mac := hmac.New(sha256.New, s.key)
	fmt.Fprintf(mac, "%s\n%s\n%s", method, path, rest.Encode())
	return hex.EncodeToString(mac.Sum(nil))
}

// ServeHTTP carries out the requests that Put and Get sign, below Path.
func (s *Store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, q := strings.TrimPrefix(r.URL.Path, Path), r.URL.Query()
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	until, err := strconv.ParseInt(q.Get("expires"), 10, 64)
	switch {
	case !hmac.Equal([]byte(q.Get("signature")), []byte(s.signature(method, path, q))):
		refuse(w, http.StatusForbidden, "SignatureDoesNotMatch")
	case err != nil || !s.now().Before(time.Unix(until, 0)):
		refuse(w, http.StatusForbidden, "ExpiredToken: the request has expired; ask for a new one")
	case method == http.MethodPut:
		s.put(w, r, path, q)
	default:
		s.get(w, r, path)
	}
}

func refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n")
}

func (s *Store) get(w http.ResponseWriter, r *http.Request, path string) {
	f, err := os.Open(s.file(strings.TrimPrefix(path, "files/")))
	if err != nil {
		refuse(w, http.StatusNotFound, "NoSuchKey")
		return
	}
	defer f.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, f)
}

// put writes a part to its place. It is there only when all of its bytes are,
// and they are the ones that were promised.
func (s *Store) put(w http.ResponseWriter, r *http.Request, path string, q url.Values) {
	parts := strings.Split(path, "/")
	handle := parts[1]
	number, _ := strconv.Atoi(parts[2]) // all of this is signed
	size, _ := strconv.ParseInt(q.Get("size"), 10, 64)
	p := build.Part{Number: number, Size: size, CRC32C: q.Get("crc32c")}
	if r.ContentLength != size {
		refuse(w, http.StatusBadRequest, fmt.Sprintf("IncompleteBody: send a Content-Length of %d", size))
		return
	}
	switch err := s.take(r.Body, handle, p); {
	case err == nil:
		w.WriteHeader(http.StatusOK)
	case errors.Is(err, noUpload):
		refuse(w, http.StatusNotFound, "NoSuchUpload")
	case errors.Is(err, errDigest):
		refuse(w, http.StatusBadRequest, "BadDigest: the bytes are not the ones that were promised")
	case full(err):
		refuse(w, http.StatusInsufficientStorage, "the disk of the store is full")
	default:
		refuse(w, http.StatusInternalServerError, "the part could not be written")
	}
}

var errDigest = errors.New("another checksum")

// take writes the part p from body.
func (s *Store) take(body io.Reader, handle string, p build.Part) error {
	m, err := s.meta(handle)
	if err != nil {
		return err
	}
	defer s.lock(handle, p.Number)()
	f, err := os.OpenFile(s.upload(handle, "data"), os.O_WRONLY, 0)
	if err != nil {
		return noUpload
	}
	defer f.Close()
	if err := s.note(handle, line{Part: p, Gone: true}); err != nil {
		return err
	}
	at := int64(p.Number-1) * m.PartSize
	sum, err := fill(io.NewOffsetWriter(f, at), body)
	if err != nil {
		return err
	}
	if sum != p.CRC32C {
		return errDigest
	}
	startWriting(f, at, p.Size)
	return s.note(handle, line{Part: p})
}

func (s *Store) lock(handle string, number int) (unlock func()) {
	h := fnv.New32a()
	fmt.Fprint(h, handle, "/", number)
	m := &s.busy[h.Sum32()%uint32(len(s.busy))]
	m.Lock()
	return m.Unlock
}

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	buffers    = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}
)

// fill copies from to to, and returns the checksum of what it copied.
func fill(to io.Writer, from io.Reader) (string, error) {
	b := buffers.Get().(*[]byte)
	defer buffers.Put(b)
	sum := uint32(0)
	for {
		n, err := from.Read(*b)
		sum = crc32.Update(sum, castagnoli, (*b)[:n])
		if _, werr := to.Write((*b)[:n]); werr != nil {
			return "", werr
		}
		if err == io.EOF {
			return build.CRC32C(sum), nil
		}
		if err != nil {
			return "", err
		}
	}
}
