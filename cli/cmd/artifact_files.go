package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"bldst/cli/files"

	"github.com/spf13/cobra"
)

type artifactPushOptions struct {
	files.Push
	Metadata string
}

func newArtifactPush(f *Factory, work run[artifactPushOptions]) *cobra.Command {
	var o artifactPushOptions
	var ref buildRef
	cmd := &cobra.Command{
		Use: "push [BUILD] NAME=PATH", Short: "Upload a file or folder and register it as an artifact", Args: positional(1, "BUILD", "NAME=PATH"),
		Long: `Upload a file or folder into the bucket of the deployment and register it as an
artifact. PATH - is standard input. It is read once, sent in parts, and checked
there; what was interrupted goes on where it was when the same command is run
again. No credential of a cloud is needed. A folder becomes a tar; what is not
written of a sparse image is not sent.`,
		Example: examples([]string{`artifact push "$BUILD" rootfs=work/rootfs.tar --state 25`, `artifact push "$BUILD" disk=work/disk.img --state 40 --type disk_image --final`}),
	}
	ref.declare(cmd)
	fs := cmd.Flags()
	fs.StringVar(&o.State, "state", "", "`CODE` or name of the state it is the result of (required)")
	fs.StringVar(&o.Type, "type", "", "type of the artifact (default file, archive or disk_image)")
	fs.StringVar(&o.Target, "target", "", "the part of the build it belongs to, e.g. a region")
	fs.BoolVar(&o.Final, "final", false, "the build is for it")
	fs.BoolVar(&o.NoResume, "not-resumable", false, "no resume restores it")
	fs.StringVar(&o.ExpiresAt, "expires-at", "", "when it may be gone, e.g. 2024-02-01T10:00:00Z")
	fs.StringVar(&o.Metadata, "metadata", "", "further data, a JSON object")
	fs.IntVar(&o.Attempt, "attempt", 0, "attempt of the build the caller belongs to")
	_ = cmd.MarkFlagRequired("state")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if o.Build, err = ref.id(cmd, args[:len(args)-1]); err != nil {
			return err
		}
		name, path, found := strings.Cut(args[len(args)-1], "=")
		if o.Name, o.Path = name, path; !found || name == "" || path == "" {
			return usage(cmd, fmt.Errorf("%q is not NAME=PATH", args[len(args)-1]))
		}
		if o.Metadata != "" && json.Unmarshal([]byte(o.Metadata), &o.Push.Metadata) != nil {
			return usage(cmd, fmt.Errorf("--metadata is no JSON object"))
		}
		return work(cmd.Context(), f, o)
	}
	return cmd
}

func runArtifactPush(ctx context.Context, f *Factory, o artifactPushOptions) error {
	m, err := f.mover(&o.Build)
	if err != nil {
		return err
	}
	if o.Path == "-" {
		o.Path, o.From = "", f.Streams.In
	}
	a, err := m.Push(ctx, o.Push)
	if err != nil {
		return err
	}
	return f.showArtifact(a, "Saved %s as artifact %s.", o.Name, a.ID)
}

type artifactPullOptions struct{ files.Pull }

func newArtifactPull(f *Factory, work run[artifactPullOptions]) *cobra.Command {
	var o artifactPullOptions
	var ref buildRef
	cmd := &cobra.Command{
		Use: "pull [BUILD] ARTIFACT [PATH]", Short: "Download the file or folder of an artifact, checked", Args: positional(1, "BUILD", "ARTIFACT", "PATH"),
		Long: `Download the file or folder of an artifact to PATH, by default its name in the
current folder. It is written beside PATH and takes its place when it is whole.
An artifact that is damaged is revoked: the resume plan goes on from the one
before it.`,
		Example: examples([]string{`artifact pull "$BUILD" rootfs`, `artifact pull "$BUILD" rootfs work/rootfs.tar --force`}),
	}
	ref.declare(cmd)
	cmd.Flags().BoolVar(&o.Replace, "force", false, "replace the file or folder that is there")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o.Build, args = ref.split(args)
		if o.Artifact = args[0]; len(args) > 1 {
			o.Path = args[1]
		}
		if len(args) > 2 {
			return usage(cmd, fmt.Errorf("unexpected argument %q", args[2]))
		}
		return work(cmd.Context(), f, o)
	}
	return cmd
}

func runArtifactPull(ctx context.Context, f *Factory, o artifactPullOptions) error {
	m, err := f.mover(&o.Build)
	if err != nil {
		return err
	}
	a, err := m.Pull(ctx, o.Pull)
	if err != nil {
		return err
	}
	return f.showArtifact(a, "Restored %s.", a.Name)
}

// split returns the build that is named, "" for the one of the environment, and
// the other arguments, of which there is at least one.
func (r *buildRef) split(args []string) (build string, rest []string) {
	switch {
	case r.flag != "":
		return r.flag, args
	case len(args) == 1:
		return "", args
	default:
		return args[0], args[1:]
	}
}

// mover returns what moves files, and replaces the build "" by the one the
// environment names.
func (f *Factory) mover(build *string) (*files.Mover, error) {
	if *build == "" {
		s, err := f.Settings()
		if err != nil {
			return nil, err
		}
		if *build = s.Env("BUILD_ID"); *build == "" {
			return nil, &badInput{errNoBuildNamed}
		}
	}
	c, err := f.Client()
	if err != nil {
		return nil, err
	}
	return &files.Mover{API: c}, nil
}

// showArtifact prints an artifact and says what was done.
func (f *Factory) showArtifact(a any, format string, args ...any) error {
	doc, err := json.Marshal(a)
	if err != nil {
		return err
	}
	if err := f.Printer().Object(doc, "id", "artifact_name", "state_code"); err != nil {
		return err
	}
	f.say(format, args...)
	return nil
}
