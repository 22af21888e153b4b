package files

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"

	"bldst/shared/build"
	"bldst/shared/client"
)

// A Pull says what to restore, and where.
type Pull struct {
	// Required.
	Build    string // id or number
	Artifact string // id or name

	// Optional.
	Path    string // default: the name of the artifact, in the current folder
	Replace bool   // what is there, when it is of the same kind
	Attempt int    // the attempt of the caller, for the report of damage
	Outside bool   // also where a link on the way of Path leads out of the current folder
}

// Pull restores the file or folder of an artifact. It is written beside Path,
// compared with what was registered, and takes its place only when it is whole
// and on disk: Path holds what it held, or all of it. An artifact that is
// damaged is read a second time to be sure, revoked, and the error is a Corrupt.
func (m *Mover) Pull(ctx context.Context, p Pull) (*build.Artifact, error) {
	d, err := m.find(ctx, p.Build, p.Artifact)
	if err != nil {
		return nil, fmt.Errorf("restore %s: %w", p.Artifact, err)
	}
	if p.Path == "" {
		p.Path = filepath.Base(filepath.Clean("/" + d.artifact.Name))
	}
	err = d.restore(ctx, p)
	if err := d.blame(ctx, p, err); err != nil {
		return nil, fmt.Errorf("restore %s to %s: %w", d.artifact.Name, p.Path, roomFor(err))
	}
	return d.artifact, nil
}

// Verify reads the file of an artifact and compares it with what was
// registered. An artifact that is damaged is revoked, and the error is a Corrupt.
func (m *Mover) Verify(ctx context.Context, p Pull) (*build.Artifact, error) {
	d, err := m.find(ctx, p.Build, p.Artifact)
	if err != nil {
		return nil, fmt.Errorf("verify %s: %w", p.Artifact, err)
	}
	if err := d.blame(ctx, p, d.stream(ctx, nil, func([]byte) error { return nil })); err != nil {
		return nil, fmt.Errorf("verify %s: %w", d.artifact.Name, err)
	}
	return d.artifact, nil
}

// blame returns err; when it says that the stored file is damaged, it is read
// again, since the fault may have been on the way, and then reported.
func (d *download) blame(ctx context.Context, p Pull, err error) error {
	if bad := (*damaged)(nil); !errors.As(err, &bad) {
		return err
	}
	err = d.stream(ctx, nil, func([]byte) error { return nil })
	bad := (*damaged)(nil)
	if err == nil {
		return errors.New("its bytes were damaged on the way here and are right in the store; run this again")
	}
	if !errors.As(err, &bad) {
		return err
	}
	c := &Corrupt{Artifact: d.artifact, Why: bad.why}
	body := map[string]any{"reason": "damaged: " + bad.why}
	if p.Attempt > 0 {
		body["attempt"] = p.Attempt
	}
	c.Err = d.m.API.Do(ctx, http.MethodPost, client.Path("builds", d.artifact.BuildID, "artifacts", d.artifact.ID, "revoke"), nil, body, nil)
	c.Reported = c.Err == nil
	return c
}

// content returns what the artifact says of its file: a plain one unless it
// says more.
func (d *download) content() (Content, error) {
	var meta map[string]json.RawMessage
	c := Content{Format: Plain, Bytes: d.size}
	if len(d.artifact.Metadata) == 0 {
		return c, nil
	}
	if err := json.Unmarshal(d.artifact.Metadata, &meta); err != nil || meta[Metadata] == nil {
		return c, nil
	}
	if err := json.Unmarshal(meta[Metadata], &c); err != nil {
		return c, fmt.Errorf("metadata.%s of the artifact cannot be read: %w", Metadata, err)
	}
	return c, nil
}

func (d *download) restore(ctx context.Context, p Pull) error {
	c, err := d.content()
	if err != nil {
		return err
	}
	if err := p.locate(); err != nil {
		return err
	}
	switch c.Format {
	case Plain:
		return d.restoreFile(ctx, p, c)
	case Sparse:
		return d.restoreSparse(ctx, p, c)
	case Tree:
		return d.restoreTree(ctx, p, c)
	default:
		return fmt.Errorf("it is stored as %q, which this version of bldst does not know; upgrade it", c.Format)
	}
}

// restoreFile writes a plain file.
func (d *download) restoreFile(ctx context.Context, p Pull, c Content) error {
	return d.toFile(p, c, func(f *os.File) error {
		write := func(at int64, b []byte) error {
			_, err := f.WriteAt(b, at)
			startWriting(f, at, int64(len(b)))
			return err
		}
		return d.stream(ctx, write, func([]byte) error { return nil })
	})
}

// toFile has fill write the file: beside its place, and there when it is whole.
func (d *download) toFile(p Pull, c Content, fill func(*os.File) error) error {
	if err := mayReplace(p, false); err != nil {
		return err
	}
	t, err := newTemp(p.Path)
	if err != nil {
		return err
	}
	defer t.drop()
	if err := fill(t.f); err != nil {
		return err
	}
	mode := os.FileMode(c.Mode) & os.ModePerm
	if c.Mode == 0 {
		mode = 0o644
	}
	if err := t.f.Chmod(mode); err != nil {
		return err
	}
	return t.keep()
}

// mayReplace refuses to put a file or folder where something else is.
func mayReplace(p Pull, folder bool) error {
	st, err := os.Lstat(p.Path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return plain(err)
	case st.Mode()&os.ModeSymlink != 0:
		return errors.New("it is a symbolic link; remove it, or name the path it leads to")
	case st.IsDir() && !folder:
		return errors.New("it is a folder, and the artifact is a file; name another path")
	case !st.IsDir() && folder:
		return errors.New("it is no folder, and the artifact is one; name another path")
	case !st.IsDir() && !st.Mode().IsRegular():
		return errors.New("it is no ordinary file; name another path")
	case !p.Replace:
		return errors.New("it exists; name another path, or replace it with --force")
	}
	return nil
}

// roomFor says what to do about a full disk.
func roomFor(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("the disk is full: make room and run this again; nothing was changed (%w)", err)
	}
	return err
}

// A temp is a file beside the one it is to become. Its name says which: what a
// kill has left is used again by the next one.
type temp struct {
	f    *os.File
	path string
	kept bool
}

func tempName(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".bldst-part")
}

func newTemp(path string) (*temp, error) {
	name := tempName(path)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, plain(err))
	}
	if err := lock(f); err != nil {
		_ = f.Close()
		return nil, errBusy
	}
	if now, err := os.Stat(name); err != nil || !same(f, now) {
		_ = f.Close()
		return nil, errBusy // it has just become what it was to become, or was removed
	}
	if err := f.Truncate(0); err != nil {
		_ = f.Close()
		return nil, plain(err)
	}
	return &temp{f: f, path: path}, nil
}

func same(f *os.File, as os.FileInfo) bool {
	st, err := f.Stat()
	return err == nil && os.SameFile(st, as)
}

// keep makes the file what it is to become, and waits until that is on disk.
func (t *temp) keep() error {
	if err := t.f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(t.f.Name(), t.path); err != nil {
		return plain(err)
	}
	t.kept = true
	return syncFolder(filepath.Dir(t.path))
}

// drop removes the file unless it was kept.
func (t *temp) drop() {
	if !t.kept {
		_ = os.Remove(t.f.Name())
	}
	_ = t.f.Close()
}

func syncFolder(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return plain(err)
	}
	return errors.Join(d.Sync(), d.Close())
}
