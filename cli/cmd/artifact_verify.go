package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"bldst/cli/files"
	"bldst/shared/build"
	"bldst/shared/client"
	"bldst/shared/problem"

	"github.com/spf13/cobra"
)

type artifactVerifyOptions struct {
	Build    string
	Artifact string // "": all
}

func newArtifactVerify(f *Factory, work run[artifactVerifyOptions]) *cobra.Command {
	var o artifactVerifyOptions
	var ref buildRef
	cmd := &cobra.Command{
		Use: "verify [BUILD] [ARTIFACT]", Short: "Read the files of artifacts and compare them with what was registered", Args: positional(0, "BUILD", "ARTIFACT"),
		Long: `Read the file of an artifact, or of all that were uploaded and can still be
restored, and compare it with the size and SHA-256 that were registered. What is
damaged is revoked: the resume plan goes on from the one before it.`,
		Example: examples([]string{`artifact verify "$BUILD" rootfs`, `artifact verify "$BUILD"`}),
	}
	ref.declare(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if ref.flag != "" && len(args) > 0 {
			o.Build, o.Artifact = ref.flag, args[0]
			return work(cmd.Context(), f, o)
		}
		if o.Build, err = ref.id(cmd, args[:min(len(args), 1)]); err != nil {
			return err
		}
		if len(args) > 1 {
			o.Artifact = args[1]
		}
		return work(cmd.Context(), f, o)
	}
	return cmd
}

func runArtifactVerify(ctx context.Context, f *Factory, o artifactVerifyOptions) error {
	m, err := f.mover(&o.Build)
	if err != nil {
		return err
	}
	if o.Artifact != "" {
		_, err := m.Verify(ctx, files.Pull{Build: o.Build, Artifact: o.Artifact})
		if err == nil {
			f.say("%s is whole.", o.Artifact)
		}
		return err
	}
	return f.verifyAll(ctx, m, o.Build)
}

// verifyAll verifies every artifact of a build that can be restored from the
// bucket. One that is damaged does not keep it from the others.
func (f *Factory) verifyAll(ctx context.Context, m *files.Mover, ref string) error {
	items, _, err := m.API.List(ctx, client.Path("builds", ref, "artifacts"), url.Values{}, 0)
	if err != nil {
		return err
	}
	var bad []error
	read := 0
	for _, doc := range items {
		var a build.Artifact
		if err := json.Unmarshal(doc, &a); err != nil {
			return err
		}
		if a.RevokedAt != nil || a.Key == nil {
			continue
		}
		_, err := m.Verify(ctx, files.Pull{Build: ref, Artifact: a.ID})
		switch {
		case problem.Is(err, problem.Conflict): // it lies elsewhere
			continue
		case err != nil:
			bad = append(bad, err)
		default:
			f.say("%s is whole.", a.Name)
		}
		read++
	}
	if read == 0 {
		f.say("No artifact of the build was uploaded and can be restored.")
	}
	if len(bad) > 1 {
		return fmt.Errorf("%d of %d artifacts are not whole: %w", len(bad), read, errors.Join(bad...))
	}
	return errors.Join(bad...)
}
