package config_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"bldst/shared/config"
)

const secretARN = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:keys-AbCdEf"

// secrets is a Secrets Manager with one secret.
func secrets(t *testing.T, status int, answer string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Header.Get("X-Amz-Target") != "secretsmanager.GetSecretValue" || string(body) != `{"SecretId":"`+secretARN+`"}` ||
			!strings.Contains(r.Header.Get("Authorization"), "/eu-west-1/secretsmanager/aws4_request") || r.Header.Get("X-Amz-Security-Token") != "session" {
			t.Errorf("not a signed request for the secret: %v %s", r.Header, body)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func read(url string) (*config.Config, error) {
	env := map[string]string{"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key", "AWS_SESSION_TOKEN": "session",
		"AWS_ENDPOINT_URL": url, config.SigningSecret: secretARN}
	return config.Read(func(name string) (string, bool) { v, ok := env[name]; return v, ok }, config.JWTKeys)
}

func TestSigningKeysOfASecret(t *testing.T) {
	t.Parallel()
	old, next := strings.Repeat("o", 64), strings.Repeat("n", 64)
	c, err := read(secrets(t, http.StatusOK, `{"SecretString":"{\"current\":\"2\",\"1\":\"`+old+`\",\"2\":\"`+next+`\"}"}`))
	if err != nil {
		t.Fatal(err)
	}
	if c.Signer.Current != "2" || string(c.Signer.Keys["1"]) != old || string(c.Signer.Keys["2"]) != next || len(c.Signer.Keys) != 2 {
		t.Errorf("want key 2 to sign and key 1 to verify, got %s and %d keys", c.Signer.Current, len(c.Signer.Keys))
	}
}

func TestSigningKeysThatCannotBeReadAreNamedAndNotShown(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		answer string
		want   string
	}{
		"refused":                    {http.StatusBadRequest, `{"__type":"AccessDeniedException"}`, "answered 400"},
		"no JSON":                    {http.StatusOK, `hush`, "is not JSON"},
		"a secret that is a word":    {http.StatusOK, `{"SecretString":"hush"}`, "the secret must have the form"},
		"a current key that is none": {http.StatusOK, `{"SecretString":"{\"current\":\"2\",\"1\":\"hushhushhushhushhushhushhushhushhush\"}"}`, config.SigningSecret},
	} {
		_, err := read(secrets(t, c.status, c.answer))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: want %q and nothing of the secret, got %v", name, c.want, err)
		}
	}
}
