package cmd

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"

	"bldst/shared/client"

	"github.com/spf13/cobra"
)

// A noun is a kind of thing that has the six common verbs: create, get, list,
// update, delete and restore. Each verb is one file, noun_VERB.go. A noun that
// needs nothing else is one entry of nouns.
type noun struct {
	name    string // of the command
	plural  string // another name of the command, and the API's path
	title   string // in sentences, with its article
	fields  []field
	columns []string // of a list
	id      string   // in examples
	example string   // flags of a create
}

var nouns = []noun{
	{
		name: "platform", plural: "platforms", title: "a platform",
		fields: []field{
			{flag: "name", key: "name", required: true, usage: "name"},
			{flag: "cloud-provider", key: "cloud_provider", required: true, usage: "cloud it belongs to, e.g. aws"},
			{flag: "region", key: "region", usage: "region"},
			{flag: "display-name", key: "display_name", usage: "name for people"},
		},
		columns: []string{"id", "name", "cloud_provider", "region", "created_at"},
		id:      "aws-commercial", example: "--name oci-frankfurt --cloud-provider oci --region eu-frankfurt-1",
	},
	{
		name: "os-version", plural: "os-versions", title: "an OS version",
		fields: []field{
			{flag: "name", key: "name", required: true, usage: "name of the operating system"},
			{flag: "version", key: "version", required: true, usage: "version"},
			{flag: "display-name", key: "display_name", usage: "name for people"},
		},
		columns: []string{"id", "name", "version", "created_at"},
		id:      "rhel-9.3", example: "--name rhel --version 9.6",
	},
	{
		name: "image-type", plural: "image-types", title: "an image type",
		fields: []field{
			{flag: "name", key: "name", required: true, usage: "name"},
			{flag: "description", key: "description", usage: "what it is for"},
			{flag: "display-name", key: "display_name", usage: "name for people"},
		},
		columns: []string{"id", "name", "description", "created_at"},
		id:      "base", example: "--name builder --description 'CI runner'",
	},
	plainNoun("cloud-provider", "cloud-providers", "a cloud provider", "--name aws --display-name 'Amazon Web Services'"),
	plainNoun("os-distribution", "os-distributions", "an OS distribution", "--name ubuntu --display-name Ubuntu"),
	plainNoun("image-variant", "image-variants", "an image variant", "--name hardened --display-name 'Hardened image'"),
	{
		name: "project", plural: "projects", title: "a project",
		fields: []field{
			{flag: "name", key: "name", required: true, usage: "name"},
			{flag: "description", key: "description", usage: "what it is for"},
			{flag: "parent-id", key: "parent_project_id", usage: "project it belongs to", also: []string{"parent-project-id"}},
			{flag: "display-name", key: "display_name", usage: "name for people"},
		},
		columns: []string{"id", "name", "description", "is_active", "created_at"},
		id:      "default", example: "--name golden-images --description 'Base images of all teams'",
	},
}

func plainNoun(name, plural, title, example string) noun {
	return noun{
		name: name, plural: plural, title: title, example: example, id: "ID",
		fields: []field{
			{flag: "name", key: "name", required: true, usage: "name"},
			{flag: "display-name", key: "display_name", required: true, usage: "name for people"},
			{flag: "description", key: "description", usage: "what it is"},
		},
		columns: []string{"id", "name", "display_name", "description"},
	}
}

func newNoun(f *Factory, n noun) *cobra.Command {
	group := newGroup(n.name, "Work with "+n.many(), n.plural)
	group.AddCommand(
		newNounCreate(f, n, runNounCreate), newNounGet(f, n, runNounGet), newNounList(f, n, runNounList),
		newNounUpdate(f, n, runNounUpdate), newNounDelete(f, n, runNounDelete), newNounRestore(f, n, runNounRestore),
	)
	return group
}

// one returns the noun as a sentence names one that follows, e.g. "OS version".
func (n noun) one() string {
	_, one, _ := strings.Cut(n.title, " ")
	return one
}

// many returns the noun as a sentence names several.
func (n noun) many() string { return n.one() + "s" }

// send calls the API and prints the object it answers with.
func (f *Factory) send(ctx context.Context, method, path string, query url.Values, in any) (json.RawMessage, error) {
	out, err := f.call(ctx, method, path, query, in)
	if err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, f.Printer().Object(out, "id")
}

// call calls the API with the user's credential.
func (f *Factory) call(ctx context.Context, method, path string, query url.Values, in any) (json.RawMessage, error) {
	c, err := f.Client()
	if err != nil {
		return nil, err
	}
	var out json.RawMessage
	err = c.Do(ctx, method, path, query, in, &out)
	return out, err
}

func (n noun) path(id ...string) string {
	return client.Path(append([]string{n.plural}, id...)...)
}

// deactivated is the query that includes what was deleted.
func deactivated(include bool) url.Values {
	q := url.Values{}
	if include {
		q.Set("include_deactivated", "true")
	}
	return q
}
