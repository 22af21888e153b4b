package wire

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"

	"bldst/shared/api"
	"bldst/shared/build"
	"bldst/shared/dispatch"
	"bldst/shared/metrics"
	"bldst/shared/notify"
	"bldst/shared/outbound"
	"bldst/shared/problem"
	"bldst/shared/secret"
	"bldst/shared/webhook"
)

// What leads out of the system, and what comes in from CI. The ports that only
// one of these functions needs are passed to it: SNS and Systems Manager, both
// nil where there are none.

// Notify delivers domain events to those who subscribed to them.
func Notify(p Ports, topics notify.Topics) lambda.Handler {
	p = p.withDefaults()
	return onEvent(p.notifier(topics).Handle)
}

// Dispatch starts the CI jobs that go on with builds.
func Dispatch(p Ports, parameters secret.Parameters) lambda.Handler {
	p = p.withDefaults()
	d := &dispatch.Dispatcher{Orders: p.store(), Secrets: p.secrets(parameters), Log: p.Log, Now: p.Now,
		HTTP: outbound.New(outbound.Options{Allow: p.Outbound, MaxBody: maxTemplate})}
	return onEvent(d.Handle)
}

// maxTemplate is how large the configuration of a pipeline may be.
const maxTemplate = 4 << 20

// onEvent returns the function that hands the domain event in an event of
// EventBridge to handle.
func onEvent(handle func(context.Context, build.Event) error) lambda.Handler {
	return invoke(func(ctx context.Context, e events.EventBridgeEvent) (any, error) {
		var detail build.Event
		if err := json.Unmarshal(e.Detail, &detail); err != nil {
			return nil, fmt.Errorf("event %s: %w", e.ID, err)
		}
		return nil, handle(ctx, detail)
	})
}

func (p Ports) notifier(topics notify.Topics) *notify.Notifier {
	return &notify.Notifier{Store: p.store(), HTTP: outbound.New(outbound.Options{Allow: p.Outbound}), Topics: topics, Log: p.Log, Now: p.Now}
}

func (p Ports) secrets(parameters secret.Parameters) secret.Sources {
	return secret.Sources{Env: p.CI, Parameters: parameters}
}

// Notifications serves subscriptions and what was delivered to them.
func Notifications(p Ports, topics notify.Topics) http.Handler {
	return serve(p, func(a *api.API, p Ports) { p.notifications(a, topics) })
}

func notifications(a *api.API, p Ports) { p.notifications(a, nil) }

func (p Ports) notifications(a *api.API, topics notify.Topics) {
	(&notify.Service{Store: p.store(), Allow: p.Outbound, Notifier: p.notifier(topics), Secret: notify.NewSecret}).Mount(a)
}

// Webhooks serves what CI systems send without an API key.
func Webhooks(p Ports, parameters secret.Parameters) http.Handler {
	p = p.withDefaults()
	return Public(p, func(a *api.API) { p.webhooks(a, parameters) })
}

func webhooks(a *api.API, p Ports) { p.webhooks(a, nil) }

func (p Ports) webhooks(a *api.API, parameters secret.Parameters) {
	(&webhook.Service{Store: p.store(), Jobs: p.store(), Topics: p.topics(), Secrets: p.signers(parameters), Now: p.Now}).Mount(a)
}

// topics returns whose messages of SNS are believed.
func (p Ports) topics() *webhook.Topics {
	get := p.SNS
	if get == nil {
		get = webhook.Through(outbound.New(outbound.Options{Allow: p.Outbound}))
	}
	return &webhook.Topics{Accounts: p.Accounts, Get: get}
}

// signers returns the secrets that sign webhooks. Those that are references are
// looked up once.
func (p Ports) signers(parameters secret.Parameters) func(context.Context) ([]string, error) {
	sources := p.secrets(parameters)
	var mu sync.Mutex
	var known []string
	return func(ctx context.Context) ([]string, error) {
		mu.Lock()
		defer mu.Unlock()
		for _, v := range p.Webhooks[len(known):] {
			if secret.Check(v) == nil {
				var err error
				if v, err = sources.Secret(ctx, v); err != nil {
					return nil, &problem.Problem{Kind: problem.Unavailable, Detail: "The secret of webhooks cannot be read now; try again.", Err: err}
				}
			}
			known = append(known, v)
		}
		return known, nil
	}
}

// Metrics serves the numbers of resumes and storage.
func Metrics(p Ports) http.Handler { return serveReading(p, numbers) }

func numbers(a *api.API, p Ports) { (&metrics.Service{Store: p.store(), Now: p.Now}).Mount(a) }
