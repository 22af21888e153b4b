//go:build cdk

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/aws/constructs-go/constructs/v10"

	"bldst/shared/outbound"
	"bldst/shared/secret"
)

// Production is the stage whose data outlives it: nothing that holds data is
// deleted with the stack.
const Production = "prod"

// Settings are the context of a deployment, given as NAME=VALUE to
// infra/stage or in stages/STAGE.json. Every value but the stage has a default
// that suits a small team.
type Settings struct {
	Stage      string   // stage: in the name of the stack, and of what is reached through it
	Arch       string   // arch: of the functions, arm64 or amd64
	Dist       string   // dist: the folder with ARCH/NAME/bootstrap
	Origins    string   // origins: that browsers may call from, separated by commas; default none in prod, else any
	LogLevel   string   // log-level: debug, info, warning or error
	LogDays    int      // log-days: how long logs are kept
	Rate       float64  // rate: requests a second
	Burst      float64  // burst: requests at once
	Traced     float64  // traced: the share of requests that X-Ray follows
	OwnKey     bool     // own-key: encrypt table, bucket and secret with a key of their own
	Alarms     string   // alarm-topic: the ARN of the SNS topic that is told of alarms
	Firewall   bool     // firewall: put a web application firewall before the API
	Domain     string   // domain: a name of your own for the API, with certificate
	Cert       string   // certificate: the ARN of its certificate
	Webhook    string   // webhook-secret: references to the secrets that sign webhooks, separated by commas
	Accounts   string   // webhook-accounts: the AWS accounts whose topics may report builds, separated by commas; default the stack's
	CI         []string // ci-credentials: NAME=REFERENCE, separated by commas; projects name them env:BLDST_CI_NAME
	Outbound   string   // outbound: networks that functions may call beside public ones, such as 10.20.0.0/16
	Adopted    string   // table: the name of a table to use in place of the stack's own
	Stream     string   // table-stream: the ARN of its stream
	Detailed   bool     // detailed-metrics: metrics of each path and method, which cost
	APILogRole bool     // api-log-role: this stack sets the role with which API Gateway writes logs, once an account and region
	Tags       []string // tags: NAME=VALUE, separated by commas
}

