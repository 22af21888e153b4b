// Package awslite makes the two calls to AWS that need no client of their own:
// publishing to an SNS topic and reading a parameter of Systems Manager. Each is
// one signed request; the clients of the SDK for these services would be most
// of the size of the functions that use them.
package awslite

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"bldst/shared/partition"
)

// An Access says where a service is and who asks.
type Access struct {
	Region       string
	Endpoint     string // "" is the one of the region
	KeyID        string
	Secret       string
	SessionToken string
}

// An SNS publishes messages.
type SNS struct {
	Access
	Now func() time.Time // time.Now when nil
}

// An SSM reads parameters.
type SSM struct {
	Access
	Now func() time.Time // time.Now when nil
}

// timeout bounds one call.
const timeout = 10 * time.Second

var client = &http.Client{Timeout: timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// Publish sends a message to the SNS topic with that ARN, in the topic's own
// region.
func (s SNS) Publish(ctx context.Context, topic, subject, message string) error {
	parts := strings.Split(topic, ":")
	if len(parts) != 6 {
		return fmt.Errorf("%q is not the ARN of a topic", topic)
	}
	form := url.Values{"Action": {"Publish"}, "Version": {"2010-03-31"}, "TopicArn": {topic}, "Subject": {subject}, "Message": {message}}
	_, err := s.call(ctx, s.Now, "sns", parts[3], http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}}, []byte(form.Encode()))
	return err
}

// Parameter returns the value of a parameter of Systems Manager, decrypted.
func (s SSM) Parameter(ctx context.Context, name string) (string, error) {
	body, err := json.Marshal(map[string]any{"Name": name, "WithDecryption": true})
	if err != nil {
		return "", err
	}
	doc, err := s.call(ctx, s.Now, "ssm", s.Region, http.Header{"Content-Type": {"application/x-amz-json-1.1"}, "X-Amz-Target": {"AmazonSSM.GetParameter"}}, body)
	if err != nil {
		return "", err
	}
	var out struct{ Parameter struct{ Value string } }
	if err := json.Unmarshal(doc, &out); err != nil {
		return "", fmt.Errorf("ssm: an answer that cannot be read") // its text may hold the value
	}
	return out.Parameter.Value, nil
}

// call makes one signed call and returns its answer. Its errors hold the code
// the service gave and no more.
func (a Access) call(ctx context.Context, now func() time.Time, service, region string, header http.Header, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.endpoint(service, region), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", service, err)
	}
	r.Header = header
	sum := sha256.Sum256(body)
	if now == nil {
		now = time.Now
	}
	who := aws.Credentials{AccessKeyID: a.KeyID, SecretAccessKey: a.Secret, SessionToken: a.SessionToken}
	if err := v4.NewSigner().SignHTTP(ctx, who, r, hex.EncodeToString(sum[:]), service, region, now()); err != nil {
		return nil, fmt.Errorf("%s: %w", service, err)
	}
	resp, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be reached: %w", service, err)
	}
	defer resp.Body.Close()
	doc, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", service, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %d %s", service, resp.StatusCode, code(doc))
	}
	return doc, nil
}

func (a Access) endpoint(service, region string) string {
	if a.Endpoint != "" {
		return strings.TrimRight(a.Endpoint, "/") + "/"
	}
	return partition.Endpoint(service, region) + "/"
}

// code returns the code of an error, which SSM gives in JSON and SNS in XML.
func code(doc []byte) string {
	var j struct {
		Type string `json:"__type"`
	}
	if json.Unmarshal(doc, &j) == nil && j.Type != "" {
		return clip(j.Type[strings.LastIndex(j.Type, "#")+1:])
	}
	_, rest, _ := strings.Cut(string(doc), "<Code>")
	word, _, found := strings.Cut(rest, "</Code>")
	if !found {
		return "without a code"
	}
	return clip(word)
}

func clip(s string) string { return s[:min(len(s), 100)] }
