package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"bldst/shared/client"
	"bldst/shared/problem"
	"bldst/shared/version"
)

// apiVersion is the version of the API this program was made for: its own.
const apiVersion = version.Number

const updateHint = "update bldst: the release that fits is named like the service's"

// newerThan reports whether version a has a larger major or minor number than
// b; what is no version is not newer.
func newerThan(a, b string) bool {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range 2 {
		if i >= len(x) || i >= len(y) {
			return false
		}
		m, err1 := strconv.Atoi(x[i])
		n, err2 := strconv.Atoi(y[i])
		if err1 != nil || err2 != nil || m != n {
			return err1 == nil && err2 == nil && m > n
		}
	}
	return false
}

// outdated returns the version of a service that is newer than this program,
// when that may be why it was not understood; "" otherwise. It asks the service
// only about such errors.
func (f *Factory) outdated(ctx context.Context, err error) string {
	if !misunderstood(err) {
		return ""
	}
	c, err := f.Anonymous(true)
	if err != nil {
		return ""
	}
	var status struct {
		Version string `json:"version"`
	}
	if c.Do(ctx, "GET", "/status", nil, nil, &status) != nil || !newerThan(status.Version, apiVersion) {
		return ""
	}
	return status.Version
}

// misunderstood reports whether both sides do not speak the same API: there is
// no such path or method, or the answer is of another shape.
func misunderstood(err error) bool {
	var ce *client.Error
	var shape *json.UnmarshalTypeError
	switch {
	case errors.As(err, &shape):
		return true
	case !errors.As(err, &ce):
		return false
	case ce.Problem.Kind == problem.MethodNotAllowed, ce.Problem.Kind == problem.Invalid:
		return true
	default:
		return ce.Status == 404 && ce.Problem.Detail == "Not Found" // of the router; a missing thing is named
	}
}

// explain adds to err that the service is newer, where that is so.
func (f *Factory) explain(ctx context.Context, err error) error {
	version := f.outdated(ctx, err)
	if version == "" {
		return err
	}
	return hint(err, fmt.Sprintf("The API is version %s, this bldst %s was made for %s: %s.", version, f.Version, apiVersion, updateHint))
}
