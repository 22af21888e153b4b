package cmd

import (
	"context"
	"path"
	"strings"

	"github.com/spf13/cobra"
)

var artifactColumns = []string{"id", "state_code", "artifact_name", "artifact_type", "artifact_path", "size_bytes", "is_resumable", "created_at"}

var artifactArg = arg{name: "ID", usage: "artifact", flags: []string{"artifact-id"}, kind: "artifacts"}

var uploadArg = arg{name: "UPLOAD", usage: "upload", flags: []string{"upload-id"}}

var artifactFields = []field{
	{flag: "name", key: "artifact_name", usage: "name, unique in the build (default: the last part of the path)", also: []string{"artifact-name"}},
	{flag: "type", key: "artifact_type", required: true, usage: "ami, ebs_snapshot, disk_image, vm_snapshot, …", also: []string{"artifact-type"}},
	{flag: "path", key: "artifact_path", required: true, usage: "where it lies: a URI, a path or an id of the cloud", also: []string{"location", "artifact-path", "artifact-location"}},
	{flag: "state", key: "state_code", kind: state, usage: "state that made it", also: []string{"state-code"}},
	{flag: "backend", key: "storage_backend", usage: "s3, azure_blob, gcp_storage, nfs, local, … (default: from the path)", also: []string{"storage-backend"}},
	{flag: "region", key: "storage_region", usage: "region it lies in", also: []string{"storage-region"}},
	{flag: "bucket", key: "storage_bucket", usage: "bucket it lies in", also: []string{"storage-bucket"}},
	{flag: "key", key: "storage_key", usage: "its key in the bucket", also: []string{"storage-key"}},
	{flag: "size", key: "size_bytes", kind: integer, usage: "size in bytes", also: []string{"size-bytes"}},
	{flag: "checksum", key: "checksum", usage: "checksum, in hexadecimal", also: []string{"checksum-value"}},
	{flag: "checksum-algorithm", key: "checksum_algorithm", usage: "of the checksum (default sha256)", also: []string{"checksum-type"}},
	{flag: "target", key: "target", usage: "target of the state it belongs to"},
}

var artifactMarks = []field{
	{flag: "resumable", key: "is_resumable", kind: boolean, usage: "a build can go on from it (default true)", also: []string{"is-resumable"}},
	{flag: "not-resumable", key: "is_resumable", kind: negated, usage: "a build cannot go on from it"},
	{flag: "final", key: "is_final", kind: boolean, usage: "it is what the build is for", also: []string{"is-final"}},
	{flag: "not-final", key: "is_final", kind: negated, usage: "it is a step on the way"},
	{flag: "expires-at", key: "expires_at", usage: "when it is removed, e.g. 2030-01-31T00:00:00Z"},
	{flag: "metadata", key: "metadata", kind: object, usage: "further data, a JSON object or @FILE"},
}

var artifactFilters = []field{
	{flag: "state", key: "state_code", kind: state, usage: "only those of this state", also: []string{"state-code"}},
	{flag: "type", key: "artifact_type", usage: "only those of this type", also: []string{"artifact-type"}},
	{flag: "resumable", key: "is_resumable", kind: boolean, usage: "only those a build can go on from", also: []string{"is-resumable"}},
	{flag: "final", key: "is_final", kind: boolean, usage: "only those the build is for", also: []string{"is-final"}},
	includeDeleted,
}

// includeDeleted is the flag of what can be restored.
var includeDeleted = field{flag: "include-deactivated", key: "include_deactivated", kind: boolean, usage: "also what was deleted"}

