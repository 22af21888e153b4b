package files

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"bldst/shared/api"
	"bldst/shared/build"
)

// A Push says what to save, and as what.
type Push struct {
	// Required.
	Build string // id or number
	Name  string // of the artifact
	State string // code or name of the state it is the result of
	Path  string // a file or a folder; "" with From

	// Optional.
	From      io.Reader    // a stream instead of Path
	Ended     func() error // asked when From has ended: with an error nothing is saved, e.g. what its producer exited with
	Attempt   int          // the attempt of the caller
	Type      string       // default: disk_image, archive or file
	Target    string
	Final     bool
	NoResume  bool
	ExpiresAt string
	Metadata  map[string]any
}

// Push saves a file or folder as an artifact of a build and registers it. It
// goes on with an upload of the same name that was interrupted: what has
// arrived and is still the same is not sent again. Nothing is registered unless
// every byte has arrived.
func (m *Mover) Push(ctx context.Context, p Push) (*build.Artifact, error) {
	a, err := m.push(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("save %s: %w", p.what(), err)
	}
	return a, nil
}

func (p Push) what() string {
	if p.From != nil {
		return p.Name + " from a stream"
	}
	return p.Name + " from " + p.Path
}

func (m *Mover) push(ctx context.Context, p Push) (*build.Artifact, error) {
	s, err := p.open()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	in := build.UploadIn{ArtifactName: p.Name, PartSize: s.part}
	in.StateCode.Word = p.State
	if s.size >= 0 {
		in.SizeBytes = &s.size
	}
	if p.Attempt > 0 {
		in.Attempt = &p.Attempt
	}
	if err := setState(&in.StateCode, p.State); err != nil {
		return nil, err
	}
	u, err := m.begin(ctx, p.Build, in)
	if err != nil {
		return nil, err
	}
	u.prog = progress{tell: m.Progress, total: s.size}
	all, err := u.send(ctx, s.yield)
	if err != nil {
		return nil, err
	}
	if p.Ended != nil {
		if err := p.Ended(); err != nil {
			return nil, err
		}
	}
	content, err := s.content()
	if err != nil {
		return nil, err
	}
	out, err := p.describe(all, content)
	if err != nil {
		return nil, err
	}
	return u.complete(ctx, out)
}

// setState reads a state as the API does: digits are its code.
func setState(to *api.IntOrString, word string) error {
	if word == "" {
		return errors.New("which state is it the result of?")
	}
	doc, err := json.Marshal(word)
	if err != nil {
		return err
	}
	return to.UnmarshalJSON(doc)
}

// types are what an artifact is unless told otherwise.
var types = map[Format]string{Plain: "file", Tree: "archive", Sparse: "disk_image"}

func (p Push) describe(all sum, c Content) (build.CompleteIn, error) {
	meta := map[string]any{}
	for k, v := range p.Metadata {
		meta[k] = v
	}
	meta[Metadata] = c
	doc, err := json.Marshal(meta)
	if err != nil {
		return build.CompleteIn{}, err
	}
	in := build.CompleteIn{SizeBytes: all.size, Checksum: all.sha256, CRC32C: build.Composite(all.parts), ArtifactType: p.Type, Metadata: doc}
	if p.ExpiresAt != "" {
		t, err := api.ParseTime(p.ExpiresAt)
		if err != nil {
			return build.CompleteIn{}, fmt.Errorf("expires at: %w", err)
		}
		in.ExpiresAt = &api.Time{Time: t}
	}
	if in.ArtifactType == "" {
		in.ArtifactType = types[c.Format]
	}
	resumable := !p.NoResume
	in.IsResumable, in.IsFinal = &resumable, &p.Final
	if p.Target != "" {
		in.Target = &p.Target
	}
	if p.Attempt > 0 {
		in.Attempt = &p.Attempt
	}
	return in, nil
}

// A source is what is saved, as a sequence of bytes.
type source struct {
	io.Closer
	size    int64 // -1: not known
	part    int64 // size of the parts; 0: what suits the size
	yield   func(context.Context, int64, func(chunk) error) (sum, error)
	content func() (Content, error) // what was read; an error when it changed meanwhile
}

// open opens what is to be saved.
func (p Push) open() (*source, error) {
	if p.From != nil {
		return stream(p.From), nil
	}
	f, err := os.Open(p.Path)
	if err != nil {
		return nil, plain(err)
	}
	st, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, plain(err)
	}
	switch {
	case st.Mode().IsRegular():
		return file(f, st)
	case st.IsDir():
		_ = f.Close()
		return tree(p.Path)
	default:
		_ = f.Close()
		return nil, errors.New("it is neither a file nor a folder")
	}
}

// plain is err without the name of the path, which is said already.
func plain(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// stream is what comes out of a pipe: nobody knows how much.
func stream(r io.Reader) *source {
	n := &counter{r: r}
	return &source{Closer: io.NopCloser(nil), size: -1, part: pipePart, yield: fromStream(n), content: func() (Content, error) {
		return Content{Format: Plain, Bytes: n.n}, nil
	}}
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

// file is a file as it is, or without its holes when they are worth it.
func file(f *os.File, st fs.FileInfo) (*source, error) {
	extents, err := extentsOf(f, st.Size())
	if err != nil {
		_ = f.Close()
		return nil, plain(err)
	}
	data := int64(0)
	for _, e := range extents {
		data += e.n
	}
	if st.Size()-data >= smallHoles {
		return sparse(f, st, extents), nil
	}
	return plainFile(f, st), nil
}

// plainFile is the bytes of a file.
func plainFile(f *os.File, st fs.FileInfo) *source {
	return &source{Closer: f, size: st.Size(), yield: fromFile(f, st.Size()), content: func() (Content, error) {
		return Content{Format: Plain, Mode: uint32(st.Mode().Perm()), Bytes: st.Size()}, unchanged(f, st)
	}}
}

// unchanged reports, as an error, that the file was written to since st.
func unchanged(f *os.File, st fs.FileInfo) error {
	now, err := f.Stat()
	if err != nil {
		return plain(err)
	}
	if now.Size() != st.Size() || !now.ModTime().Equal(st.ModTime()) {
		return errors.New("it was changed while it was read; save it when its command has ended")
	}
	return nil
}
