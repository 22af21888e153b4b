package config

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"bldst/shared/auth"
	"bldst/shared/partition"
)

// CurrentKey is the field of the secret with the signing keys that says which
// of the others signs. The others are keys by their ids:
//
//	{"current": "2", "1": "…", "2": "…"}
const CurrentKey = "current"

// A key that is fetched comes before the first answer, so it must be there
// soon or not at all.
const (
	secretTimeout = 2 * time.Second // of one attempt
	secretTries   = 3
	secretLimit   = 1 << 17 // bytes of an answer; a secret has at most half of it
)

// signingSecret reads the keys from the secret with this ARN in Secrets
// Manager. It speaks the protocol itself: it is one call, and the service's
// client would be a third of a function.
func (c *Config) signingSecret(arn string) (auth.Signer, error) {
	var answer []byte
	var err error
	for try := range secretTries {
		if answer, err = c.getSecretValue(arn); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond << try)
	}
	if err != nil {
		return auth.Signer{}, err
	}
	var value struct{ SecretString string }
	if err := json.Unmarshal(answer, &value); err != nil {
		return auth.Signer{}, fmt.Errorf("the answer of Secrets Manager is not JSON") // the cause may show the secret
	}
	return parseSigning(value.SecretString)
}

// parseSigning reads the value of the secret. Its errors show nothing of it.
func parseSigning(value string) (auth.Signer, error) {
	fields := map[string]string{}
	if err := json.Unmarshal([]byte(value), &fields); err != nil {
		return auth.Signer{}, fmt.Errorf(`the secret must have the form {"%s": "1", "1": "key"}`, CurrentKey)
	}
	s := auth.Signer{Current: fields[CurrentKey], Keys: map[string][]byte{}}
	for id, key := range fields {
		if id != CurrentKey {
			s.Keys[id] = []byte(key)
		}
	}
	return s, nil
}

func (c *Config) getSecretValue(arn string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), secretTimeout)
	defer cancel()
	body, _ := json.Marshal(map[string]string{"SecretId": arn})
	endpoint := c.Endpoint("secretsmanager")
	if endpoint == "" {
		endpoint = partition.Endpoint("secretsmanager", c.Region) + "/"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("the address of Secrets Manager: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "secretsmanager.GetSecretValue")
	sum := sha256.Sum256(body)
	who := aws.Credentials{AccessKeyID: c.AccessKey, SecretAccessKey: c.SecretKey, SessionToken: c.Session}
	if err := v4.NewSigner().SignHTTP(ctx, who, req, hex.EncodeToString(sum[:]), "secretsmanager", c.Region, time.Now()); err != nil {
		return nil, fmt.Errorf("sign the request: %w", err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("get secret %s: %w", arn, err)
	}
	defer func() { _ = res.Body.Close() }()
	out, err := io.ReadAll(io.LimitReader(res.Body, secretLimit))
	if err != nil {
		return nil, fmt.Errorf("get secret %s: %w", arn, err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get secret %s: Secrets Manager answered %s (%s)", arn, res.Status, res.Header.Get("X-Amzn-ErrorType"))
	}
	return out, nil
}
