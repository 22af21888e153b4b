// Package files moves files between this machine and the bucket of a
// deployment: in parts, several at a time, in bounded memory, through requests
// that the API signs. The runner needs no credential of a cloud.
package files

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"bldst/shared/build"
	"bldst/shared/client"
)

// A Mover moves files. It is safe for concurrent use.
type Mover struct {
	// Required.
	API *client.Client

	// Optional.
	HTTP     *http.Client            // of the bucket; default: one with room for Lanes connections
	Progress func(done, total int64) // called by one goroutine at a time; total is -1 while it is not known
	Sleep    func(context.Context, time.Duration) error
}

// Memory: Lanes buffers of a part each, and what the runtime needs.
const (
	Lanes    = 4       // parts on the way at a time
	partSize = 8 << 20 // of a download, and of an upload unless its size asks for more
	pipePart = 12 << 20
	tries    = 6 // of one part
)

// Metadata is the field of an artifact's metadata that says what its file is.
const Metadata = "bldst_file"

// A Content says what the file of an artifact holds. Count and size are checked
// at restore: archives that were cut between two members look whole.
type Content struct {
	Format  Format `json:"format"`
	Mode    uint32 `json:"mode,omitempty"`    // permissions of a file
	Entries int    `json:"entries,omitempty"` // of a tar
	Bytes   int64  `json:"bytes"`             // of all files, holes included
}

// A Format is how a file or folder is stored.
type Format string

// The formats.
const (
	Plain  Format = "file"   // the bytes of the file
	Tree   Format = "tree"   // a tar of a folder, see pack
	Sparse Format = "sparse" // a tar of one file, without its holes
)

// A Corrupt is the error of an artifact whose stored bytes are not those that
// were registered.
type Corrupt struct {
	Artifact *build.Artifact
	Why      string
	Reported bool  // it is revoked: no plan offers it any more
	Err      error // why it could not be reported
}

func (e *Corrupt) Error() string {
	s := fmt.Sprintf("artifact '%s' (%s) is damaged: %s", e.Artifact.Name, e.Artifact.ID, e.Why)
	switch {
	case e.Reported:
		return s + "; it is revoked, and the resume plan goes on from the one before it"
	case e.Err != nil:
		return s + fmt.Sprintf("; it could not be revoked (%v): bldst artifact revoke %s %s --reason damaged", e.Err, e.Artifact.BuildID, e.Artifact.ID)
	default:
		return s
	}
}

func (m *Mover) http() *http.Client {
	if m.HTTP != nil {
		return m.HTTP
	}
	return bucketClient
}

// bucketClient is kept from redirects: what is signed is for one host.
var bucketClient = &http.Client{
	Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 2 * Lanes, TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: 5 * time.Minute,
		IdleConnTimeout: 30 * time.Second, WriteBufferSize: 128 << 10, ReadBufferSize: 128 << 10, DisableCompression: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// A refused is an answer of the bucket that is not what was asked for.
type refused struct {
	status int
	text   string
}

func (e *refused) Error() string {
	if e.status == http.StatusInsufficientStorage {
		return "the store of the deployment is full: make room there and run this again; it goes on where it was"
	}
	return fmt.Sprintf("the store answered %d %s", e.status, e.text)
}

// expired reports whether err may come from a request that is too old.
func expired(err error) bool {
	var r *refused
	return errors.As(err, &r) && r.status == http.StatusForbidden
}

// passing reports whether err may be gone at the next try.
func passing(err error) bool {
	var r *refused
	if errors.As(err, &r) {
		return r.status >= 500 && r.status != http.StatusInsufficientStorage || r.status == http.StatusTooManyRequests || r.status == http.StatusForbidden ||
			r.status == http.StatusRequestTimeout
	}
	return true
}

// again calls f until it succeeds, fails for good or has been tried often
// enough.
func (m *Mover) again(ctx context.Context, f func(try int) error) error {
	sleep := m.Sleep
	if sleep == nil {
		sleep = pause
	}
	for try := 1; ; try++ {
		err := f(try)
		if err == nil || ctx.Err() != nil {
			return errors.Join(err, context.Cause(ctx))
		}
		var final *final
		if try == tries || errors.As(err, &final) || !passing(err) {
			return err
		}
		if err := sleep(ctx, 100*time.Millisecond<<try); err != nil {
			return err
		}
	}
}

// A final error is not worth another try.
type final struct{ error }

func (e *final) Unwrap() error { return e.error }

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// answered returns the answer's refusal unless it has one of the statuses.
func answered(resp *http.Response, want ...int) error {
	for _, s := range want {
		if resp.StatusCode == s {
			return nil
		}
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 2048))
	return &refused{resp.StatusCode, short(text)}
}

// short is the code of an error in XML, or the first line of a text.
func short(text []byte) string {
	if _, rest, found := bytes.Cut(text, []byte("<Code>")); found {
		text, _, _ = bytes.Cut(rest, []byte("</Code>"))
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	return line[:min(len(line), 200)]
}

// progress adds up what is done.
type progress struct {
	tell  func(done, total int64)
	total int64
	done  int64
}

func (p *progress) add(n int64) {
	p.done += n
	if p.tell != nil {
		p.tell(p.done, p.total)
	}
}
