package awslite_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"bldst/shared/awslite"

	"github.com/google/go-cmp/cmp"
)

func noon() time.Time { return time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC) }

// seen is a request as the service got it.
type seen struct {
	Method, Path, Target, Type, Body string
	Signed                           bool
}

// service answers every request with status and answer, and remembers it.
func service(t *testing.T, name, region string, status int, answer string) (awslite.Access, *seen) {
	t.Helper()
	got := &seen{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*got = seen{r.Method, r.URL.Path, r.Header.Get("X-Amz-Target"), r.Header.Get("Content-Type"), string(body), r.Header.Get("Authorization") == signature(r, body, name, region)}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	return awslite.Access{Region: "us-east-1", Endpoint: s.URL, KeyID: "AKIDEXAMPLE", Secret: "wJalrXUtnFEMI", SessionToken: "session"}, got
}

// signature computes the Authorization header of r as the documentation of
// Signature Version 4 says.
func signature(r *http.Request, body []byte, service, region string) string {
	_, list, _ := strings.Cut(r.Header.Get("Authorization"), "SignedHeaders=")
	list, _, _ = strings.Cut(list, ",")
	names := strings.Split(list, ";")
	canonical := r.Method + "\n" + r.URL.EscapedPath() + "\n\n"
	for _, n := range names {
		v := r.Header.Get(n)
		switch n {
		case "host":
			v = r.Host
		case "content-length":
			v = r.Header.Get("Content-Length")
		}
		canonical += n + ":" + v + "\n"
	}
	canonical += "\n" + list + "\n" + hash(body)
	scope := "20260304/" + region + "/" + service + "/aws4_request"
	text := "AWS4-HMAC-SHA256\n20260304T120000Z\n" + scope + "\n" + hash([]byte(canonical))
	key := []byte("AWS4wJalrXUtnFEMI")
	for _, part := range strings.Split(scope, "/") {
		key = mac(key, part)
	}
	if !slices.Contains(names, "host") || !slices.Contains(names, "x-amz-date") || r.Header.Get("X-Amz-Security-Token") != "session" {
		return "not everything is signed"
	}
	return "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/" + scope + ", SignedHeaders=" + list + ", Signature=" + hex.EncodeToString(mac(key, text))
}

func hash(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func TestATopicIsPublishedToInItsOwnRegion(t *testing.T) {
	t.Parallel()
	a, got := service(t, "sns", "eu-west-1", 200, `<PublishResponse/>`)
	sns := awslite.SNS{Access: a, Now: noon}
	if err := sns.Publish(t.Context(), "arn:aws:sns:eu-west-1:123456789012:builds", "build.failed: 7", `{"a":"b&c"}`); err != nil {
		t.Fatal(err)
	}
	form := url.Values{"Action": {"Publish"}, "Version": {"2010-03-31"}, "TopicArn": {"arn:aws:sns:eu-west-1:123456789012:builds"}, "Subject": {"build.failed: 7"}, "Message": {`{"a":"b&c"}`}}
	want := seen{"POST", "/", "", "application/x-www-form-urlencoded; charset=utf-8", form.Encode(), true}
	if d := cmp.Diff(want, *got); d != "" {
		t.Error(d)
	}
	if err := sns.Publish(t.Context(), "nonsense", "", ""); err == nil {
		t.Error("published to nowhere")
	}
}

func TestAParameterIsReadDecrypted(t *testing.T) {
	t.Parallel()
	a, got := service(t, "ssm", "us-east-1", 200, `{"Parameter":{"Name":"/bldst/ci","Type":"SecureString","Value":"token"}}`)
	v, err := (awslite.SSM{Access: a, Now: noon}).Parameter(t.Context(), "/bldst/ci")
	if v != "token" || err != nil {
		t.Errorf("%q %v", v, err)
	}
	want := seen{"POST", "/", "AmazonSSM.GetParameter", "application/x-amz-json-1.1", `{"Name":"/bldst/ci","WithDecryption":true}`, true}
	if d := cmp.Diff(want, *got); d != "" {
		t.Error(d)
	}
}

func TestErrorsHoldTheCodeAndNoMore(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		`{"__type":"com.amazonaws#ParameterNotFound","message":"secret"}`:                                "ssm answered 400 ParameterNotFound",
		`<ErrorResponse><Error><Code>Throttling</Code><Message>secret</Message></Error></ErrorResponse>`: "ssm answered 400 Throttling",
		`secret`: "ssm answered 400 without a code",
	} {
		a, _ := service(t, "ssm", "us-east-1", 400, answer)
		if v, err := (awslite.SSM{Access: a, Now: noon}).Parameter(t.Context(), "/bldst/ci"); err == nil || err.Error() != want {
			t.Errorf("%q %v, want %s", v, err, want)
		}
	}
	a, _ := service(t, "ssm", "us-east-1", 200, `not json: secret`)
	if _, err := (awslite.SSM{Access: a, Now: noon}).Parameter(t.Context(), "/bldst/ci"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
}
