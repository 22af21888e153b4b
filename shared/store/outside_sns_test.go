package store_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"bldst/shared/outbound"
	"bldst/shared/webhook"
	"bldst/shared/wire"
)

// A simpleNotification signs messages as Amazon SNS does, and serves its
// certificate and the confirmation of subscriptions.
type simpleNotification struct {
	o     *outside
	key   *rsa.PrivateKey
	mu    sync.Mutex
	asked []string
	down  bool
}

const (
	believed = "arn:aws:sns:eu-west-1:123456789012:bldst-builds"
	certAt   = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-01.pem"
)

func newSNS(o *outside) *simpleNotification {
	o.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		o.t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sns.amazonaws.com"}, NotBefore: o.clock().AddDate(0, 0, -1), NotAfter: o.clock().AddDate(0, 1, 0)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		o.t.Fatal(err)
	}
	s := &simpleNotification{o: o, key: key}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.asked = append(s.asked, r.Method+" "+r.URL.RequestURI()); s.down {
			w.WriteHeader(http.StatusServiceUnavailable)
		} else if strings.HasSuffix(r.URL.Path, ".pem") {
			_ = pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: der})
		}
	}))
	o.t.Cleanup(srv.Close)
	get := webhook.Through(outbound.New(outbound.Options{Allow: local}))
	o.topics.Accounts = []string{"123456789012"}
	o.topics.Get = func(ctx context.Context, address string) ([]byte, error) {
		return get(ctx, strings.Replace(address, "https://sns.eu-west-1.amazonaws.com", srv.URL, 1))
	}
	return s
}

// message returns a signed message; fields are changed before it is signed.
func (s *simpleNotification) message(version, text string, fields ...string) map[string]string {
	s.o.t.Helper()
	m := map[string]string{"Type": "Notification", "MessageId": "m-1", "TopicArn": believed, "Message": text, "Timestamp": "2026-03-04T12:00:00.000Z", "SignatureVersion": version, "SigningCertURL": certAt}
	for i := 0; i < len(fields); i += 2 {
		m[fields[i]] = fields[i+1]
	}
	var b strings.Builder
	for _, name := range []string{"Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"} {
		if v, ok := m[name]; ok {
			b.WriteString(name + "\n" + v + "\n")
		}
	}
	sum, hash := sha256.Sum256([]byte(b.String())), crypto.SHA256
	digest := sum[:]
	if version == "1" {
		old := sha1.Sum([]byte(b.String()))
		digest, hash = old[:], crypto.SHA1
	}
	sig, err := rsa.SignPKCS1v15(rand.Reader, s.key, hash, digest)
	if err != nil {
		s.o.t.Fatal(err)
	}
	m["Signature"] = base64.StdEncoding.EncodeToString(sig)
	return m
}

// send sends a message as SNS does.
func (s *simpleNotification) send(m map[string]string) reply {
	s.o.t.Helper()
	body, _ := json.Marshal(m)
	return s.o.call("POST /webhooks/sns", string(body), "Content-Type", "text/plain; charset=UTF-8", "x-amz-sns-message-type", m["Type"])
}

func TestAFailureOnATopic(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"1", "2"} {
		o := newOutside(t)
		s := newSNS(o)
		id := o.build("n-1")
		o.report(time.Minute, id, 25, "in_progress")
		m := s.message(version, `{"event":"build.failed","build_id":"n-1","failure_reason":"packer: exit 1"}`, "Subject", "n-1 failed")
		s.send(m).want(200).says(`"failed":true`)
		if b := o.call("GET /builds/"+id+" read", "").object(); b["status"] != "failed" {
			t.Errorf("the build is %v", b["status"])
		}
		o.call("POST /builds/"+id+"/state write", `{"state_code":25,"status":"in_progress"}`).want(200)
		o.pass(time.Hour)
		s.send(m).want(200).says(`"known":true`)
		if b := o.call("GET /builds/"+id+" read", "").object(); b["status"] != "in_progress" {
			t.Errorf("sent again: the build is %v", b["status"])
		}
		if len(s.asked) != 1 {
			t.Errorf("the certificate was got %d times: %v", len(s.asked), s.asked)
		}
	}
}

