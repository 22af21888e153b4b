package files

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"sync"
	"time"

	"bldst/shared/build"
	"bldst/shared/client"
)

// A download is one file on its way here.
type download struct {
	m        *Mover
	at       string // path of the download
	artifact *build.Artifact
	size     int64

	mu     sync.Mutex
	signed build.Signed

	prog progress
	hash hash.Hash
}

// find asks where the file of an artifact is.
func (m *Mover) find(ctx context.Context, ref, artifact string) (*download, error) {
	d := &download{m: m, at: client.Path("builds", ref, "downloads", artifact)}
	a, err := d.sign(ctx)
	if err != nil {
		return nil, err
	}
	if a.Size == nil || a.Checksum == nil || a.Algorithm != build.DefaultAlgorithm {
		return nil, fmt.Errorf("artifact '%s' has no size or no SHA-256; nothing can tell whether it is whole", a.Name)
	}
	d.artifact, d.size = a, *a.Size
	return d, nil
}

// sign asks for the request that reads the file.
func (d *download) sign(ctx context.Context) (*build.Artifact, error) {
	var out build.Download
	if err := d.m.API.Do(ctx, http.MethodGet, d.at, nil, nil, &out); err != nil {
		return nil, err
	}
	if out.Artifact == nil || out.URL == "" {
		return nil, errors.New("the API does not say where the file is; is the URL right?")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.signed = out.Signed
	return out.Artifact, nil
}

func (d *download) request() build.Signed {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.signed
}

// A damaged error says that what is stored is not what was registered.
type damaged struct{ why string }

func (e *damaged) Error() string { return e.why }

// A piece is a part of the file that has been read.
type piece struct {
	at   int64
	b    []byte
	err  error
	done chan struct{}
}

// stream calls each with the pieces of the file, in order, reading Lanes of
// them at a time, and returns a damaged error when they are not what was
// registered. early, if not nil, is called with each piece as soon as it is
// there, in any order.
func (d *download) stream(ctx context.Context, early func(at int64, b []byte) error, each func(b []byte) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pieces, free := make(chan *piece, Lanes), make(chan []byte, Lanes)
	for range Lanes {
		free <- make([]byte, min(partSize, max(d.size, 1)))
	}
	var lanes sync.WaitGroup
	defer lanes.Wait()
	defer cancel()
	lanes.Go(func() { d.fetchAll(ctx, &lanes, pieces, free, early) })
	d.hash, d.prog = sha256.New(), progress{tell: d.m.Progress, total: d.size}
	for p := range pieces {
		<-p.done
		if p.err != nil {
			return p.err
		}
		d.hash.Write(p.b)
		if err := each(p.b); err != nil {
			return err
		}
		d.prog.add(int64(len(p.b)))
		free <- p.b[:cap(p.b)]
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if got := hex.EncodeToString(d.hash.Sum(nil)); got != *d.artifact.Checksum {
		return &damaged{fmt.Sprintf("its SHA-256 is %s, registered was %s", got, *d.artifact.Checksum)}
	}
	return nil
}

// fetchAll has the pieces read, and passes them on in their order.
func (d *download) fetchAll(ctx context.Context, lanes *sync.WaitGroup, pieces chan<- *piece, free <-chan []byte, early func(int64, []byte) error) {
	defer close(pieces)
	for at := int64(0); at < d.size; at += partSize {
		var b []byte
		select {
		case b = <-free:
		case <-ctx.Done():
			return
		}
		p := &piece{at: at, b: b[:min(partSize, d.size-at)], done: make(chan struct{})}
		lanes.Go(func() {
			defer close(p.done)
			p.err = d.fetch(ctx, p)
			if p.err == nil && early != nil {
				p.err = early(p.at, p.b)
			}
		})
		select {
		case pieces <- p:
		case <-ctx.Done():
			return
		}
	}
}

// fetch reads one piece.
func (d *download) fetch(ctx context.Context, p *piece) error {
	return d.m.again(ctx, func(try int) error {
		signed := d.request()
		if try > 1 && time.Until(signed.ExpiresAt) < 5*time.Minute {
			if _, err := d.sign(ctx); err != nil {
				return &final{err}
			}
			signed = d.request()
		}
		err := d.read(ctx, signed, p)
		if expired(err) && try > 1 {
			_, serr := d.sign(ctx)
			return errors.Join(err, serr)
		}
		return err
	})
}

func (d *download) read(ctx context.Context, signed build.Signed, p *piece) error {
	req, err := http.NewRequestWithContext(ctx, signed.Method, signed.URL, nil)
	if err != nil {
		return &final{err}
	}
	for k, v := range signed.Headers {
		req.Header.Set(k, v)
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", p.at, p.at+int64(len(p.b))-1))
	resp, err := d.m.http().Do(req)
	if err != nil {
		return unsigned(err)
	}
	defer drain(resp.Body)
	switch resp.StatusCode {
	case http.StatusNotFound:
		return &final{&damaged{"the stored file is gone"}}
	case http.StatusRequestedRangeNotSatisfiable:
		return &final{&damaged{fmt.Sprintf("the stored file is shorter than the %d bytes that were registered", d.size)}}
	}
	if err := answered(resp, http.StatusPartialContent); err != nil {
		return err
	}
	if err := d.sized(resp.Header.Get("Content-Range")); err != nil {
		return &final{err}
	}
	_, err = io.ReadFull(resp.Body, p.b)
	return unsigned(err)
}

// sized compares the size of the stored file with what was registered.
func (d *download) sized(contentRange string) error {
	var from, to, size int64
	if n, err := fmt.Sscanf(contentRange, "bytes %d-%d/%d", &from, &to, &size); n != 3 || err != nil {
		return fmt.Errorf("the store answered with the range %q", contentRange)
	}
	if size != d.size {
		return &damaged{fmt.Sprintf("the stored file has %d bytes, registered were %d", size, d.size)}
	}
	return nil
}
