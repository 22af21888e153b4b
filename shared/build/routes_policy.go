package build

import (
	"context"
	"net/http"
	"time"

	"bldst/shared/api"
	"bldst/shared/auth"
	"bldst/shared/problem"
)

// A PolicyService serves what projects want done about failures, and the
// breakers of their image lines.
type PolicyService struct{ Store PolicyStore }

// Examples for the documentation.
var (
	examplePolicy = Policy{Automatic: true, MaxTotal: 86400, Breaker: &BreakerRule{Failures: 5, Within: 86400},
		Classes: map[Class]ClassPolicy{Transient: {Retries: 3, Backoff: []int{60, 300, 900}}, Quota: {Retries: 3, Backoff: []int{3600}}}}
	exampleOpened  = time.Date(2024, 2, 1, 12, 0, 0, 0, time.UTC)
	exampleBreaker = Breaker{ID: "0190c0de-0000-7000-8000-000000000001~aws-commercial~rhel-8.8~base", ProjectID: "0190c0de-0000-7000-8000-000000000001",
		PlatformID: "aws-commercial", OSVersionID: "rhel-8.8", ImageTypeID: "base", Open: true, OpenedAt: &exampleOpened,
		Reason: "5 builds of it failed within 24h0m0s.", Failures: []time.Time{exampleOpened}}
)

// MountPolicy adds the endpoints of the policy of a project.
func (s *PolicyService) MountPolicy(a *api.API) {
	const tag = "Projects"
	api.Handle(a, api.Op{ID: "get-policy", Method: http.MethodGet, Path: "/projects/{id}/policy", Scope: auth.Read, Tag: tag,
		Summary: "Get what a project wants done about failures", Description: "A project without a policy resumes nothing automatically; the answer then shows the defaults.",
		Problems: []problem.Kind{problem.NotFound}, Answer: examplePolicy}, s.policy)
	api.Handle(a, api.Op{ID: "set-policy", Method: http.MethodPut, Path: "/projects/{id}/policy", Scope: auth.Write, Tag: tag,
		Summary: "Set what a project wants done about failures", Description: policyDoc,
		Problems: []problem.Kind{problem.NotFound, problem.PreconditionFailed}, Request: examplePolicy, Answer: examplePolicy}, s.setPolicy)
}

const policyDoc = "Replaces the whole policy. A class that is not named keeps its default; the last backoff of a class holds for all further resumes. " +
	"After `breaker.failures` failures of builds of one image line (project, platform, OS version, image type) within `breaker.within_seconds` its breaker opens: " +
	"nothing of the line is resumed automatically, and resumes that are asked for need `force`, until a person closes it or a build of the line is completed."

// MountBreakers adds the endpoints of breakers.
func (s *PolicyService) MountBreakers(a *api.API) {
	const tag = "Resume"
	gone := []problem.Kind{problem.NotFound}
	api.Handle(a, api.Op{ID: "list-breakers", Method: http.MethodGet, Path: "/breakers", Scope: auth.Read, Tag: tag,
		Summary: "List the open breakers, the newest first", Answer: []Breaker{exampleBreaker}}, s.breakers)
	api.Handle(a, api.Op{ID: "get-breaker", Method: http.MethodGet, Path: "/breakers/{id}", Scope: auth.Read, Tag: tag,
		Summary: "Get the breaker of an image line, open or not", Problems: gone, Answer: exampleBreaker}, s.breaker)
	api.Handle(a, api.Op{ID: "close-breaker", Method: http.MethodPost, Path: "/breakers/{id}/close", Scope: auth.Write, Tag: tag,
		Summary: "Let an image line be resumed again", Description: "Forgets the failures that opened it. Closing a closed breaker changes nothing.", Problems: gone, Answer: exampleBreaker}, s.closeBreaker)
}

type policyIn struct {
	ID string `path:"id" maxLength:"200" doc:"Id or name of the project."`
}

func (s *PolicyService) policy(ctx context.Context, in *policyIn) (*api.Object[Policy], error) {
	p, err := s.Store.Policy(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return api.Rev(p.Rev, p), nil
}

type setPolicyIn struct {
	ID string `path:"id" maxLength:"200" doc:"Id or name of the project."`
	api.Match
	Body Policy
}

func (s *PolicyService) setPolicy(ctx context.Context, in *setPolicyIn) (*api.Object[Policy], error) {
	p, err := in.Body.Normalise()
	if err != nil {
		return nil, err
	}
	p, err = s.Store.SetPolicy(ctx, in.ID, p, in.Check)
	if err != nil {
		return nil, err
	}
	return api.Rev(p.Rev, p), nil
}

func (s *PolicyService) breakers(ctx context.Context, in *breakersIn) (*api.List[Breaker], error) {
	ks, err := s.Store.Breakers(ctx)
	if err != nil {
		return nil, err
	}
	return api.Window(in.Page, ks)
}

type breakersIn struct{ api.Page }

type breakerIn struct {
	ID string `path:"id" maxLength:"1000" doc:"The image line, as the list shows it."`
}

func (s *PolicyService) breaker(ctx context.Context, in *breakerIn) (*api.Object[Breaker], error) {
	return breakerOut(s.Store.Breaker(ctx, in.ID))
}

func (s *PolicyService) closeBreaker(ctx context.Context, in *breakerIn) (*api.Object[Breaker], error) {
	return breakerOut(s.Store.CloseBreaker(ctx, in.ID))
}

func breakerOut(k *Breaker, err error) (*api.Object[Breaker], error) {
	if err != nil {
		return nil, err
	}
	if k.Failures == nil {
		k.Failures = []time.Time{}
	}
	return api.Rev(k.Rev, *k), nil
}
