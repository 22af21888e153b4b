package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"testing"

	"bldst/shared/api"
	"bldst/shared/auth"
	"bldst/shared/gateway"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

// sampleEvent is what API Gateway sends for a report, with the headers of a
// plain client.
const sampleEvent = `{"resource":"/builds/{id}/{proxy+}","path":"/builds/018d64e2-5a10-7c3e-9f52-1d2c3b4a5968/state","httpMethod":"POST",
"headers":{"Accept":"*/*","Content-Type":"application/json","Host":"api.example.com","User-Agent":"curl/8.5.0","X-API-Key":"dev-key-12345","X-Forwarded-For":"192.0.2.1","X-Forwarded-Port":"443","X-Forwarded-Proto":"https"},
"multiValueHeaders":{"Accept":["*/*"],"Content-Type":["application/json"],"Host":["api.example.com"],"User-Agent":["curl/8.5.0"],"X-API-Key":["dev-key-12345"],"X-Forwarded-For":["192.0.2.1"],"X-Forwarded-Port":["443"],"X-Forwarded-Proto":["https"]},
"queryStringParameters":null,"multiValueQueryStringParameters":null,"pathParameters":{"id":"018d64e2-5a10-7c3e-9f52-1d2c3b4a5968","proxy":"state"},"stageVariables":null,
"requestContext":{"resourceId":"abc123","resourcePath":"/builds/{id}/{proxy+}","httpMethod":"POST","path":"/dev/builds/018d64e2-5a10-7c3e-9f52-1d2c3b4a5968/state","accountId":"000000000000","protocol":"HTTP/1.1","stage":"dev","domainName":"api.example.com","requestId":"0193b5a0-7c1e-7a52-9d5c-3f2f6a1b2c3d","identity":{"sourceIp":"192.0.2.1","userAgent":"curl/8.5.0"},"apiId":"abc"},
"body":"{\"state_code\":45,\"status\":\"in_progress\",\"message\":\"Mounting volumes\"}","isBase64Encoded":false}`

type report45 struct {
	StateCode *int   `json:"state_code" minimum:"0" maximum:"100"`
	Status    string `json:"status" maxLength:"100"`
	Message   string `json:"message" maxLength:"4000"`
}

type reported struct {
	BuildID   string `json:"build_id"`
	StateCode *int   `json:"state_code"`
	Status    string `json:"status"`
}

// anybody lets every key in: the figure is without the table.
type anybody struct{}

func (anybody) Authenticate(context.Context, string, string) (*auth.Caller, error) {
	return &auth.Caller{UserID: "1", Username: "ci", Credential: "key:1", Scopes: []string{"write"}}, nil
}

// ours is a handler with everything around it that a real one has: request
// id, credential, scope, validation, log line.
func ours() lambda.Handler {
	type in struct {
		ID   string `path:"id"`
		Body report45
	}
	type out struct{ Body reported }
	a := api.New(api.Options{Auth: anybody{}, Log: slog.New(slog.NewJSONHandler(io.Discard, nil))})
	api.Handle(a, api.Op{ID: "report-state", Method: http.MethodPost, Path: "/builds/{id}/state", Scope: auth.Write, Tag: "Builds"},
		func(_ context.Context, i *in) (*out, error) {
			return &out{reported{BuildID: i.ID, StateCode: i.Body.StateCode, Status: i.Body.Status}}, nil
		})
	return gateway.Handler(a)
}

// bare only decodes the event and its body and encodes an answer.
func bare() lambda.Handler {
	return lambda.NewHandler(func(_ context.Context, e events.APIGatewayProxyRequest) (events.APIGatewayProxyResponse, error) {
		var in report45
		if err := json.Unmarshal([]byte(e.Body), &in); err != nil {
			return events.APIGatewayProxyResponse{}, err
		}
		b, err := json.Marshal(reported{BuildID: e.PathParameters["id"], StateCode: in.StateCode, Status: in.Status})
		return events.APIGatewayProxyResponse{StatusCode: 200, Headers: map[string]string{"Content-Type": "application/json"}, Body: string(b)}, err
	})
}

// benchHandler measures a handler against the bare one, in turns.
func benchHandler(ctx context.Context, r *report, runs int) error {
	var ratios, mine, theirs, allocs []float64
	event := []byte(sampleEvent)
	measure := func(h lambda.Handler) testing.BenchmarkResult {
		return testing.Benchmark(func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := h.Invoke(ctx, event); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	o, p := ours(), bare()
	for range runs {
		a, b := measure(o), measure(p)
		mine, theirs = append(mine, float64(a.NsPerOp())/1000), append(theirs, float64(b.NsPerOp())/1000)
		ratios = append(ratios, float64(a.NsPerOp())/float64(b.NsPerOp()))
		allocs = append(allocs, float64(a.AllocsPerOp()))
	}
	r.add("handler, event in, answer out, against a bare one", atMost(1.5, "x"), "", ratios...)
	r.add("  ours", shown("us"), "", mine...)
	r.add("  bare", shown("us"), "", theirs...)
	r.add("  allocations of ours", shown("allocs"), "", allocs...)
	return nil
}
