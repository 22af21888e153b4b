// Package project holds projects and the rules their builds follow: the states
// a project names, and which of them a build can be resumed from.
package project

import (
	"context"

	"bldst/shared/api"
	"bldst/shared/problem"
	"bldst/shared/resource"
)

// A Project groups builds that follow the same rules.
type Project struct {
	resource.Meta
	Name        string  `json:"name" required:"true" minLength:"1" maxLength:"50" pattern:"\\S" patternDescription:"more than blanks" example:"rhel-9"`
	DisplayName *string `json:"display_name" maxLength:"100"`
	Description *string `json:"description" maxLength:"500"`
	ParentID    *string `json:"parent_project_id" maxLength:"200" doc:"Id or name of the project above."`
	IsActive    bool    `json:"is_active" doc:"False once it is deleted."`
}

// Fill implements resource.Filler.
func (p *Project) Fill() { p.IsActive = p.DeactivatedAt == nil }

// Names are what the project is found by beside its id.
func (p *Project) Names() []string {
	if p.ID == DefaultID {
		return []string{p.Name, defaultAlias}
	}
	return []string{p.Name}
}

// Mount adds the endpoints of projects, kept in rows.
func Mount(a *api.API, rows resource.Store[Project, *Project]) {
	resource.Resource[Project, *Project]{
		Name: "project", Plural: "projects", Label: "Project", Tag: "Projects",
		Example: Project{Meta: resource.Meta{ID: RHEL9ID}, Name: "rhel-9", IsActive: true},
		Request: map[string]any{"name": "rhel-9", "description": "RHEL 9 golden images"},
		Check:   func(ctx context.Context, p *Project) error { return p.adopt(ctx, rows) }, Problems: []problem.Kind{problem.NotFound, problem.Ambiguous},
	}.Mount(a, rows)
}

// maxDepth is how many projects may be above one.
const maxDepth = 20

// adopt replaces the reference to the project above by its id. A parent that
// was deleted may stay what it is but not become one.
func (p *Project) adopt(ctx context.Context, rows resource.Store[Project, *Project]) error {
	if p.ParentID == nil || *p.ParentID == "" {
		p.ParentID = nil
		return nil
	}
	kept, err := p.keepsParent(ctx, rows)
	if err != nil || kept {
		return err
	}
	parent, err := rows.Get(ctx, *p.ParentID, false)
	if err != nil {
		return err
	}
	p.ParentID = &parent.ID
	for range maxDepth {
		if parent.ID == p.ID {
			return problem.BadField("parent_project_id", "value_error", "A project cannot be its own parent or above its parent")
		}
		if parent.ParentID == nil {
			return nil
		}
		if parent, err = rows.Get(ctx, *parent.ParentID, true); err != nil {
			return err
		}
	}
	return problem.BadField("parent_project_id", "value_error", "At most %d projects may be above one", maxDepth)
}

// keepsParent reports whether the stored p has the parent it has now.
func (p *Project) keepsParent(ctx context.Context, rows resource.Store[Project, *Project]) (bool, error) {
	if p.ID == "" {
		return false, nil
	}
	stored, err := rows.Get(ctx, p.ID, true)
	if err != nil {
		return false, err
	}
	return stored.ParentID != nil && *stored.ParentID == *p.ParentID, nil
}

// Ids of the seeded projects, and what the default one is called in older
// configurations.
const (
	DefaultID = "018d64e2-0000-7000-8000-000000000001"
	RHEL9ID   = "018d64e2-0000-7000-8000-000000000002"

	defaultAlias = "default-project-uuid"
)

// Seeds returns the projects there are from the start, and with dev those of
// the development stage.
func Seeds(dev bool) []Project {
	name, desc := "Default Project", "The project of builds that name none"
	seeds := []Project{{Meta: resource.Meta{ID: DefaultID}, Name: "default", DisplayName: &name, Description: &desc}}
	if dev {
		title, about := "RHEL 9", "RHEL 9 golden images"
		seeds = append(seeds, Project{Meta: resource.Meta{ID: RHEL9ID}, Name: "rhel-9", DisplayName: &title, Description: &about})
	}
	return seeds
}
