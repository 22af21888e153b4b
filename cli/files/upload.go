package files

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"net/http"
	"net/url"
	"sync"

	"bldst/shared/build"
	"bldst/shared/client"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// An upload is one file on its way.
type upload struct {
	m    *Mover
	at   string // path of the upload
	to   build.Upload
	have map[int]build.Part // what the bucket had at the beginning

	mu   sync.Mutex
	prog progress
}

// A chunk is a part that is ready to be sent.
type chunk struct {
	build.Part
	body    func() io.Reader // from its beginning, any number of times
	release func()
}

// begin begins the upload that in describes, or goes on with the one there is.
func (m *Mover) begin(ctx context.Context, ref string, in build.UploadIn) (*upload, error) {
	u := &upload{m: m, have: map[int]build.Part{}}
	resp, err := m.API.Send(ctx, client.Request{Method: http.MethodPost, Path: client.Path("builds", ref, "uploads"), Body: in})
	if err != nil {
		return nil, err
	}
	if err := resp.Decode(&u.to); err != nil {
		return nil, err
	}
	u.at = client.Path("builds", ref, "uploads", u.to.ID)
	if resp.Status == http.StatusCreated {
		return u, nil
	}
	items, _, err := m.API.List(ctx, u.at+"/parts", url.Values{"limit": {"1000"}}, 0)
	if err != nil {
		return nil, err
	}
	for _, doc := range items {
		var p build.Part
		if err := json.Unmarshal(doc, &p); err != nil {
			return nil, err
		}
		u.have[p.Number] = p
	}
	return u, nil
}

// A sum is what an upload was found to be while it was read.
type sum struct {
	size   int64
	sha256 string
	parts  []build.Part
}

// send sends what source yields, Lanes parts at a time, and returns what it was.
func (u *upload) send(ctx context.Context, source func(ctx context.Context, partSize int64, yield func(chunk) error) (sum, error)) (sum, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	chunks := make(chan chunk)
	var lanes sync.WaitGroup
	for range Lanes {
		lanes.Go(func() {
			for c := range chunks {
				if err := u.part(ctx, c); err != nil {
					cancel(err)
				}
				c.release()
			}
		})
	}
	all, err := source(ctx, u.to.PartSize, func(c chunk) error {
		select {
		case chunks <- c:
			return nil
		case <-ctx.Done():
			c.release()
			return context.Cause(ctx)
		}
	})
	close(chunks)
	lanes.Wait()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return all, err
}

// part sees to it that the bucket has c.
func (u *upload) part(ctx context.Context, c chunk) error {
	if context.Cause(ctx) != nil {
		return nil // another part has failed
	}
	if p, there := u.have[c.Number]; !there || p.Size != c.Size || p.CRC32C != c.CRC32C {
		err := u.m.again(ctx, func(int) error { return u.put(ctx, c) })
		if err != nil {
			return fmt.Errorf("part %d: %w", c.Number, err)
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.prog.add(c.Size)
	return nil
}

// put has one part signed and sends it.
func (u *upload) put(ctx context.Context, c chunk) error {
	var out build.SignedParts
	err := u.m.API.Do(ctx, http.MethodPost, u.at+"/parts", nil, map[string]any{"parts": []build.Part{c.Part}}, &out)
	if err != nil {
		return &final{err} // the client has tried again itself
	}
	signed := out.Parts
	if len(signed) != 1 {
		return &final{errors.New("the API has signed no part; is the URL right?")}
	}
	req, err := http.NewRequestWithContext(ctx, signed[0].Method, signed[0].URL, io.NopCloser(c.body()))
	if err != nil {
		return &final{err}
	}
	req.ContentLength = c.Size
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(c.body()), nil }
	if c.Size == 0 {
		req.Body = http.NoBody
	}
	for k, v := range signed[0].Headers {
		req.Header.Set(k, v)
	}
	resp, err := u.m.http().Do(req)
	if err != nil {
		return unsigned(err)
	}
	defer drain(resp.Body)
	return answered(resp, http.StatusOK, http.StatusCreated, http.StatusNoContent)
}

// unsigned is err without the URL of the request: that is a credential.
func unsigned(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return fmt.Errorf("the store at %s: %w", host(u.URL), u.Err)
	}
	return err
}

