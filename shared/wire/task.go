package wire

import (
	"context"
	"encoding/json"
	"fmt"
)

// A task is a function that is invoked with one JSON document and answers with
// another. It is not made with lambda.NewHandler: what the Invoke of that
// returns is overwritten by a later call, and the host on one machine makes
// several calls at a time.
type task[In, Out any] func(context.Context, In) (Out, error)

// Invoke implements lambda.Handler.
func (t task[In, Out]) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var in In
	if err := json.Unmarshal(payload, &in); err != nil {
		return nil, fmt.Errorf("input: %w", err)
	}
	out, err := t(ctx, in)
	if err != nil {
		return nil, err
	}
	return json.Marshal(out)
}

// invoke returns f as a Lambda handler.
func invoke[In, Out any](f func(context.Context, In) (Out, error)) task[In, Out] { return f }