func TestMessagesOfTopicsThatAreRefused(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	s := newSNS(o)
	const text = `{"event":"build.failed","build_id":"n-1","failure_reason":"x"}`
	id := o.build("n-1")
	o.report(time.Minute, id, 25, "in_progress")
	changed := func(field, value string) map[string]string {
		m := s.message("2", text)
		m[field] = value
		return m
	}
	for name, m := range map[string]map[string]string{
		"a message that was changed":          changed("Message", strings.Replace(text, "x", "y", 1)),
		"a subject that was added":            changed("Subject", "x"),
		"a signature of another version":      changed("SignatureVersion", "1"),
		"a version that nobody knows":         changed("SignatureVersion", "3"),
		"no base64":                           changed("Signature", "%"),
		"no signature":                        changed("Signature", ""),
		"another type":                        changed("Type", "Other"),
		"a topic of another name":             s.message("2", text, "TopicArn", "arn:aws:sns:eu-west-1:123456789012:pager"),
		"a topic of another account":          s.message("2", text, "TopicArn", "arn:aws:sns:eu-west-1:999999999999:bldst-builds"),
		"a certificate of another region":     s.message("2", text, "SigningCertURL", strings.Replace(certAt, "eu-west-1", "us-east-1", 1)),
		"a certificate of another host":       s.message("2", text, "SigningCertURL", "https://sns.eu-west-1.amazonaws.com.example.com/a.pem"),
		"a certificate of a host that begins": s.message("2", text, "SigningCertURL", "https://sns.eu-west-1.amazonaws.com@example.com/a.pem"),
		"a certificate without https":         s.message("2", text, "SigningCertURL", strings.Replace(certAt, "https", "http", 1)),
		"a certificate with a query":          s.message("2", text, "SigningCertURL", certAt+"?x=.pem"),
		"a certificate of a bucket":           s.message("2", text, "SigningCertURL", "https://sns.s3.amazonaws.com/a.pem"),
		"a port":                              s.message("2", text, "SigningCertURL", "https://sns.eu-west-1.amazonaws.com:8443/a.pem"),
		"a path that leads elsewhere":         s.message("2", text, "SigningCertURL", "https://sns.eu-west-1.amazonaws.com/a/../b.pem"),
	} {
		if r := s.send(m); r.status != 401 {
			t.Errorf("%s: %d %s", name, r.status, r.text)
		}
	}
	o.call("POST /webhooks/sns", text, "Content-Type", "text/plain").want(415)
	o.call("POST /webhooks/sns", text, "Content-Type", "text/plain", "X-Amz-Sns-Message-Type", "Notification").want(401).says("raw message delivery")
	o.call("POST /webhooks/sns", "", "Content-Type", "text/plain").want(422)
	if b := o.call("GET /builds/"+id+" read", "").object(); b["status"] != "in_progress" {
		t.Errorf("the build is %v", b["status"])
	}
	for _, asked := range s.asked {
		if asked != "GET /SimpleNotificationService-01.pem" {
			t.Errorf("SNS was asked for %s", asked)
		}
	}
	o.pass(40 * 24 * time.Hour)
	s.send(s.message("2", text)).want(401).says("not valid now")
	o.topics.Accounts = nil
	s.send(s.message("2", text)).want(401).says("WEBHOOK_ACCOUNTS")
}

func TestASubscriptionIsConfirmedAtSNSAlone(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	s := newSNS(o)
	at := "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=" + believed + "&Token=2336"
	confirm := func(url string) reply {
		return s.send(s.message("2", "You have chosen to subscribe.", "Type", "SubscriptionConfirmation", "Token", "2336", "SubscribeURL", url))
	}
	confirm(at).want(200).says("confirmed")
	if last := s.asked[len(s.asked)-1]; !strings.HasPrefix(last, "GET /?Action=ConfirmSubscription&") {
		t.Errorf("SNS was asked for %s", last)
	}
	n := len(s.asked)
	for _, url := range []string{"https://example.com/?Action=ConfirmSubscription", strings.Replace(at, "Confirm", "Delete", 1), strings.Replace(at, "bldst-builds", "bldst-other", 1),
		strings.Replace(at, "eu-west-1.a", "us-east-1.a", 1), strings.Replace(at, "https", "http", 1), ""} {
		confirm(url).want(401)
	}
	if len(s.asked) != n {
		t.Errorf("SNS was asked for %v", s.asked[n:])
	}
	s.down = true
	confirm(at).want(503)
	s.send(s.message("2", "x", "Type", "UnsubscribeConfirmation", "Token", "1", "SubscribeURL", at)).want(200)
}

