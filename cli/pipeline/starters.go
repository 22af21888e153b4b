package pipeline

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed all:starters
var starters embed.FS

// Starters are the names of what Write can write.
func Starters() []string {
	entries, err := starters.ReadDir("starters")
	if err != nil {
		panic(err) // it is embedded
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// Write writes the files of a starter into a folder and returns their names. It
// writes none when one of them is there already, unless over.
func Write(starter, dir string, over bool) (names []string, err error) {
	if !slices.Contains(Starters(), starter) {
		return nil, fmt.Errorf("there is no starter %s; there are: %s", starter, strings.Join(Starters(), ", "))
	}
	root := path.Join("starters", starter)
	err = fs.WalkDir(starters, root, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, strings.TrimPrefix(name, root+"/"))
		}
		return err
	})
	for _, name := range names {
		if _, there := os.Lstat(filepath.Join(dir, filepath.FromSlash(name))); there == nil && !over {
			return nil, fmt.Errorf("%s is there already; --force writes over it", name)
		}
	}
	for _, name := range names {
		text, readErr := starters.ReadFile(path.Join(root, name))
		to := filepath.Join(dir, filepath.FromSlash(name))
		err = errors.Join(err, readErr, os.MkdirAll(filepath.Dir(to), 0o755))
		if err == nil {
			err = os.WriteFile(to, text, 0o644)
		}
	}
	return names, err
}
