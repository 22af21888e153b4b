package cmd

import (
	"errors"
	"fmt"
	"strings"

	"bldst/shared/client"

	"github.com/spf13/cobra"
)

// buildColumns are the columns of lists of builds, for programs.
var buildColumns = []string{"id", "build_number", "platform_id", "os_version_id", "image_type_id", "current_state", "status", "created_at"}

// buildColumns are the columns of lists of builds. People see the number only,
// which stands for the id everywhere.
func (f *Factory) buildColumns() []string {
	if f.Streams.OutTTY {
		return buildColumns[1:]
	}
	return buildColumns
}

func newBuild(f *Factory) *cobra.Command {
	group := newGroup("build", "Work with builds", "builds")
	group.AddCommand(
		newBuildCreate(f, runBuildCreate), newBuildGet(f, runBuildGet), newBuildList(f, runBuildList), newBuildUpdate(f, runBuildUpdate),
		newBuildAddState(f, runBuildAddState), newBuildAddFailure(f, runBuildAddFailure),
		newBuildStates(f, runBuildStates), newBuildFailures(f, runBuildFailures), newBuildHistory(f, runBuildHistory),
		newBuildResume(f, runBuildResume), newBuildResumePlan(f, runBuildResumePlan), newBuildResumeContext(f, runBuildResumeContext),
		newBuildWatch(f, runBuildWatch), newBuildLogs(f, runBuildLogs), newBuildOpen(f, runBuildOpen),
	)
	return f.add(group, append(buildEnds, resumeRequests("resume-requests"), artifactCreate("add-artifact", "Register an artifact of a build"))...)
}

// A buildRef is how a command names its build: as the argument, as --build-id
// or by the variable BLDST_BUILD_ID.
type buildRef struct{ flag string }

func (r *buildRef) declare(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.flag, "build-id", "", "`ID` of the build, instead of the argument (default BLDST_BUILD_ID)")
	_ = cmd.Flags().SetAnnotation("build-id", setsMember, []string{"builds"})
	annotate(cmd, argKinds, "builds")
}

// id returns what argv names, "" for nothing.
func (r *buildRef) id(cmd *cobra.Command, args []string) (string, error) {
	switch {
	case len(args) == 0:
		return strings.TrimSpace(r.flag), nil
	case r.flag != "" && r.flag != args[0]:
		return "", usage(cmd, fmt.Errorf("two builds are named: %s and --build-id %s", args[0], r.flag))
	default:
		return args[0], nil
	}
}

var errNoBuildNamed = errors.New("name the build: its id or number, as the argument, with --build-id or in BLDST_BUILD_ID")

// buildPath returns the path of the build called id, or else of the one the
// environment names.
func (f *Factory) buildPath(id string, more ...string) (string, error) {
	if id == "" {
		s, err := f.Settings()
		if err != nil {
			return "", err
		}
		if id = s.Env("BUILD_ID"); id == "" {
			return "", &badInput{errNoBuildNamed}
		}
	}
	return client.Path(append([]string{"builds", id}, more...)...), nil
}
