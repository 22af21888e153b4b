package health

import (
	"context"
	"net/http"
	"time"

	"bldst/shared/api"
)

// Mount adds the endpoints to a. All are public.
func (s *Service) Mount(a *api.API) {
	get := func(id, path, summary string, answer any) api.Op {
		return api.Op{ID: id, Method: http.MethodGet, Path: path, Tag: "Health", Summary: summary, Answer: answer}
	}
	root := get("get-root", "/", "Name and version of the API", s.root())
	root.Tag = "default"
	at := time.Date(2024, 2, 1, 10, 0, 0, 0, time.UTC)
	api.Handle(a, root, func(context.Context, *struct{}) (*answer[Root], error) { return ok(s.root()), nil })
	api.Handle(a, get("get-health", "/health", "Whether the service is healthy", Health{Status: "healthy", Timestamp: at}), s.health)
	api.Handle(a, get("get-liveness", "/health/liveness", "Whether the process answers, without reading the table", Health{Status: "healthy", Timestamp: at}), s.liveness)
	api.Handle(a, get("get-ready", "/ready", "Whether requests can be served: one read of the table", s.ready(Refusal{}, at)), s.getReady)
	api.Handle(a, get("get-readiness", "/health/readiness", "The same as /ready, in the words of the command line", s.readiness(Refusal{}, at)), s.getReadiness)
	api.Handle(a, get("get-status", "/status", "Version, uptime and state of the parts", s.status(Refusal{}, at)), s.getStatus)
}

// An answer may be one of two statuses.
type answer[T any] struct {
	Status     int
	RetryAfter string `header:"Retry-After"`
	Body       T
}

func ok[T any](body T) *answer[T] { return reply(Refusal{}, body) }

// reply answers body, which carries r.
func reply[T any](r Refusal, body T) *answer[T] {
	return &answer[T]{Status: r.status(), RetryAfter: r.word("", "1"), Body: body}
}

func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

func (s *Service) root() Root {
	return Root{Message: api.Title, Version: api.Version, Status: "healthy", Service: "build-state-api"}
}

func (s *Service) liveness(context.Context, *struct{}) (*answer[Health], error) {
	return ok(Health{Status: "healthy", Timestamp: s.now()}), nil
}

func (s *Service) health(ctx context.Context, _ *struct{}) (*answer[Health], error) {
	r := s.check(ctx)
	return reply(r, Health{Status: r.word("healthy", "unhealthy"), Backlog: s.backlog(), Timestamp: s.now(), Refusal: r}), nil
}

func (s *Service) getReady(ctx context.Context, _ *struct{}) (*answer[Ready], error) {
	r := s.check(ctx)
	return reply(r, s.ready(r, s.now())), nil
}

func (s *Service) ready(r Refusal, at time.Time) Ready {
	return Ready{Ready: r.ok(), Status: r.word("ready", "unready"), Database: r.word("connected", "disconnected"), Cache: "disabled",
		Redis: r.ok(), Overall: r.ok(), Timestamp: at, Refusal: r}
}

func (s *Service) getReadiness(ctx context.Context, _ *struct{}) (*answer[Readiness], error) {
	r := s.check(ctx)
	return reply(r, s.readiness(r, s.now())), nil
}

func (s *Service) readiness(r Refusal, at time.Time) Readiness {
	return Readiness{Status: r.word("ready", "unready"), Database: r.word("ok", "unavailable"), Cache: "ok", Timestamp: at, Refusal: r}
}

func (s *Service) getStatus(ctx context.Context, _ *struct{}) (*answer[Status], error) {
	r := s.check(ctx)
	return reply(r, s.status(r, s.now())), nil
}

func (s *Service) status(r Refusal, at time.Time) Status {
	database := r.word("connected", "disconnected")
	return Status{
		Version: api.Version, Uptime: max(0, int(at.Sub(s.Started).Seconds())),
		Status: r.word("running", "degraded"), OverallStatus: r.word("healthy", "unhealthy"),
		Database: Database{Type: "dynamodb", Status: database}, Cache: Cache{Status: "disabled"},
		Components: []Component{
			{Name: "api", Status: "healthy", Details: "It answers."},
			{Name: "database", Status: r.word("healthy", "unhealthy"), Details: r.word("The table can be read and written.", r.Detail)},
		},
		Backlog: s.backlog(), Timestamp: at, Refusal: r,
	}
}
