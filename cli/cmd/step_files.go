package cmd

import (
	"context"
	"errors"
	"strconv"

	"bldst/cli/files"
	"bldst/cli/step"
)

// stepFiles moves the checkpoints of a step.
type stepFiles struct{ mover *files.Mover }

// Push implements step.Files.
func (m stepFiles) Push(ctx context.Context, build string, sv step.Save, state, attempt int) error {
	_, err := m.mover.Push(ctx, files.Push{Build: build, Name: sv.Name, State: strconv.Itoa(state), Path: sv.Path, Attempt: attempt,
		Metadata: map[string]any{"restore_to": sv.RestoreTo()}})
	return err
}

// Pull implements step.Files.
func (m stepFiles) Pull(ctx context.Context, build, artifact, path string, attempt int) error {
	_, err := m.mover.Pull(ctx, files.Pull{Build: build, Artifact: artifact, Path: path, Replace: true, Attempt: attempt, Outside: true}) // the step looks at links itself
	var damaged *files.Corrupt
	if errors.As(err, &damaged) && damaged.Reported {
		return &step.Damaged{Err: err}
	}
	return err
}
