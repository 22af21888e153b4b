package step

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// Fingerprint returns what tells one run of a step from another that does the
// same: the command line, content, mode and path of the inputs (a folder stands
// for all in it), and the variables named. Times, owners and inodes are no part
// of it, so a restored input is the same input. An error names the input that
// cannot be read.
func Fingerprint(args, inputs, names []string, env func(string) (string, bool)) (string, error) {
	h := sha256.New()
	add(h, append([]string{"command"}, args...)...)
	for _, in := range inputs {
		if err := addInput(h, in); err != nil {
			return "", err
		}
	}
	sort.Strings(names)
	for _, name := range names {
		value, set := env(name)
		add(h, "env", name, fmt.Sprint(set), value)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

// add hashes a list of texts so that no other list gives the same bytes.
func add(h hash.Hash, texts ...string) { _ = json.NewEncoder(h).Encode(texts) }

func addInput(h hash.Hash, root string) error {
	info, err := os.Stat(root) // a link that is named stands for what it leads to
	if err != nil {
		return fmt.Errorf("input %s: %w", root, reason(err))
	}
	name := filepath.ToSlash(filepath.Clean(root))
	if !info.IsDir() {
		return addFile(h, root, name, info)
	}
	return filepath.WalkDir(root+string(filepath.Separator), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("input %s: %w", path, reason(err))
		}
		info, err := d.Info()
		if err != nil {
			return fmt.Errorf("input %s: %w", path, reason(err))
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		return addFile(h, path, name+"/"+filepath.ToSlash(rel), info)
	})
}

func addFile(h hash.Hash, path, name string, info fs.FileInfo) error {
	mode := fmt.Sprintf("%o", info.Mode().Perm())
	switch {
	case info.IsDir():
		add(h, "folder", name, mode)
		return nil
	case info.Mode()&fs.ModeSymlink != 0:
		to, err := os.Readlink(path)
		add(h, "link", name, to)
		return err
	case !info.Mode().IsRegular():
		add(h, "special", name, info.Mode().Type().String())
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("input %s: %w", path, reason(err))
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return fmt.Errorf("input %s: %w", path, reason(err))
	}
	add(h, "file", name, mode, hex.EncodeToString(sum.Sum(nil)))
	return nil
}

// reason is err without the path, which was named already.
func reason(err error) error {
	if pe, ok := err.(*fs.PathError); ok {
		return pe.Err
	}
	return err
}

// wrappers are commands that run another one.
var wrappers = map[string]bool{"sudo": true, "env": true, "timeout": true, "nice": true, "ionice": true, "time": true, "stdbuf": true, "nohup": true, "setsid": true, "xargs": true}

// Tool returns the name of the program that a command line is about.
func Tool(args []string) string {
	for i, a := range args {
		name := filepath.Base(a)
		switch {
		case strings.HasPrefix(a, "-"), strings.Contains(a, "=") && i > 0, i > 0 && strings.Trim(a, "0123456789.smhd") == "":
		case wrappers[name]:
		default:
			return name
		}
	}
	return filepath.Base(args[0])
}
