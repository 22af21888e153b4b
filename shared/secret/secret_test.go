package secret_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"bldst/shared/problem"
	"bldst/shared/secret"
)

// parameters are those of a Systems Manager.
type parameters map[string]string

func (p parameters) Parameter(_ context.Context, name string) (string, error) {
	if v, ok := p[name]; ok {
		return v, nil
	}
	return "", errors.New("ParameterNotFound")
}

func TestReferencesLeadToTheirSecrets(t *testing.T) {
	t.Parallel()
	s := secret.Sources{
		Env: func(name string) (string, bool) {
			v, ok := map[string]string{"BLDST_CI_JENKINS": " bob:token\n", "BLDST_CI_STAGE": "ssm:/bldst/ci/gitlab", "BLDST_CI_GONE": "ssm:/bldst/gone"}[name]
			return v, ok
		},
		Parameters: parameters{"/bldst/ci/gitlab": "glptt", "/aws/reference/secretsmanager/bldst/ci": "ghp"},
	}
	for ref, want := range map[string]string{"env:BLDST_CI_JENKINS": "bob:token", "ssm:/bldst/ci/gitlab": "glptt", "secretsmanager:bldst/ci": "ghp",
		"env:BLDST_CI_STAGE": "glptt"} {
		if got, err := s.Secret(t.Context(), ref); got != want || err != nil {
			t.Errorf("%s: %q %v, want %q", ref, got, err, want)
		}
	}
	for _, ref := range []string{"env:BLDST_CI_NOBODY", "ssm:/bldst/nothing"} {
		if got, err := s.Secret(t.Context(), ref); err == nil || !strings.Contains(err.Error(), ref) {
			t.Errorf("%s: %q %v", ref, got, err)
		}
	}
	if _, err := s.Secret(t.Context(), "env:BLDST_CI_GONE"); err == nil || !strings.Contains(err.Error(), "ssm:/bldst/gone") {
		t.Errorf("a variable that refers to nothing: %v", err)
	}
	if _, err := (secret.Sources{}).Secret(t.Context(), "ssm:/bldst/ci"); err == nil {
		t.Error("a parameter was found without a Systems Manager")
	}
}

func TestWhatIsNoReferenceIsRefused(t *testing.T) {
	t.Parallel()
	for _, ref := range []string{"", "token", "ghp_abcdef", "env:", "env:HOME", "env:AWS_SECRET_ACCESS_KEY", "env:JWT_KEYS", "ssm:/other/thing", "ssm:/bldst/../other",
		"secretsmanager:prod/db", "secretsmanager:arn:aws:secretsmanager:us-east-1:1:secret:x", "file:/etc/passwd", "env:BLDST_CI_A B", "ENV:BLDST_CI_A"} {
		if err := secret.Check(ref); !problem.Is(err, problem.Refused) || ref != "" && strings.Contains(err.Error(), "ghp_abcdef") {
			t.Errorf("%q: %v", ref, err)
		}
		if v, err := (secret.Sources{Env: func(string) (string, bool) { return "leaked", true }}).Secret(t.Context(), ref); err == nil {
			t.Errorf("%q leads to %q", ref, v)
		}
	}
}
