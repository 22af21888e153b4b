package step

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"bldst/shared/client"
	"bldst/shared/failure"
	"bldst/shared/problem"
)

// A Save is what to keep of a state that is done, under a name: a file or
// folder, or a reference to what lies elsewhere.
type Save struct {
	Name string
	Path string // of a file or folder on this machine
	Ref  string // an address, e.g. ami-0abc or s3://bucket/key
	File string // a file the command writes the reference to
}

// RestoreTo is the path that a resume restores it to.
func (sv Save) RestoreTo() string { return restorePath(sv.Path) }

// ParseSave reads NAME=PATH, NAME=ref:ADDRESS or NAME=ref:@FILE.
func ParseSave(text string) (Save, error) {
	name, value, ok := strings.Cut(text, "=")
	ref, isRef := strings.CutPrefix(value, "ref:")
	file, isFile := strings.CutPrefix(ref, "@")
	switch {
	case !ok, name == "", value == "", isRef && ref == "", isFile && file == "":
		return Save{}, fmt.Errorf("%q must be NAME=PATH, NAME=ref:ADDRESS or NAME=ref:@FILE", text)
	case strings.ContainsFunc(name, unicode.IsControl): // the API would refuse it, when the command has run for hours
		return Save{}, fmt.Errorf("the name %q must not hold control characters", name)
	case isFile:
		return Save{Name: name, File: file}, nil
	case isRef:
		return Save{Name: name, Ref: ref}, nil
	default:
		return Save{Name: name, Path: value}, nil
	}
}

// errSave says that a checkpoint could not be kept.
type errSave struct{ err error }

func (e *errSave) Error() string { return e.err.Error() }
func (e *errSave) Unwrap() error { return e.err }

// saveAll keeps what the command made and returns the paths that were kept. A
// state is done only when that is.
func (s *step) saveAll(ctx context.Context) (paths []string, err error) {
	for _, sv := range s.Save {
		if sv.Path == "" {
			if err := s.saveRef(ctx, sv); err != nil {
				return nil, err
			}
			continue
		}
		if s.Files == nil {
			return nil, fmt.Errorf("this bldst cannot store files; save a reference to it: --save %s=ref:ADDRESS", sv.Name)
		}
		if err := s.Files.Push(ctx, s.ref(), sv, s.State, s.attempt); err != nil {
			return nil, &errSave{fmt.Errorf("%s could not be saved as '%s': %w", sv.Path, sv.Name, err)}
		}
		paths = append(paths, absolute(sv.Path))
	}
	return paths, nil
}

// ref is how the build is named to the API.
func (s *step) ref() string {
	if s.id != "" {
		return s.id
	}
	return s.Build
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// saveClass returns the class of a failure to keep what was made.
func (s *step) saveClass(err error) string {
	var es *errSave
	switch {
	case !errors.As(err, &es):
		return string(failure.NothingDone)
	case isAway(err):
		return string(failure.Transient)
	default:
		class, _ := failure.Classify(failure.Signs{Message: err.Error()})
		return string(class)
	}
}

// saveRef registers a reference.
func (s *step) saveRef(ctx context.Context, sv Save) error {
	ref := sv.Ref
	if sv.File != "" {
		var err error
		if ref, err = readRef(sv.File); err != nil {
			return err
		}
	}
	body := s.report("")
	delete(body, "worker")
	delete(body, "attempt")
	body["artifact_name"], body["artifact_path"], body["is_resumable"] = sv.Name, ref, true
	body["artifact_type"], body["storage_backend"] = kindOf(ref)
	if s.stale != nil {
		return nil
	}
	err := s.tell(ctx, fmt.Sprintf("artifact '%s' of state %d", sv.Name, s.State), s.path("artifacts"), body, nil)
	if problem.Is(err, problem.Conflict) {
		return s.sameRef(ctx, sv.Name, ref, err)
	}
	return err
}

// sameRef accepts that the name is taken when it stands for the same thing.
func (s *step) sameRef(ctx context.Context, name, ref string, conflict error) error {
	var a struct {
		Path  string `json:"artifact_path"`
		State int    `json:"state_code"`
	}
	if err := s.call(ctx, http.MethodGet, s.path("artifacts")+client.Path(name), "", nil, &a); err != nil || a.Path != ref || a.State != s.State {
		return &errSave{conflict}
	}
	return nil
}

// readRef returns the reference a command wrote: one line, and nothing else.
func readRef(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("the reference in %s: %w", path, reason(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return "", fmt.Errorf("the reference in %s: %w", path, reason(err))
	}
	ref := strings.TrimSpace(string(data))
	if ref == "" || strings.ContainsAny(ref, "\n\r\x00") || len(ref) > 2000 {
		return "", fmt.Errorf("%s must hold one reference, on one line", path)
	}
	return ref, nil
}

// kinds are what references begin with, and the type and place of what they
// stand for.
var kinds = []struct{ prefix, kind, backend string }{
	{"ami-", "ami", "aws"}, {"snap-", "ebs_snapshot", "aws"}, {"vol-", "ebs_volume", "aws"}, {"i-", "instance", "aws"}, {"arn:", "resource", "aws"},
	{"s3://", "file", "s3"}, {"gs://", "file", "gcp_storage"}, {"azblob://", "file", "azure_blob"}, {"file://", "file", "local"},
	{"/subscriptions/", "image", "azure"}, {"projects/", "image", "gcp"}, {"https://", "file", "http"}, {"http://", "file", "http"},
}

// kindOf returns the type of artifact and the storage backend of a reference.
func kindOf(ref string) (kind, backend string) {
	for _, k := range kinds {
		if strings.HasPrefix(ref, k.prefix) {
			return k.kind, k.backend
		}
	}
	return "reference", "external"
}
