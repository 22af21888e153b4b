package cmd

import (
	"context"
	"errors"
	"strings"
	"testing"

	"bldst/cli/streams"
)

func TestBootstrap(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args      []string
		bootstrap func(context.Context, BootstrapOptions) (string, error)
		code      int
		out, err  string
	}{
		"the key is all there is on standard output": {[]string{"bootstrap", "--table", "t", "--username", "ada"},
			func(_ context.Context, o BootstrapOptions) (string, error) {
				return "key-of-" + o.Username + "-in-" + o.Table, nil
			}, 0, "key-of-ada-in-t\n", "shown this once"},
		"without a table it asks for one": {[]string{"bootstrap"}, nil, 2, "", "output TableName"},
		"a refusal is shown": {[]string{"bootstrap", "--table", "t"},
			func(context.Context, BootstrapOptions) (string, error) { return "", errors.New("no such table") }, 1, "", "no such table"},
	} {
		var out, errs strings.Builder
		f := &Factory{Streams: &streams.Streams{In: strings.NewReader(""), Out: &out, Err: &errs}, Bootstrap: c.bootstrap,
			Env: func(string) (string, bool) { return "", false }, Home: func() (string, error) { return t.TempDir(), nil }, Version: "test"}
		if code := Run(t.Context(), f, c.args); code != c.code || out.String() != c.out || !strings.Contains(errs.String(), c.err) {
			t.Errorf("%s: exit %d, %q, %q", name, code, out.String(), errs.String())
		}
	}
}
