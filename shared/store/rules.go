package store

import (
	"context"
	"sync"
	"time"

	"bldst/shared/build"
)

// rulesFor is how long the rules of a project are remembered: a new state code
// counts everywhere within that time, at once where it was made.
const rulesFor = 10 * time.Second

// A rulesCache remembers the rules of projects, so that a report costs no read
// for them.
type rulesCache struct {
	mu   sync.Mutex
	rows map[string]cachedRules
}

type cachedRules struct {
	rules build.Rules
	until time.Time
}

// maxCachedRules bounds the memory of the cache.
const maxCachedRules = 1000

// buildRules returns the rules of the project.
func (s *Store) buildRules(ctx context.Context, project string) (build.Rules, error) {
	now := s.Now()
	s.rules.mu.Lock()
	c, ok := s.rules.rows[project]
	s.rules.mu.Unlock()
	if ok && now.Before(c.until) {
		return c.rules, nil
	}
	rules, err := s.ProjectRules(ctx, project)
	if err != nil {
		return nil, err
	}
	s.rules.mu.Lock()
	defer s.rules.mu.Unlock()
	if s.rules.rows == nil || len(s.rules.rows) >= maxCachedRules {
		s.rules.rows = map[string]cachedRules{}
	}
	s.rules.rows[project] = cachedRules{rules: rules, until: now.Add(rulesFor)}
	return rules, nil
}

// forgetRules makes a change of the project's rules count at once here.
func (s *Store) forgetRules(project string) {
	s.rules.mu.Lock()
	defer s.rules.mu.Unlock()
	delete(s.rules.rows, project)
}