func host(s string) string {
	if u, err := url.Parse(s); err == nil {
		return u.Host
	}
	return "an address that cannot be read"
}

// drain reads the rest of a short answer, so that its connection is used again.
func drain(body io.ReadCloser) {
	_, _ = io.Copy(io.Discard, io.LimitReader(body, 64<<10))
	_ = body.Close()
}

// complete registers the artifact.
func (u *upload) complete(ctx context.Context, in build.CompleteIn) (*build.Artifact, error) {
	var a build.Artifact
	if err := u.m.API.Do(ctx, http.MethodPost, u.at+"/complete", nil, in, &a); err != nil {
		return nil, err
	}
	return &a, nil
}

// fromStream yields what r holds, whose parts are kept in memory while they are
// sent.
func fromStream(r io.Reader) func(context.Context, int64, func(chunk) error) (sum, error) {
	return func(ctx context.Context, partSize int64, yield func(chunk) error) (sum, error) {
		t := newTally()
		free := make(chan []byte, Lanes)
		for range Lanes {
			free <- nil
		}
		for {
			var b []byte
			select {
			case b = <-free:
			case <-ctx.Done():
				return sum{}, context.Cause(ctx)
			}
			if b == nil {
				b = make([]byte, partSize)
			}
			n, err := io.ReadFull(r, b)
			end := err == io.EOF || err == io.ErrUnexpectedEOF
			if err != nil && !end {
				return sum{}, err
			}
			if n > 0 || len(t.parts) == 0 {
				t.begin()
				t.add(b[:n])
				if err := yield(chunk{t.end(), func() io.Reader { return bytes.NewReader(b[:n]) }, func() { free <- b }}); err != nil {
					return sum{}, err
				}
			}
			if end {
				return t.sum()
			}
		}
	}
}

// fromFile yields the bytes of a file, which are read again when they are sent:
// a part takes no memory, however large it is.
func fromFile(f io.ReaderAt, size int64) func(context.Context, int64, func(chunk) error) (sum, error) {
	return func(ctx context.Context, partSize int64, yield func(chunk) error) (sum, error) {
		t := newTally()
		b := make([]byte, 512<<10)
		for at := int64(0); at < size || at == 0; at += partSize {
			n := min(partSize, size-at)
			t.begin()
			for r := io.NewSectionReader(f, at, n); ; {
				k, err := r.Read(b)
				t.add(b[:k])
				if err == io.EOF {
					break
				}
				if err != nil {
					return sum{}, err
				}
			}
			p := t.end()
			if p.Size != n {
				return sum{}, errors.New("the file became shorter while it was read")
			}
			if err := yield(chunk{p, func() io.Reader { return io.NewSectionReader(f, at, n) }, func() {}}); err != nil {
				return sum{}, err
			}
		}
		return t.sum()
	}
}

// A tally adds up what is read: each part, and all of it.
type tally struct {
	all   hash.Hash
	parts []build.Part
	size  int64 // of the part
	crc   uint32
}

func newTally() *tally { return &tally{all: sha256.New()} }

func (t *tally) begin() { t.size, t.crc = 0, 0 }

func (t *tally) add(b []byte) {
	t.all.Write(b)
	t.crc = crc32.Update(t.crc, castagnoli, b)
	t.size += int64(len(b))
}

func (t *tally) end() build.Part {
	p := build.Part{Number: len(t.parts) + 1, Size: t.size, CRC32C: build.CRC32C(t.crc)}
	t.parts = append(t.parts, p)
	return p
}

func (t *tally) sum() (sum, error) {
	s := sum{sha256: hex.EncodeToString(t.all.Sum(nil)), parts: t.parts}
	for _, p := range t.parts {
		s.size += p.Size
	}
	if len(t.parts) > build.MaxParts {
		return s, fmt.Errorf("more than %d parts", build.MaxParts)
	}
	return s, nil
}