var ciName = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,50}$`)

var accounts = regexp.MustCompile(`^\d{12}(,\d{12})*$`)

var stageName = regexp.MustCompile(`^[a-z][a-z0-9]{1,14}$`)

// settingsOf reads the context of scope, and for what it does not say the file
// stages/STAGE.json. Its error names the value that is wrong and says what it
// may be.
func settingsOf(scope constructs.Construct) (*Settings, error) {
	c := context{scope: scope}
	c.load(filepath.Join(root(), "infra", "stages", c.text("stage", "dev")+".json"))
	st := &Settings{
		Stage: c.text("stage", "dev"), Arch: c.text("arch", "arm64"), Dist: c.text("dist", filepath.Join(root(), "dist")), LogLevel: c.text("log-level", "info"),
		LogDays: int(c.number("log-days", 30)), Rate: c.number("rate", 500), Burst: c.number("burst", 1000), Traced: c.number("traced", 0.01),
		OwnKey: c.flag("own-key"), Alarms: c.text("alarm-topic", ""), Firewall: c.flag("firewall"),
		Domain: c.text("domain", ""), Cert: c.text("certificate", ""), APILogRole: c.text("api-log-role", "true") == "true",
	}
	st.Webhook, st.Outbound, st.CI = c.text("webhook-secret", ""), c.text("outbound", ""), c.list("ci-credentials")
	st.Accounts = c.text("webhook-accounts", "")
	st.Adopted, st.Stream, st.Detailed = c.text("table", ""), c.text("table-stream", ""), c.flag("detailed-metrics")
	st.Origins = c.text("origins", map[bool]string{true: "", false: "*"}[st.production()])
	st.Tags = c.list("tags")
	if c.err != nil {
		return nil, c.err
	}
	return st, st.check()
}

func (st *Settings) check() error {
	switch {
	case !stageName.MatchString(st.Stage):
		return fmt.Errorf("stage %q must be 2 to 15 lower case letters and digits, such as dev or prod", st.Stage)
	case st.Arch != "arm64" && st.Arch != "amd64":
		return fmt.Errorf("arch %q must be arm64 or amd64", st.Arch)
	case (st.Domain == "") != (st.Cert == ""):
		return fmt.Errorf("domain and certificate belong together; only one is given")
	case st.Traced > 1:
		return fmt.Errorf("traced is a share of all requests, at most 1, not %v", st.Traced)
	case st.production() && st.Origins == "*":
		return fmt.Errorf("origins=* lets any page on the web call the production API from its visitors' browsers; name the origins")
	}
	for _, t := range st.Tags {
		if k, _, ok := strings.Cut(t, "="); !ok || k == "" {
			return fmt.Errorf("tags must have the form NAME=VALUE,NAME=VALUE, not %q", t)
		}
	}
	if (st.Adopted == "") != (st.Stream == "") {
		return fmt.Errorf("table and table-stream belong together; bin/deploy adopt NAME prints both")
	}
	if st.Adopted != "" && !strings.Contains(st.Stream, ":table/"+st.Adopted+"/stream/") {
		return fmt.Errorf("table-stream %s is not the stream of table %s", st.Stream, st.Adopted)
	}
	return st.checkOutside()
}

// checkOutside checks what leads outside. A template is not the place of a
// secret: it is given as a reference.
func (st *Settings) checkOutside() error {
	if _, err := outbound.ParseAllow(st.Outbound); err != nil {
		return fmt.Errorf("outbound: %w", err)
	}
	for _, ref := range strings.Split(st.Webhook, ",") {
		if st.Webhook != "" && secret.Check(ref) != nil {
			return fmt.Errorf("webhook-secret must be references such as ssm:/bldst/webhook, not a secret itself: a template shows it")
		}
	}
	if st.Accounts != "" && !accounts.MatchString(st.Accounts) {
		return fmt.Errorf("webhook-accounts must be the numbers of AWS accounts, 12 digits each, separated by commas, not %q", st.Accounts)
	}
	for _, c := range st.CI {
		if name, ref, ok := strings.Cut(c, "="); !ok || !ciName.MatchString(name) || secret.Check(ref) != nil {
			return fmt.Errorf("ci-credentials must have the form JENKINS=ssm:/bldst/ci/jenkins,GITHUB=secretsmanager:bldst/ci/github; a template shows secrets")
		}
	}
	return nil
}

func (st *Settings) production() bool { return st.Stage == Production }

// root is the folder of the module that we are in.
func root() string {
	dir, err := os.Getwd()
	for err == nil && dir != filepath.Dir(dir) {
		if _, missing := os.Stat(filepath.Join(dir, "go.mod")); missing == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	return "."
}

// A context reads values and keeps the first error.
type context struct {
	scope constructs.Construct
	file  map[string]any
	err   error
}

// load reads a file with values; there need not be one.
func (c *context) load(name string) {
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = json.Unmarshal(b, &c.file)
	}
	if err != nil {
		c.err = fmt.Errorf("%s: %w", name, err)
	}
}

func (c *context) text(name, otherwise string) string {
	v := c.scope.Node().TryGetContext(&name)
	if v == nil {
		v = c.file[name]
	}
	if v == nil {
		return otherwise
	}
	return fmt.Sprint(v)
}

func (c *context) list(name string) []string {
	if v := c.text(name, ""); v != "" {
		return strings.Split(v, ",")
	}
	return nil
}

func (c *context) number(name string, otherwise float64) float64 {
	v := c.text(name, "")
	if v == "" {
		return otherwise
	}
	x, err := strconv.ParseFloat(v, 64)
	if (err != nil || x <= 0) && c.err == nil {
		c.err = fmt.Errorf("%s must be a number above 0, not %q", name, v)
	}
	return x
}

func (c *context) flag(name string) bool { return c.text(name, "false") == "true" }
