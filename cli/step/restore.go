package step

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// restore brings back what the plan names, and what --restore asks for. A
// reference is not fetched: the command finds it in its environment.
func (s *step) restore(ctx context.Context, p *plan) error {
	asked := map[string]string{}
	for _, ask := range s.Restore {
		name, to, _ := strings.Cut(ask, "=")
		asked[name] = to
	}
	if !s.NoRestore && !s.silent {
		for _, r := range p.Restore {
			to, own := asked[r.Name]
			if delete(asked, r.Name); !own {
				to = r.RestoreTo
			}
			if err := s.restoreOne(ctx, r.ID, r.Name, to, own); err != nil {
				return err
			}
		}
	}
	for name, to := range asked {
		if err := s.restoreOne(ctx, name, name, to, true); err != nil {
			return err
		}
	}
	return nil
}

// restoreOne restores an artifact. A path that the caller did not name himself
// comes from the API: nothing outside of this folder is written for it.
func (s *step) restoreOne(ctx context.Context, artifact, name, to string, own bool) error {
	if to == "" { // a reference
		return nil
	}
	if !own {
		if err := inside(to); err != nil {
			return refuse("Name the path yourself: --restore "+name+"="+to, "checkpoint '%s' is not restored to %s: %w", name, to, err)
		}
	}
	if s.Files == nil {
		return refuse("", "this bldst cannot fetch files, so checkpoint '%s' cannot be restored to %s", name, to)
	}
	s.Say("Restoring '%s' to %s.", name, to)
	err := os.MkdirAll(filepath.Dir(to), 0o755)
	if err == nil {
		err = s.Files.Pull(ctx, s.ref(), artifact, to, s.attempt)
	}
	var damaged *Damaged
	switch {
	case err == nil:
		s.restored = append(s.restored, absolute(to))
		return nil
	case errors.As(err, &damaged):
		return damaged
	default:
		return refuse("", "checkpoint '%s' could not be restored to %s: %w", name, to, err)
	}
}

// inside refuses a path that leads out of the current folder, by its name or by
// a link on the way.
func inside(path string) error {
	if !filepath.IsLocal(path) {
		return errors.New("it is outside of the folder the step works in")
	}
	here, err := os.Getwd()
	if err == nil {
		here, err = filepath.EvalSymlinks(here)
	}
	if err != nil {
		return err
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		real, err := filepath.EvalSymlinks(dir)
		if errors.Is(err, os.ErrNotExist) && dir != "." {
			continue
		}
		if err != nil {
			return err
		}
		if filepath.IsAbs(real) { // an absolute link was on the way
			if real, err = filepath.Rel(here, real); err != nil {
				return err
			}
		}
		if !filepath.IsLocal(real) {
			return errors.New("a link on its way leads out of the folder the step works in")
		}
		return nil
	}
}

// restorePath returns how a resume in another place finds the path: relative to
// the folder the step works in, when it is in there.
func restorePath(path string) string {
	here, err := os.Getwd()
	if err != nil || !filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	if rel, err := filepath.Rel(here, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}

// environ returns the environment of the command: that of this process, which
// build and state it works on, and the variables of the build. Sensitive ones
// go this way only, and are told nowhere.
func (s *step) environ(ctx context.Context, p *plan) ([]string, error) {
	drop := map[string]bool{"PACKER_PLUGIN_MAGIC_COOKIE": true, "BLDST_BUILD_ID": true, "BLDST_ATTEMPT": true, "BLDST_STATE": true, "BLDST_STEP_RUN": true, "BLDST_WORKER": true}
	set := []string{"BLDST_BUILD_ID=" + s.ref(), fmt.Sprintf("BLDST_STATE=%d", s.State), "BLDST_STEP_RUN=" + s.run, "BLDST_WORKER=" + s.Worker}
	if s.attempt > 0 {
		set = append(set, fmt.Sprintf("BLDST_ATTEMPT=%d", s.attempt))
	}
	vars, err := s.variables(ctx, p)
	if err != nil {
		return nil, err
	}
	for _, v := range vars {
		if strings.ContainsRune(v.Value, 0) {
			s.Warn("variable '%s' holds a NUL and cannot be passed on", v.Key)
			continue
		}
		name := "BLDST_VAR_" + envName(v.Key)
		drop[name] = true
		set = append(set, name+"="+v.Value)
		if v.Sensitive {
			s.masked = append(s.masked, v.Value)
		}
	}
	if p != nil {
		for _, r := range p.Restore {
			if r.RestoreTo == "" {
				set = append(set, "BLDST_RESTORE_"+envName(r.Name)+"="+r.Path)
			}
		}
	}
	var out []string
	for _, e := range s.Environ {
		if name, _, _ := strings.Cut(e, "="); !drop[name] {
			out = append(out, e)
		}
	}
	return append(out, set...), nil
}

type variable struct {
	Key       string `json:"variable_key"`
	Value     string `json:"variable_value"`
	Sensitive bool   `json:"is_sensitive"`
}

// variables returns those of the build, in clear. Nothing is asked when the
// plan knows of none.
func (s *step) variables(ctx context.Context, p *plan) ([]variable, error) {
	found := false
	if p != nil {
		for _, v := range p.Variables {
			found = found || v.Found
		}
	}
	if !found {
		return nil, nil
	}
	var out []variable
	err := s.call(ctx, "GET", s.path("variables")+"?reveal=true&limit=1000", "", nil, &out)
	switch {
	case err == nil:
		return out, nil
	case isAway(err):
		s.lost(err)
		s.Warn("the variables of the build cannot be read; the command runs without them")
		return nil, nil
	default:
		return nil, errors.Join(refuse("", "the variables of the build cannot be read: %v", short(err)))
	}
}

// envName writes key as the name of a variable of the environment.
func envName(key string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		default:
			return '_'
		}
	}, key)
}
