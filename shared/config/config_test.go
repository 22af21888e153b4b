package config

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bldst/shared/auth"
)

const secret = "0123456789abcdef0123456789abcdef"

func lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	defaults := func(change func(*Config)) *Config {
		c := &Config{Stage: "production", Origins: []string{"*"}, Signer: auth.Signer{Keys: map[string][]byte{}},
			Endpoints: map[string]string{"": "", "dynamodb": "", "sfn": "", "sns": "", "ssm": "", "eventbridge": "", "s3": ""}}
		change(c)
		return c
	}
	for name, c := range map[string]struct {
		env  map[string]string
		want *Config
	}{
		"an empty environment has usable defaults": {nil, defaults(func(*Config) {})},
		"what a function on AWS gets": {map[string]string{"TABLE_NAME": "bldst", "AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "a",
			"AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": "c", "STAGE": "prod", "LOG_LEVEL": "WARNING"},
			defaults(func(c *Config) {
				c.Table, c.Region, c.AccessKey, c.SecretKey, c.Session, c.Stage, c.LogLevel = "bldst", "eu-west-1", "a", "b", "c", "prod", slog.LevelWarn
			})},
		"the first JWT key signs, the others verify": {map[string]string{"JWT_KEYS": "new:" + secret + ", old:" + secret + "2"},
			defaults(func(c *Config) {
				c.Signer = auth.Signer{Current: "new", Keys: map[string][]byte{"new": []byte(secret), "old": []byte(secret + "2")}}
			})},
		"the old name of the JWT key": {map[string]string{"JWT_SECRET_KEY": secret},
			defaults(func(c *Config) {
				c.Signer = auth.Signer{Current: "default", Keys: map[string][]byte{"default": []byte(secret)}}
			})},
		"the old name of the stage": {map[string]string{"ENVIRONMENT": "development"}, defaults(func(c *Config) { c.Stage = "development" })},
		"origins are a list":        {map[string]string{"ALLOWED_ORIGINS": "https://a.example, https://b.example"}, defaults(func(c *Config) { c.Origins = []string{"https://a.example", "https://b.example"} })},
		"no origins at all":         {map[string]string{"ALLOWED_ORIGINS": ""}, defaults(func(c *Config) { c.Origins = nil })},
		"endpoints per service":     {map[string]string{"AWS_ENDPOINT_URL_DYNAMODB": "http://localhost:8000"}, defaults(func(c *Config) { c.Endpoints["dynamodb"] = "http://localhost:8000" })},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Read(lookup(c.env))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

func TestReadNamesTheVariable(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		env      map[string]string
		required []string
		want     string
	}{
		"a missing table":            {nil, []string{TableName}, "TABLE_NAME is not set"},
		"a missing region":           {map[string]string{"TABLE_NAME": "t"}, []string{TableName, Region}, "AWS_REGION is not set"},
		"missing keys":               {nil, []string{JWTKeys}, "JWT_KEYS is not set"},
		"blank is missing":           {map[string]string{"TABLE_NAME": "  "}, []string{TableName}, "TABLE_NAME is not set"},
		"keys without an id":         {map[string]string{"JWT_KEYS": secret}, nil, "JWT_KEYS must have the form"},
		"a key id twice":             {map[string]string{"JWT_KEYS": "a:" + secret + ",a:" + secret}, nil, `JWT_KEYS has the key id "a" twice`},
		"a short key":                {map[string]string{"JWT_SECRET_KEY": "hunter2"}, nil, "JWT_SECRET_KEY: "},
		"a missing machine":          {nil, []string{Machine}, "STATE_MACHINE_ARN is not set"},
		"an endpoint without scheme": {map[string]string{"AWS_ENDPOINT_URL": "localhost:4566"}, nil, "AWS_ENDPOINT_URL must begin with"},
		"an unknown log level":       {map[string]string{"LOG_LEVEL": "loud"}, nil, "LOG_LEVEL must be"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Read(lookup(c.env), c.required...)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want one with %q", err, c.want)
			}
			if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

func TestEndpoint(t *testing.T) {
	t.Parallel()
	c, err := Read(lookup(map[string]string{"AWS_ENDPOINT_URL": "http://all:1", "AWS_ENDPOINT_URL_DYNAMODB": "http://table:2"}))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Endpoint("dynamodb"); got != "http://table:2" {
		t.Errorf("dynamodb at %q, want its own endpoint", got)
	}
	if got := c.Endpoint("sfn"); got != "http://all:1" {
		t.Errorf("sfn at %q, want the common endpoint", got)
	}
}
