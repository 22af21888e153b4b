// Package config reads the environment of a function into a struct, once, in
// main. No other package looks at the environment.
package config

import (
	"fmt"
	"log/slog"
	"os"
	"strings"

	"bldst/shared/auth"
	"bldst/shared/outbound"
)

// The variables a function may require, see Load.
const (
	TableName = "TABLE_NAME"
	Region    = "AWS_REGION"
	JWTKeys   = "JWT_KEYS"
	Machine   = "STATE_MACHINE_ARN"
	Bucket    = "ARTIFACT_BUCKET"
)

// SigningSecret is the variable with the ARN of the secret that has the keys,
// for those who have no JWTKeys.
const SigningSecret = "JWT_SECRET_ARN"

// Development is the stage with documented credentials and seeded data.
// Nothing but data depends on the stage.
const Development = "development"

// A Config is the environment of a function.
type Config struct {
	Table     string            // TABLE_NAME
	Region    string            // AWS_REGION, else AWS_DEFAULT_REGION
	Endpoints map[string]string // by service: AWS_ENDPOINT_URL_DYNAMODB and so on; "" is AWS_ENDPOINT_URL
	AccessKey string            // AWS_ACCESS_KEY_ID
	SecretKey string            // AWS_SECRET_ACCESS_KEY
	Session   string            // AWS_SESSION_TOKEN
	Machine   string            // STATE_MACHINE_ARN: of the state machine that drives builds
	Bucket    string            // ARTIFACT_BUCKET: for the files of artifacts
	Bus       string            // EVENT_BUS_NAME; default: the default bus
	Stage     string            // STAGE, else ENVIRONMENT; default "production"
	Signer    auth.Signer       // JWT_KEYS="kid:secret,kid:secret", the first signs; else JWT_SECRET_KEY; else the secret JWT_SECRET_ARN
	Outbound  outbound.Allow    // OUTBOUND_ALLOW: "loopback, http, 10.20.0.0/16"; default: https to public addresses only
	Webhooks  []string          // WEBHOOK_SECRET: a secret or a reference to one, two separated by a comma while one is replaced
	Accounts  []string          // WEBHOOK_ACCOUNTS: the AWS accounts whose topics are believed, separated by commas; default none
	Origins   []string          // ALLOWED_ORIGINS, separated by commas; default "*", set but empty is none
	LogLevel  slog.Level        // LOG_LEVEL: debug, info, warning or error; default info
}

// Endpoint returns the URL under which the AWS service is reached, "" for the
// usual one.
func (c *Config) Endpoint(service string) string {
	if u := c.Endpoints[service]; u != "" {
		return u
	}
	return c.Endpoints[""]
}

// An AWS says where a service of AWS is and who asks. The adapters take it
// converted to a type of their own, so that no function links all of them.
type AWS struct {
	Region       string
	Endpoint     string // "" is the one of the region
	KeyID        string
	Secret       string
	SessionToken string
}

// AWS returns the access to the service: "dynamodb", "sfn", "eventbridge", "sns", "ssm" or "s3".
func (c *Config) AWS(service string) AWS {
	return AWS{Region: c.Region, Endpoint: c.Endpoint(service), KeyID: c.AccessKey, Secret: c.SecretKey, SessionToken: c.Session}
}

// Load returns the environment of this process. When one of the required
// variables is missing or one that is set cannot be read, it says so on
// standard error and ends the process.
func Load(required ...string) *Config {
	c, err := Read(os.LookupEnv, required...)
	if err != nil {
		fmt.Fprintln(os.Stderr, "configuration:", err)
		os.Exit(1)
	}
	return c
}