func newArtifact(f *Factory) *cobra.Command {
	group := newGroup("artifact", "Work with artifacts of builds", "artifacts")
	group.AddCommand(newArtifactPush(f, runArtifactPush), newArtifactPull(f, runArtifactPull), newArtifactVerify(f, runArtifactVerify))
	return f.add(group,
		artifactCreate("create", "Register an artifact that lies somewhere", "register", "record"),
		endpoint{use: "list", short: "List the artifacts of a build", example: []string{`artifact list "$BUILD" --state 40 --resumable`},
			call: "GET /builds/{id}/artifacts", args: []arg{buildArg}, query: artifactFilters, columns: artifactColumns},
		endpoint{use: "list-resumable", short: "List the artifacts a build can go on from", example: []string{`artifact list-resumable "$BUILD"`},
			call: "GET /builds/{id}/artifacts", args: []arg{buildArg}, fixed: body{"is_resumable": true}, columns: artifactColumns},
		endpoint{use: "get", short: "Print an artifact", example: []string{`artifact get "$BUILD" 0190b8a0-5c9e-7cc3-8f3b-0f1d2e3c4b5a`},
			call: "GET /builds/{id}/artifacts/{aid}", args: []arg{buildArg, artifactArg}, query: []field{includeDeleted}},
		endpoint{use: "update", short: "Change an artifact", example: []string{`artifact update "$BUILD" root-fs --not-resumable`},
			long: "Change an artifact. What is not given stays as it is. Path, checksum and size say\nwhat the artifact is: change them together.",
			call: "PATCH /builds/{id}/artifacts/{aid}", args: []arg{buildArg, artifactArg}, change: true, said: "Updated artifact %s.",
			body: append(optional(only(artifactFields, "name", "type", "path", "size", "checksum", "checksum-algorithm")), artifactMarks...)},
		endpoint{use: "delete", short: "Delete an artifact's record; the file stays", example: []string{`artifact delete "$BUILD" root-fs --yes`},
			call: "DELETE /builds/{id}/artifacts/{aid}", args: []arg{buildArg, artifactArg}, ask: "Delete artifact %s?", said: "Deleted artifact %s. 'bldst artifact restore' brings it back."},
		endpoint{use: "restore", short: "Bring back the record of an artifact that was deleted", example: []string{`artifact restore "$BUILD" 0190b8a0-5c9e-7cc3-8f3b-0f1d2e3c4b5a`},
			call: "POST /builds/{id}/artifacts/{aid}/restore", args: []arg{buildArg, artifactArg}, said: "Restored artifact %s."},
		endpoint{use: "revoke", short: "Say that an artifact must not be used: no build goes on from it", example: []string{`artifact revoke "$BUILD" root-fs --reason 'made with a broken mirror'`},
			call: "POST /builds/{id}/artifacts/{aid}/revoke", args: []arg{buildArg, artifactArg}, said: "Revoked artifact %s.",
			body: []field{{flag: "reason", key: "reason", required: true, usage: "why"}}},
		endpoint{use: "list-uploads", short: "List the uploads that are not complete", example: []string{`artifact list-uploads "$BUILD"`},
			call: "GET /builds/{id}/uploads", args: []arg{buildArg}, columns: []string{"id", "artifact_name", "state_code", "attempt", "size_bytes", "expires_at"}},
		endpoint{use: "get-upload", short: "Print an upload", example: []string{`artifact get-upload "$BUILD" 0190b8a0-5c9e-7cc3-8f3b-0f1d2e3c4b5a`},
			call: "GET /builds/{id}/uploads/{uid}", args: []arg{buildArg, uploadArg}},
		endpoint{use: "abort-upload", short: "Throw away what has been sent of an upload that is not complete", example: []string{`artifact abort-upload "$BUILD" 0190b8a0-5c9e-7cc3-8f3b-0f1d2e3c4b5a`},
			call: "DELETE /builds/{id}/uploads/{uid}", args: []arg{buildArg, uploadArg}, said: "Threw upload %s away."},
	)
}

// artifactCreate is artifact create and build add-artifact.
func artifactCreate(use, short string, aliases ...string) endpoint {
	group := "artifact"
	if strings.HasPrefix(use, "add-") {
		group = "build"
	}
	return endpoint{use: use, aliases: aliases, short: short,
		long: "Register an artifact that lies somewhere: an image, a snapshot, a file. 'register'\nand 'record' are the same.",
		example: []string{
			group + " " + use + ` "$BUILD" --name root-fs --type disk_image --path s3://images/40/root.img --state 40 --size 2147483648 --checksum 9f86d081…`,
			group + " " + use + ` --build-id "$BUILD" --artifact-type ami --artifact-location ami-0abc --state-code 40 --final`,
		},
		call: "POST /builds/{id}/artifacts", args: []arg{buildArg}, body: append(append([]field{}, artifactFields...), artifactMarks...),
		complete: completeArtifact, first: []string{"id", "artifact_name", "state_code"}, said: "Registered artifact %s."}
}

// completeArtifact derives the name, and where an artifact lies, from its path.
func completeArtifact(_ context.Context, _ *Factory, b body) error {
	where, _ := b["artifact_path"].(string)
	if _, given := b["artifact_name"]; !given {
		b["artifact_name"] = path.Base(strings.TrimRight(where, "/"))
	}
	if _, given := b["storage_backend"]; !given {
		b["storage_backend"] = backendOf(where)
	}
	return nil
}

// backends are the kinds of storage by the beginning of an address.
var backends = []struct{ prefix, backend string }{
	{"s3://", "s3"}, {"gs://", "gcp_storage"}, {"az://", "azure_blob"}, {"nfs://", "nfs"}, {"http://", "http"}, {"https://", "http"},
	{"vsphere://", "vsphere"}, {"ami-", "aws"}, {"snap-", "aws"}, {"arn:", "aws"}, {"/subscriptions/", "azure"}, {"projects/", "gcp"},
}

func backendOf(address string) string {
	for _, b := range backends {
		if strings.HasPrefix(address, b.prefix) {
			return b.backend
		}
	}
	return "local"
}

// only returns the fields with these flags.
func only(fields []field, flags ...string) []field {
	var out []field
	for _, fd := range fields {
		for _, name := range flags {
			if fd.flag == name {
				out = append(out, fd)
			}
		}
	}
	return out
}
