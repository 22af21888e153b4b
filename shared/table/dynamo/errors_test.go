package dynamo

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"bldst/shared/problem"
	"bldst/shared/table"
)

// An answer is what the server says to one request: an error of DynamoDB, "{}"
// for success, or "" for a connection that breaks.
type answer string

func failure(code, rest string) answer {
	return answer(`{"__type":"com.amazonaws.dynamodb.v20120810#` + code + `","message":"words for people"` + rest + `}`)
}

// unwell returns a table on a server that gives answers in turn, then the last
// one for ever, and counts the requests.
func unwell(t *testing.T, answers ...answer) (*Table, *atomic.Int64) {
	t.Helper()
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := min(int(asked.Add(1)), len(answers))
		switch a := answers[n-1]; {
		case a == "":
			panic(http.ErrAbortHandler)
		case strings.HasPrefix(string(a), `{"__type"`):
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, string(a))
		default:
			_, _ = io.WriteString(w, string(a))
		}
	}))
	t.Cleanup(server.Close)
	client := dynamodb.New(dynamodb.Options{
		Region: "us-east-1", BaseEndpoint: &server.URL, Credentials: Access{KeyID: "k", Secret: "s"},
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = time.Microsecond }),
	})
	tbl := New(client, "t")
	tbl.pause = func(ctx context.Context, _ int) error { return ctx.Err() }
	return tbl, &asked
}

// stored returns it as DynamoDB sends it.
func stored(t *testing.T, it *table.Item) string {
	t.Helper()
	m := map[string]any{}
	for _, a := range it.Attributes() {
		m[a.Name] = map[string]string{a.Kind: a.Value}
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var (
	one   = table.Item{Key: table.Key{PK: "p", SK: "1"}, Rev: 1, Doc: []byte(`{}`)}
	two   = table.Item{Key: table.Key{PK: "p", SK: "2"}, Rev: 1, Doc: []byte(`{}`)}
	never = table.Cond{Kind: table.Absent}
	there = table.Cond{Kind: table.Present}
)

func TestAWriteThatDynamoDBDeclinesIsTranslated(t *testing.T) {
	t.Parallel()
	busy := failure("ThrottlingException", "")
	conflict := failure("TransactionCanceledException", `,"CancellationReasons":[{"Code":"None"},{"Code":"TransactionConflict"}]`)
	refused := failure("TransactionCanceledException", `,"CancellationReasons":[{"Code":"TransactionConflict"},{"Code":"ConditionalCheckFailed","Item":`+stored(t, &two)+`}]`)
	other := one
	other.Rev = 5
	single := []table.Op{table.PutOp(one, never)}
	both := []table.Op{table.PutOp(one, never), table.PutOp(two, never)}
	for name, c := range map[string]struct {
		ops     []table.Op
		answers []answer
		want    problem.Kind // "" for success, "refused" for a ConditionError
		asked   int64        // 0: does not matter
	}{
		"throttled for good":                                 {single, []answer{busy}, problem.Unavailable, 0},
		"throttled once":                                     {single, []answer{busy, "{}"}, "", 2},
		"the account's limit":                                {single, []answer{failure("RequestLimitExceeded", "")}, problem.Unavailable, 0},
		"in conflict once":                                   {both, []answer{conflict, "{}"}, "", 2},
		"in conflict for good":                               {both, []answer{conflict}, problem.Unavailable, attempts},
		"a plain write in conflict":                          {single, []answer{failure("TransactionConflictException", ""), "{}"}, "", 2},
		"a transaction throttled":                            {both, []answer{failure("TransactionCanceledException", `,"CancellationReasons":[{"Code":"ThrottlingError"},{"Code":"None"}]`)}, problem.Unavailable, 1},
		"a condition that fails beside a conflict":           {both, []answer{refused}, "refused", 1},
		"a limit that Check does not know":                   {single, []answer{answer(strings.Replace(string(failure("ValidationException", "")), "words for people", "Item size has exceeded the maximum allowed size", 1))}, problem.TooLarge, 1},
		"another mistake":                                    {single, []answer{failure("ValidationException", "")}, problem.Internal, 1},
		"no such table":                                      {single, []answer{failure("ResourceNotFoundException", "")}, problem.Internal, 1},
		"a lost answer, then refused by its own item":        {single, []answer{"", failure("ConditionalCheckFailedException", `,"Item":`+stored(t, &one))}, "", 2},
		"a lost answer, then refused by another item":        {single, []answer{"", failure("ConditionalCheckFailedException", `,"Item":`+stored(t, &other))}, "refused", 2},
		"refused at once by an equal item":                   {single, []answer{failure("ConditionalCheckFailedException", `,"Item":`+stored(t, &one))}, "refused", 1},
		"a lost answer of a removal, then nothing to remove": {[]table.Op{table.DeleteOp(one.Key, there)}, []answer{"", failure("ConditionalCheckFailedException", "")}, "", 2},
		"throttled, then nothing to remove":                  {[]table.Op{table.DeleteOp(one.Key, there)}, []answer{busy, failure("ConditionalCheckFailedException", "")}, "refused", 2},
		"a lost answer, then throttled: outcome unknown":     {single, []answer{"", busy}, problem.Internal, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tbl, asked := unwell(t, c.answers...)
			err := tbl.Write(t.Context(), c.ops...)
			if got := outcome(err); got != c.want {
				t.Errorf("outcome is %q (%v), want %q", got, err, c.want)
			}
			if c.asked != 0 && asked.Load() != c.asked {
				t.Errorf("%d requests were made, want %d", asked.Load(), c.asked)
			}
		})
	}
}

func outcome(err error) problem.Kind {
	switch {
	case err == nil:
		return ""
	case table.Refused(err) != nil:
		return "refused"
	default:
		return problem.From(err).Kind
	}
}

func TestAReadThatDynamoDBDeclinesIsTranslated(t *testing.T) {
	t.Parallel()
	nothing := answer(`{"Responses":{},"UnprocessedKeys":{"t":{"Keys":[{"pk":{"S":"p"},"sk":{"S":"1"}}]}}}`)
	some := answer(`{"Responses":{"t":[` + stored(t, &two) + `]},"UnprocessedKeys":{"t":{"Keys":[{"pk":{"S":"p"},"sk":{"S":"1"}}]}}}`)
	rest := answer(`{"Responses":{"t":[` + stored(t, &one) + `]}}`)
	for name, c := range map[string]struct {
		answers []answer
		want    problem.Kind
	}{
		"in parts":                   {[]answer{nothing, some, nothing, rest}, ""},
		"never all of it":            {[]answer{nothing}, problem.Unavailable},
		"throttled for good":         {[]answer{failure("ProvisionedThroughputExceededException", "")}, problem.Unavailable},
		"no such table":              {[]answer{failure("ResourceNotFoundException", "")}, problem.Internal},
		"an item that is not of us":  {[]answer{`{"Responses":{"t":[{"pk":{"S":"p"},"sk":{"S":"1"}}]}}`}, problem.Internal},
		"a connection that vanishes": {[]answer{"", rest}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tbl, _ := unwell(t, c.answers...)
			_, err := tbl.Get(t.Context(), one.Key, two.Key)
			if got := outcome(err); got != c.want {
				t.Errorf("outcome is %q (%v), want %q", got, err, c.want)
			}
		})
	}
}

func TestThePauseEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := pause(ctx, 10); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	if err := pause(t.Context(), 0); err != nil {
		t.Errorf("error is %v", err)
	}
}