func TestWhatAWSSaysOnATopic(t *testing.T) {
	t.Parallel()
	const image = "arn:aws:imagebuilder:eu-west-1:123456789012:image/rhel-9/1.0.0/1"
	const codeBuild = "arn:aws:codebuild:eu-west-1:123456789012:build/images:8745a7a9"
	imageChange := func(status string) string {
		return fmt.Sprintf(`{"version":"0","id":"a","detail-type":"EC2 Image Builder Image State Change","source":"aws.imagebuilder","account":"123456789012","region":"eu-west-1",
			"resources":["%s"],"detail":{"previous-state":{"status":"TESTING"},"state":{"status":"%s","reason":"Workflow execution failed"}}}`, image, status)
	}
	codeBuildChange := func(status string) string {
		return fmt.Sprintf(`{"detail-type":"CodeBuild Build State Change","source":"aws.codebuild","resources":["%s"],"detail":{"build-status":"%s","project-name":"images","build-id":"%s",
			"additional-information":{"logs":{"deep-link":"https://console.aws.amazon.com/x"},"phases":[{"phase-type":"INSTALL","phase-status":"SUCCEEDED"},{"phase-type":"BUILD","phase-status":"FAILED","phase-context":["exit status 2"]},{"phase-type":"COMPLETED"}]},"current-phase":"COMPLETED"}}`,
			codeBuild, status, codeBuild)
	}
	for name, c := range map[string]struct{ job, text, is, status, class string }{
		"an image that failed":         {`{"platform":"ec2-image-builder","job_name":"rhel","job_id":"` + image + `","status":"BUILDING"}`, imageChange("FAILED"), "failed", "failed", "unknown"},
		"an image that is there":       {`{"platform":"Image Builder","job_name":"rhel","job_id":"` + image + `","status":"BUILDING"}`, imageChange("AVAILABLE"), "success", "in_progress", "<nil>"},
		"an image that was cancelled":  {`{"platform":"imagebuilder","job_name":"rhel","job_id":"` + image + `","status":"BUILDING"}`, imageChange("CANCELLED"), "aborted", "failed", "transient"},
		"a build of CodeBuild, by ARN": {`{"platform":"codebuild","job_name":"images","job_id":"` + codeBuild + `","status":"IN_PROGRESS"}`, codeBuildChange("TIMED_OUT"), "failed", "failed", "timed_out"},
		"a build of CodeBuild, by id":  {`{"platform":"aws-codebuild","job_name":"images","job_id":"images:8745a7a9","status":"IN_PROGRESS"}`, codeBuildChange("FAULT"), "failed", "failed", "transient"},
	} {
		o := newOutside(t)
		s := newSNS(o)
		id, _ := o.working("n-1", c.job)
		if r := s.send(s.message("2", c.text)); r.status != 200 {
			t.Errorf("%s: %s", name, r.text)
		}
		o.is(id, c.is, c.status, c.class)
		s.send(s.message("2", c.text)).want(200).says(`"known":true`)
		o.is(id, c.is, c.status, c.class)
	}
}

func TestAnAlarmThatNamesABuild(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	s := newSNS(o)
	id := o.build("n-1")
	o.report(time.Minute, id, 25, "in_progress")
	alarm := func(state, dimension string) string {
		return `{"AlarmName":"no-output","NewStateValue":"` + state + `","NewStateReason":"Threshold Crossed","OldStateValue":"OK","Trigger":{"MetricName":"Lines","Dimensions":[{"value":"n-1","name":"` + dimension + `"}]}}`
	}
	for _, text := range []string{alarm("OK", "build_id"), alarm("ALARM", "ProjectName"), "somebody wrote a text", `{"hello":1}`, `[]`, `{"source":"aws.ec2","detail-type":"x"}`} {
		s.send(s.message("2", text)).want(200).says("says nothing of a job")
	}
	s.send(s.message("2", alarm("ALARM", "build_id"), "MessageId", "m-2")).want(200).says(`"failed":true`)
	s.send(s.message("2", alarm("ALARM", "build_id"), "MessageId", "m-2")).want(200).says(`"known":true`)
	s.send(s.message("2", `{"build_id":"n-1"}`, "MessageId", "m-3")).want(422).says("failure_reason")
}

func TestAnImageThatFailedIsHeardOfOnTheBus(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	id, _ := o.working("n-1", `{"platform":"image-builder","job_name":"rhel","job_id":"arn:aws:imagebuilder:eu-west-1:123456789012:image/rhel-9/1.0.0/1","status":"BUILDING"}`)
	event, err := os.ReadFile("../../events/samples/bus/image-failed.json")
	if err != nil {
		t.Fatal(err)
	}
	reconcile := wire.Reconcile(wire.Ports{Table: o.feed, Now: o.clock}, nil)
	for range 2 {
		if _, err := reconcile.Invoke(t.Context(), event); err != nil {
			t.Fatal(err)
		}
		o.is(id, "failed", "failed", "unknown")
	}
	o.call("POST /builds/"+id+"/state write", `{"state_code":25,"status":"in_progress"}`).want(200)
	if _, err := reconcile.Invoke(t.Context(), event); err != nil {
		t.Fatal(err)
	}
	o.is(id, "failed", "in_progress", "<nil>")
}
