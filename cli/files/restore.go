package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// restoreSparse writes a file that was stored without its holes.
func (d *download) restoreSparse(ctx context.Context, p Pull, c Content) error {
	return d.toFile(p, c, func(f *os.File) error {
		return d.through(ctx, func(r io.Reader) error { return unpackSparse(r, f, c) })
	})
}

// restoreTree writes a folder: beside its place, and there when it is whole.
func (d *download) restoreTree(ctx context.Context, p Pull, c Content) error {
	if err := mayReplace(p, true); err != nil {
		return err
	}
	temp := tempName(p.Path)
	guard, err := takeFolder(temp)
	if err != nil {
		return err
	}
	defer guard.Close()
	defer os.RemoveAll(temp)
	root, err := os.OpenRoot(temp)
	if err != nil {
		return plain(err)
	}
	defer root.Close()
	if err := d.through(ctx, func(r io.Reader) error { return unpack(r, root, c) }); err != nil {
		return err
	}
	if err := syncAll(temp); err != nil {
		return err
	}
	if err := exchange(temp, p.Path); err != nil {
		return plain(err)
	}
	return syncFolder(filepath.Dir(p.Path))
}

// takeFolder makes an empty folder that is this process's until it is closed.
func takeFolder(name string) (*os.File, error) {
	if err := os.Mkdir(name, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("%s: %w", name, plain(err))
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, plain(err)
	}
	if err := lock(f); err != nil {
		_ = f.Close()
		return nil, errBusy
	}
	entries, err := f.ReadDir(-1) // what a kill has left
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(name, e.Name())))
	}
	if err != nil {
		_ = f.Close()
		return nil, plain(err)
	}
	return f, nil
}

var errBusy = errors.New("another bldst is just restoring to it")

// locate makes the path of p absolute, and refuses those that must not be
// restored to: the folder that is worked in or one around it, and what only a
// symbolic link makes part of it.
func (p *Pull) locate() error {
	given := p.Path
	at, err := filepath.Abs(given)
	if err != nil {
		return err
	}
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	if rel, err := filepath.Rel(at, here); err == nil && filepath.IsLocal(rel) {
		return errors.New("it is the current folder, or one around it; name a path of its own")
	}
	if err := os.MkdirAll(filepath.Dir(at), 0o777); err != nil {
		return plain(err)
	}
	real, err := filepath.EvalSymlinks(filepath.Dir(at))
	if err != nil {
		return plain(err)
	}
	root, err := filepath.EvalSymlinks(here)
	if err != nil {
		return plain(err)
	}
	if !p.Outside && filepath.IsLocal(given) && real != root && !strings.HasPrefix(real, root+string(filepath.Separator)) {
		return fmt.Errorf("a symbolic link leads it to %s, out of the current folder; name the path there", real)
	}
	p.Path = at
	return nil
}
