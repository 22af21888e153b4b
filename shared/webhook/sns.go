package webhook

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // what SignatureVersion 1 of SNS is made with
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"bldst/shared/outbound"
	"bldst/shared/problem"
)

// Messages of Amazon SNS to an https endpoint. Source: Amazon SNS Developer
// Guide, "HTTP/HTTPS notification JSON format" and "Verifying the signatures
// of Amazon SNS messages".

// TopicPrefix begins the names of the topics whose messages are believed, as
// of those that are published to.
const TopicPrefix = "bldst-"

// Topics says whose messages are believed, and how what SNS refers to is got.
// It is safe for concurrent use.
type Topics struct {
	// Accounts of AWS. Everybody can have a topic of any name that SNS signs
	// for, so without accounts every message is refused.
	Accounts []string
	// Get gets an address whose host was checked to be that of SNS.
	Get func(ctx context.Context, address string) ([]byte, error)

	mu    sync.Mutex
	certs map[string]*x509.Certificate
}

// Through returns how addresses are got with a client.
func Through(c *outbound.Client) func(context.Context, string) ([]byte, error) {
	return func(ctx context.Context, address string) ([]byte, error) {
		r, err := c.Do(ctx, outbound.Request{Method: http.MethodGet, URL: address})
		if err != nil {
			return nil, err
		}
		return r.Body, r.Err("SNS")
	}
}

// An envelope is what SNS sends.
type envelope struct {
	Type             string
	MessageID        string `json:"MessageId"`
	Token            string
	TopicARN         string `json:"TopicArn"`
	Subject          *string
	Message          string
	SubscribeURL     string
	Timestamp        string
	SignatureVersion string
	Signature        string
	SigningCertURL   string
}

// The types of messages.
const (
	notification = "Notification"
	subscribed   = "SubscriptionConfirmation"
	unsubscribed = "UnsubscribeConfirmation"
)

// signed returns what the signature is of, "" for a type that nobody knows.
func (e *envelope) signed() string {
	fields := []string{"Message", e.Message, "MessageId", e.MessageID}
	switch e.Type {
	case notification:
		if e.Subject != nil {
			fields = append(fields, "Subject", *e.Subject)
		}
		fields = append(fields, "Timestamp", e.Timestamp)
	case subscribed, unsubscribed:
		fields = append(fields, "SubscribeURL", e.SubscribeURL, "Timestamp", e.Timestamp, "Token", e.Token)
	default:
		return ""
	}
	return strings.Join(append(fields, "TopicArn", e.TopicARN, "Type", e.Type), "\n") + "\n"
}

// identity tells the message from all others.
func (e *envelope) identity() string {
	sum := sha256.Sum256([]byte(e.TopicARN + "\x00" + e.MessageID))
	return hex.EncodeToString(sum[:])
}

// open reads a message and checks who sent it. Nothing is got before the topic
// is one that is believed, and only from SNS in the region of the topic.
func (t *Topics) open(ctx context.Context, body []byte, now time.Time) (*envelope, error) {
	e := new(envelope)
	if err := json.Unmarshal(body, e); err != nil || e.Signature == "" {
		return nil, untrusted("it is no signed message of SNS; raw message delivery must be off")
	}
	region, err := t.topic(e.TopicARN)
	if err != nil {
		return nil, err
	}
	if m := certificateURL().FindStringSubmatch(e.SigningCertURL); m == nil || m[1] != region {
		return nil, untrusted("SigningCertURL is no certificate of SNS in " + region)
	}
	if _, err := e.digest(); err != nil { // before anything is got
		return nil, err
	}
	cert, err := t.certificate(ctx, e.SigningCertURL)
	if err != nil {
		return nil, err
	}
	return e, e.verify(cert, now)
}

// topic returns the region of a topic that is believed.
func (t *Topics) topic(arn string) (string, error) {
	m := topicARN().FindStringSubmatch(arn)
	switch {
	case m == nil:
		return "", untrusted("its topic's name does not begin with " + TopicPrefix)
	case !slices.Contains(t.Accounts, m[2]):
		return "", untrusted("its topic is of an AWS account that WEBHOOK_ACCOUNTS does not name")
	}
	return m[1], nil
}

