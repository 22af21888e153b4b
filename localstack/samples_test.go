package localstack_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bldst/localstack/table"
	"bldst/shared/auth"
	"bldst/shared/gateway"
	"bldst/shared/manifest"
	"bldst/shared/openapi"
	"bldst/shared/openapi/openapitest"
	"bldst/shared/store"
	"bldst/shared/wire"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the answers to the sample events anew")

// samples is where the events are; the answer to NAME.json is
// NAME.answer.json.
const samples = "../events/samples"

// A sample is an event of API Gateway and the answer that is expected.
type sample struct {
	name     string
	function string
	event    []byte
	answer   string // the file of the answer
}

func readSamples(t *testing.T) []sample {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(samples, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d samples, error %v", len(files), err)
	}
	router := manifest.NewRouter(manifest.All)
	var out []sample
	for _, f := range files {
		if strings.HasSuffix(f, ".answer.json") {
			continue
		}
		s := sample{name: strings.TrimSuffix(filepath.Base(f), ".json"), answer: strings.TrimSuffix(f, ".json") + ".answer.json"}
		if s.event, err = os.ReadFile(f); err != nil {
			t.Fatal(err)
		}
		var e struct{ Path, Resource string }
		if err := json.Unmarshal(s.event, &e); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		target, _ := router.Find(e.Path)
		if target == nil || target.Resource != e.Resource {
			t.Fatalf("%s: path %s belongs to the resource %+v, not to %s", f, e.Path, target, e.Resource)
		}
		s.function = target.Function
		out = append(out, s)
	}
	return out
}

// A golden is an answer as it is written down, with a body one can read.
type golden struct {
	StatusCode        int
	MultiValueHeaders http.Header
	Body              json.RawMessage
}

// written returns the answer of a function as it is written down.
func written(t *testing.T, payload []byte) []byte {
	t.Helper()
	var a struct {
		StatusCode        int
		MultiValueHeaders http.Header
		Body              string
	}
	if err := json.Unmarshal(payload, &a); err != nil {
		t.Fatalf("answer %s: %v", payload, err)
	}
	g := golden{StatusCode: a.StatusCode, MultiValueHeaders: a.MultiValueHeaders, Body: json.RawMessage(a.Body)}
	if !json.Valid(g.Body) {
		g.Body, _ = json.Marshal(a.Body)
	}
	out, err := json.MarshalIndent(g, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(out, '\n')
}

// seeded returns ports on a table with the development data, a clock that
// stands still and ids that count.
func seeded(t *testing.T) wire.Ports {
	t.Helper()
	at := time.Date(2024, 2, 1, 10, 0, 0, 0, time.UTC)
	var n atomic.Int64
	p := wire.Ports{
		Now: func() time.Time { return at }, NewID: func() string { return fmt.Sprintf("018d6490-0000-7000-8000-%012d", n.Add(1)) },
		Signer: &auth.Signer{Keys: map[string][]byte{"test": bytes.Repeat([]byte("k"), 32)}, Current: "test"}, Log: slog.New(slog.DiscardHandler),
	}
	db, err := table.Open(filepath.Join(t.TempDir(), "samples.db"), table.Options{Now: p.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	p.Table = db
	s := &store.Store{Table: db, Now: p.Now, NewID: p.NewID}
	for _, seed := range []func(context.Context) error{
		func(ctx context.Context) error { return s.SeedReference(ctx, true) }, s.SeedIdentity, s.SeedBuilds,
	} {
		if err := seed(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	n.Store(0) // the ids of answers do not depend on how much was seeded
	return p
}

func handlers(p wire.Ports) map[string]lambda.Handler {
	out := map[string]lambda.Handler{"docs": gateway.Handler(wire.Public(p, openapi.Docs))}
	for _, f := range wire.Functions() {
		out[f.Name] = gateway.Handler(f.Handler(p))
	}
	return out
}

func TestSampleEventsGetTheirAnswers(t *testing.T) {
	t.Parallel()
	for _, s := range readSamples(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			payload, err := handlers(seeded(t))[s.function].Invoke(t.Context(), s.event)
			if err != nil {
				t.Fatal(err)
			}
			got := written(t, payload)
			if *update {
				if err := os.WriteFile(s.answer, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(s.answer)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), string(got)); d != "" {
				t.Errorf("the answer is another; go test ./localstack -run Sample -update accepts it.\n-want +got:\n%s", d)
			}
			checkDescribed(t, s, payload)
		})
	}
}

// checkDescribed fails t when the answer is not one the OpenAPI document has.
func checkDescribed(t *testing.T, s sample, payload []byte) {
	t.Helper()
	var e struct{ HTTPMethod, Path string }
	var a struct {
		StatusCode        int
		MultiValueHeaders http.Header
		Body              string
	}
	if err := json.Unmarshal(s.event, &e); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(payload, &a); err != nil {
		t.Fatal(err)
	}
	openapitest.Check(t, e.HTTPMethod, e.Path, a.StatusCode, a.MultiValueHeaders, []byte(a.Body))
}
