package step_test

import (
	"strings"
	"testing"

	"bldst/cli/step"
)

func TestASaveIsReadBeforeTheCommandRuns(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"ami":              "must be NAME=PATH",
		"=x":               "must be NAME=PATH",
		"x=":               "must be NAME=PATH",
		"x=ref:@":          "must be NAME=PATH",
		"two\nlines=a.tar": "must not hold control characters",
	} {
		if _, err := step.ParseSave(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if sv, err := step.ParseSave("it's $(x)=a=b.tar"); err != nil || sv.Name != "it's $(x)" || sv.Path != "a=b.tar" {
		t.Errorf("%+v, %v", sv, err)
	}
}