// Read returns the configuration in the variables that lookup finds. Its error
// names the variable and never shows a secret.
func Read(lookup func(string) (string, bool), required ...string) (*Config, error) {
	e := env(lookup)
	c := &Config{
		Table:     e.first(TableName),
		Region:    e.first(Region, "AWS_DEFAULT_REGION"),
		Endpoints: map[string]string{},
		AccessKey: e.first("AWS_ACCESS_KEY_ID"),
		SecretKey: e.first("AWS_SECRET_ACCESS_KEY"),
		Session:   e.first("AWS_SESSION_TOKEN"),
		Machine:   e.first(Machine),
		Bucket:    e.first(Bucket),
		Bus:       e.first("EVENT_BUS_NAME"),
		Stage:     e.first("STAGE", "ENVIRONMENT"),
		Origins:   []string{"*"},
	}
	if c.Stage == "" {
		c.Stage = "production"
	}
	if v, set := lookup("ALLOWED_ORIGINS"); set {
		c.Origins = list(v)
	}
	if err := c.endpoints(e); err != nil {
		return nil, err
	}
	if err := c.keys(e); err != nil {
		return nil, err
	}
	if err := c.level(e); err != nil {
		return nil, err
	}
	if err := c.outside(e); err != nil {
		return nil, err
	}
	return c, c.require(required)
}

func (c *Config) require(names []string) error {
	have := map[string]bool{TableName: c.Table != "", Region: c.Region != "", JWTKeys: len(c.Signer.Keys) > 0, Machine: c.Machine != "", Bucket: c.Bucket != ""}
	for _, name := range names {
		if !have[name] {
			return fmt.Errorf("%s is not set", name)
		}
	}
	return nil
}

// services are those whose endpoint can be set alone, by the name of the
// variable's end.
var services = []string{"DYNAMODB", "SFN", "EVENTBRIDGE", "SNS", "SSM", "S3"}

func (c *Config) endpoints(e env) error {
	for _, s := range append([]string{""}, services...) {
		name := "AWS_ENDPOINT_URL"
		if s != "" {
			name += "_" + s
		}
		u := e.first(name)
		if u != "" && !strings.HasPrefix(u, "http://") && !strings.HasPrefix(u, "https://") {
			return fmt.Errorf("%s must begin with http:// or https://", name)
		}
		c.Endpoints[strings.ToLower(s)] = u
	}
	return nil
}

func (c *Config) keys(e env) error {
	c.Signer.Keys = map[string][]byte{}
	name := JWTKeys
	for _, pair := range list(e.first(JWTKeys)) {
		kid, secret, ok := strings.Cut(pair, ":")
		if !ok || kid == "" || secret == "" {
			return fmt.Errorf("%s must have the form kid:secret, several separated by commas", JWTKeys)
		}
		if c.Signer.Keys[kid] != nil {
			return fmt.Errorf("%s has the key id %q twice", JWTKeys, kid)
		}
		if c.Signer.Current == "" {
			c.Signer.Current = kid
		}
		c.Signer.Keys[kid] = []byte(secret)
	}
	if secret := e.first("JWT_SECRET_KEY"); len(c.Signer.Keys) == 0 && secret != "" {
		name, c.Signer.Current = "JWT_SECRET_KEY", "default"
		c.Signer.Keys["default"] = []byte(secret)
	}
	if arn := e.first(SigningSecret); len(c.Signer.Keys) == 0 && arn != "" {
		var err error
		if c.Signer, err = c.signingSecret(arn); err != nil {
			return fmt.Errorf("%s: %w", SigningSecret, err)
		}
		name = SigningSecret
	}
	if len(c.Signer.Keys) == 0 {
		return nil
	}
	if err := c.Signer.Check(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (c *Config) level(e env) error {
	v := strings.ToUpper(e.first("LOG_LEVEL"))
	switch v {
	case "", "NOTSET":
		return nil
	case "WARNING":
		v = "WARN"
	case "CRITICAL", "FATAL":
		v = "ERROR"
	}
	if err := c.LogLevel.UnmarshalText([]byte(v)); err != nil {
		return fmt.Errorf("LOG_LEVEL must be debug, info, warning or error, not %q", e.first("LOG_LEVEL"))
	}
	return nil
}

// An env finds variables.
type env func(string) (string, bool)

// first returns the first of the variables that is not empty.
func (e env) first(names ...string) string {
	for _, n := range names {
		if v, _ := e(n); strings.TrimSpace(v) != "" {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func list(v string) []string {
	var out []string
	for _, s := range strings.Split(v, ",") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}