// once compiles a pattern when it is first needed.
func once(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}

const snsHost = `sns\.([a-z]{2,4}(?:-[a-z]+){1,3}-\d{1,2})\.amazonaws\.com(?:\.cn)?`

var (
	topicARN       = once(`^arn:aws[a-z-]*:sns:([a-z0-9-]+):(\d{12}):` + TopicPrefix + `[A-Za-z0-9_.-]{1,250}$`)
	certificateURL = once(`^https://` + snsHost + `/[A-Za-z0-9_-]+\.pem$`)
	subscribeURL   = once(`^https://` + snsHost + `/\?[^#]+$`)
)

// maxCerts is how many certificates are remembered; SNS has one a region.
const maxCerts = 16

// certificate returns the certificate at an address of SNS.
func (t *Topics) certificate(ctx context.Context, at string) (*x509.Certificate, error) {
	t.mu.Lock()
	known := t.certs[at]
	t.mu.Unlock()
	if known != nil {
		return known, nil
	}
	if t.Get == nil {
		return nil, untrusted("certificates cannot be got here")
	}
	doc, err := t.Get(ctx, at)
	if err != nil {
		return nil, &problem.Problem{Kind: problem.Unavailable, Detail: "The certificate of SNS cannot be got now; SNS sends the message again.", Err: err}
	}
	block, _ := pem.Decode(doc)
	if block == nil {
		return nil, untrusted("SigningCertURL holds no certificate")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, untrusted("SigningCertURL holds no certificate that can be read")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.certs == nil || len(t.certs) >= maxCerts {
		t.certs = map[string]*x509.Certificate{}
	}
	t.certs[at] = cert
	return cert, nil
}

// digest returns the hash that the signature is of.
func (e *envelope) digest() (func() (crypto.Hash, []byte), error) {
	text := e.signed()
	switch {
	case text == "":
		return nil, untrusted(fmt.Sprintf("a message of type %q is not known", clip(e.Type, 100)))
	case e.SignatureVersion == "2":
		return func() (crypto.Hash, []byte) { s := sha256.Sum256([]byte(text)); return crypto.SHA256, s[:] }, nil
	case e.SignatureVersion == "1":
		return func() (crypto.Hash, []byte) { s := sha1.Sum([]byte(text)); return crypto.SHA1, s[:] }, nil //nolint:gosec // see above
	}
	return nil, untrusted("its SignatureVersion is neither 1 nor 2")
}

func (e *envelope) verify(cert *x509.Certificate, now time.Time) error {
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok || now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
		return untrusted("its certificate is not valid now")
	}
	digest, err := e.digest()
	if err != nil {
		return err
	}
	signature, err := base64.StdEncoding.DecodeString(e.Signature)
	if err != nil {
		return untrusted("its Signature is not base64")
	}
	if hash, sum := digest(); rsa.VerifyPKCS1v15(key, hash, sum, signature) != nil {
		return untrusted("its Signature does not fit")
	}
	return nil
}

func untrusted(why string) error {
	return problem.New(problem.Unauthorized, "The message is refused: %s.", why)
}

// confirm confirms a subscription, at SNS and nowhere else.
func (t *Topics) confirm(ctx context.Context, e *envelope) error {
	region, err := t.topic(e.TopicARN)
	if err != nil {
		return err
	}
	u, err := url.Parse(e.SubscribeURL)
	m := subscribeURL().FindStringSubmatch(e.SubscribeURL)
	if err != nil || m == nil || m[1] != region || u.Query().Get("Action") != "ConfirmSubscription" || u.Query().Get("TopicArn") != e.TopicARN {
		return untrusted("SubscribeURL confirms no subscription of its topic")
	}
	if _, err := t.Get(ctx, e.SubscribeURL); err != nil {
		return &problem.Problem{Kind: problem.Unavailable, Detail: "The subscription cannot be confirmed now; SNS sends the message again.", Err: err}
	}
	return nil
}
