package resource

import (
	"context"
	"net/http"
	"strings"

	"bldst/shared/api"
	"bldst/shared/auth"
	"bldst/shared/problem"
)

// A Resource is a noun with the six endpoints every noun has: create, list,
// get, update, delete and restore.
type Resource[T any, P Item[T]] struct {
	Name    string // "platform"
	Plural  string // "platforms", the collection's path without its slash
	Label   string // "Platform", in sentences
	Tag     string // section of the OpenAPI document
	Example T      // of an answer
	Request any    // example of a new one
	// Check completes a row that is about to be stored and may refuse it; nil
	// when there is nothing to check beyond the schema.
	Check func(ctx context.Context, v P) error
	// Problems are what Check may refuse a new row with, beside Invalid.
	Problems []problem.Kind
	// Unused may refuse that a row is deleted; nil when it never does.
	Unused func(ctx context.Context, v P) error
}

// A Ref is the row in a path.
type Ref struct {
	ID string `path:"id" maxLength:"200" doc:"Id, name or slug."`
}

type createIn[T any] struct{ Body T }

type listIn struct {
	api.Page
	Deleted bool `query:"include_deactivated" doc:"Deleted ones too, after the others."`
}

type getIn struct {
	Ref
	Deleted bool `query:"include_deactivated" doc:"Also when it is deleted."`
}

type updateIn[T any] struct {
	Ref
	api.Match
	Body api.Partial[T]
}

type changeIn struct {
	Ref
	api.Match
}

// endpoints serve one Resource from one Store.
type endpoints[T any, P Item[T]] struct {
	r Resource[T, P]
	s Store[T, P]
}

// Mount adds the endpoints of r, served from s.
func (r Resource[T, P]) Mount(a *api.API, s Store[T, P]) {
	e := endpoints[T, P]{r: r, s: s}
	path, one := "/"+r.Plural, strings.ToLower(r.Label)
	gone := []problem.Kind{problem.NotFound, problem.Ambiguous}
	changed := append(gone, problem.Conflict, problem.PreconditionFailed)
	api.Handle(a, api.Op{ID: "create-" + r.Name, Method: http.MethodPost, Path: path, Scope: auth.Write, Tag: r.Tag, Status: http.StatusCreated,
		Summary: "Create " + article(one), Problems: r.Problems, Request: r.Request, Answer: r.Example}, e.create)
	api.Handle(a, api.Op{ID: "list-" + r.Plural, Method: http.MethodGet, Path: path, Scope: auth.Read, Tag: r.Tag,
		Summary: "List " + one + "s", Answer: []T{r.Example}}, e.list)
	api.Handle(a, api.Op{ID: "get-" + r.Name, Method: http.MethodGet, Path: path + "/{id}", Scope: auth.Read, Tag: r.Tag,
		Summary: "Get " + article(one), Problems: gone, Answer: r.Example}, e.get)
	api.Handle(a, api.Op{ID: "update-" + r.Name, Method: http.MethodPut, Path: path + "/{id}", Scope: auth.Write, Tag: r.Tag,
		Summary: "Change any fields of " + article(one), Problems: changed, Request: r.Request, Answer: r.Example}, e.update)
	api.Handle(a, api.Op{ID: "delete-" + r.Name, Method: http.MethodDelete, Path: path + "/{id}", Scope: auth.Admin, Tag: r.Tag, Status: http.StatusNoContent,
		Summary: "Delete " + article(one), Description: "Soft: its names are free again, and it can be restored.", Problems: append(changed, problem.Refused)}, e.delete)
	api.Handle(a, api.Op{ID: "restore-" + r.Name, Method: http.MethodPost, Path: path + "/{id}/restore", Scope: auth.Admin, Tag: r.Tag,
		Summary: "Bring a deleted " + one + " back", Problems: gone, Answer: r.Example}, e.restore)
}

func article(noun string) string {
	if strings.ContainsRune("aeio", rune(noun[0])) {
		return "an " + noun
	}
	return "a " + noun
}

func (e endpoints[T, P]) create(ctx context.Context, in *createIn[T]) (*api.Object[T], error) {
	v := P(&in.Body)
	*v.Base() = Meta{}
	if err := e.check(ctx, v); err != nil {
		return nil, err
	}
	if err := e.s.Create(ctx, v); err != nil {
		return nil, err
	}
	return answer[T](v), nil
}

func (e endpoints[T, P]) check(ctx context.Context, v P) error {
	if e.r.Check == nil {
		return nil
	}
	return e.r.Check(ctx, v)
}

func answer[T any, P Item[T]](v P) *api.Object[T] { return api.Rev(v.Base().Rev, *v) }

func (e endpoints[T, P]) list(ctx context.Context, in *listIn) (*api.List[T], error) {
	rows, next, err := e.s.List(ctx, ListQuery{Skip: in.Skip, Limit: in.Limit, Cursor: in.Cursor, Deleted: in.Deleted})
	if err != nil {
		return nil, err
	}
	return &api.List[T]{Link: in.Next(next), Body: rows}, nil
}

func (e endpoints[T, P]) get(ctx context.Context, in *getIn) (*api.Object[T], error) {
	v, err := e.s.Get(ctx, in.ID, in.Deleted)
	if err != nil {
		return nil, err
	}
	return answer[T](v), nil
}

func (e endpoints[T, P]) update(ctx context.Context, in *updateIn[T]) (*api.Object[T], error) {
	v, err := e.s.Change(ctx, in.ID, "update", false, func(v P) error {
		if err := in.Check(v.Base().Rev); err != nil {
			return err
		}
		kept := *v.Base()
		if err := in.Body.Apply((*T)(v)); err != nil {
			return err
		}
		*v.Base() = kept
		return e.check(ctx, v)
	})
	if err != nil {
		return nil, err
	}
	return answer[T](v), nil
}

func (e endpoints[T, P]) delete(ctx context.Context, in *changeIn) (*api.Empty, error) {
	_, err := e.s.Delete(ctx, in.ID, func(v P) error {
		if err := in.Check(v.Base().Rev); err != nil || e.r.Unused == nil {
			return err
		}
		return e.r.Unused(ctx, v)
	})
	return nil, err
}

func (e endpoints[T, P]) restore(ctx context.Context, in *Ref) (*api.Object[T], error) {
	v, err := e.s.Restore(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return answer[T](v), nil
}
