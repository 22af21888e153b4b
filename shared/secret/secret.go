// Package secret turns a reference to a credential into the credential. Rows
// of the table hold references only:
//
//	env:BLDST_CI_JENKINS        a variable of the environment of the function,
//	                            whose value may be one of the next two
//	ssm:/bldst/ci/jenkins       a parameter of Systems Manager, decrypted
//	secretsmanager:bldst/ci     a secret of Secrets Manager
//
// Which names may be referred to is limited by prefixes, so that a reference in
// a project cannot reach any other secret of the environment or the account.
package secret

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"bldst/shared/problem"
)

// A Source hands out credentials.
type Source interface {
	// Secret returns what ref refers to. Its errors name the reference and
	// never the credential.
	Secret(ctx context.Context, ref string) (string, error)
}

// EnvPrefix begins the names of the variables that may be referred to, and
// PathPrefix those of the parameters and secrets.
const (
	EnvPrefix  = "BLDST_CI_"
	PathPrefix = "bldst/"
)

// longest is the length of the longest name. (As {1,512} of the expression it
// would be compiled 512 times, at the start of every program.)
const longest = 512

var name = regexp.MustCompile(`^[A-Za-z0-9_./-]+$`)

// Check returns a Refused problem for what is not a reference that may be used:
// a credential given in its place must not be stored.
func Check(ref string) error {
	kind, rest, _ := strings.Cut(ref, ":")
	fine := len(rest) <= longest && name.MatchString(rest)
	switch kind {
	case "env":
		fine = fine && strings.HasPrefix(rest, EnvPrefix)
	case "ssm", "secretsmanager":
		fine = fine && strings.HasPrefix(strings.TrimPrefix(rest, "/"), PathPrefix) && !strings.Contains(rest, "..")
	default:
		fine = false
	}
	if !fine {
		return problem.New(problem.Refused, "A credential is given as a reference: env:%sNAME, ssm:/%sNAME or secretsmanager:%sNAME.", EnvPrefix, PathPrefix, PathPrefix)
	}
	return nil
}

// Parameters reads parameters of Systems Manager by their full name.
type Parameters interface {
	Parameter(ctx context.Context, name string) (string, error)
}

// Sources finds credentials where their references say.
type Sources struct {
	Env        func(string) (string, bool)
	Parameters Parameters // nil where there are none
}

// Secret implements Source. A variable may hold a reference, so that a stage can
// say where a credential is and never the credential.
func (s Sources) Secret(ctx context.Context, ref string) (string, error) {
	if err := Check(ref); err != nil {
		return "", err
	}
	kind, rest, _ := strings.Cut(ref, ":")
	var v string
	var err error
	if kind == "env" {
		if v = s.env(rest); Check(v) == nil && !strings.HasPrefix(v, "env:") {
			return s.Secret(ctx, v)
		}
	} else {
		v, err = s.parameter(ctx, kind, rest)
	}
	if err != nil {
		return "", fmt.Errorf("the credential %s cannot be read: %w", ref, err)
	}
	if v == "" {
		return "", fmt.Errorf("the credential %s is empty or does not exist", ref)
	}
	return v, nil
}

// parameter reads a parameter, or a secret of Secrets Manager through Systems
// Manager.
func (s Sources) parameter(ctx context.Context, kind, name string) (string, error) {
	if s.Parameters == nil {
		return "", errors.New("there is no Systems Manager here")
	}
	if kind == "secretsmanager" {
		name = "/aws/reference/secretsmanager/" + name
	}
	return s.Parameters.Parameter(ctx, name)
}

func (s Sources) env(name string) string {
	if s.Env == nil {
		return ""
	}
	v, _ := s.Env(name)
	return strings.TrimSpace(v)
}
