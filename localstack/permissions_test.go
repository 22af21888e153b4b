package localstack_test

import (
	"context"
	"strings"
	"sync"

	"bldst/shared/manifest"
	"bldst/shared/table"
)

// Guards are tables as IAM lets functions use them: no emulator looks at
// dynamodb:LeadingKeys, and on AWS a prefix that the manifest lacks is a 500.
type guards struct {
	mu    sync.Mutex
	found map[string]bool // what is used and not allowed
}

// of returns the table as the function may use it.
func (g *guards) of(function string, t table.Table) table.Table {
	f, _ := manifest.Find(function)
	return guard{t, f, g}
}

// check fails t for everything that was used and is not allowed.
func (g *guards) check(t interface{ Errorf(string, ...any) }) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for what := range g.found {
		t.Errorf("%s; add it to its Keys or Table in shared/manifest, else IAM refuses on AWS", what)
	}
}

func (g *guards) say(what string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.found == nil {
		g.found = map[string]bool{}
	}
	g.found[what] = true
}

// A guard is the table of one function.
type guard struct {
	table.Table
	f   manifest.Function
	all *guards
}

func (g guard) Get(ctx context.Context, keys ...table.Key) ([]*table.Item, error) {
	g.need(manifest.Get, "read")
	for _, k := range keys {
		g.use(k.PK)
	}
	return g.Table.Get(ctx, keys...)
}

func (g guard) Query(ctx context.Context, q table.Query) (table.Page, error) {
	g.need(manifest.Read, "query")
	if q.Index == 0 {
		g.use(q.PK)
	}
	return g.Table.Query(ctx, q)
}

func (g guard) Write(ctx context.Context, ops ...table.Op) error {
	g.need(manifest.Write, "write")
	for _, op := range ops {
		g.use(op.Item.PK)
	}
	return g.Table.Write(ctx, ops...)
}

func (g guard) need(a manifest.Access, verb string) {
	if g.f.Table < a {
		g.all.say("function " + g.f.Name + " must not " + verb)
	}
}

func (g guard) use(pk string) {
	for _, prefix := range g.f.Keys {
		if strings.HasPrefix(pk, prefix) {
			return
		}
	}
	if len(g.f.Keys) > 0 {
		kind, _, _ := strings.Cut(pk, "#")
		g.all.say("function " + g.f.Name + " uses the partitions " + kind + "#")
	}
}
