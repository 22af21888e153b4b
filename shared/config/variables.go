package config

import "strings"

// A Variable is one that functions read. The deployment, its documentation and
// the tests range over Variables.
type Variable struct {
	Name    string // a * at its end stands for any ending
	Setting string // of the stage that gives it, see docs/operations.md; "" where Source gives it
	Source  string // "stack" gives it to the functions that need it; "AWS" to every function; "host" is for emulators and one machine
	About   string
}

// Variables lists every variable that Read and CI look up.
var Variables = []Variable{
	{TableName, "table", "stack", "the table; the stack's own, or the one that is adopted"},
	{Machine, "", "stack", "the state machine that drives builds"},
	{"EVENT_BUS_NAME", "", "stack", "the bus of the domain events"},
	{SigningSecret, "", "stack", "the secret with the keys that sign sessions"},
	{Bucket, "", "stack", "the bucket of the files of artifacts"},
	{"STAGE", "stage", "stack", "the name of the stage"},
	{"LOG_LEVEL", "log-level", "stack", "debug, info, warning or error"},
	{"ALLOWED_ORIGINS", "origins", "stack", "the pages that browsers may call from"},
	{"OUTBOUND_ALLOW", "outbound", "", "private networks and plain http that notifications and starts of CI jobs may use"},
	{"WEBHOOK_SECRET", "webhook-secret", "", "references to the secrets that sign what comes in from CI"},
	{"WEBHOOK_ACCOUNTS", "webhook-accounts", "", "the AWS accounts whose SNS topics may report builds; default that of the stack"},
	{ciPrefix + "*", "ci-credentials", "", "references to the credentials of CI systems that projects may name as env:" + ciPrefix + "NAME"},
	{Region, "", "AWS", "the region"},
	{"AWS_DEFAULT_REGION", "", "AWS", "the region, by its older name"},
	{"AWS_ACCESS_KEY_ID", "", "AWS", "the credentials of the function's role"},
	{"AWS_SECRET_ACCESS_KEY", "", "AWS", "the same"},
	{"AWS_SESSION_TOKEN", "", "AWS", "the same"},
	{"AWS_ENDPOINT_URL*", "", "host", "where an emulator answers, for all services or for one"},
	{JWTKeys, "", "host", "the keys that sign sessions, in place of the secret"},
	{"JWT_SECRET_KEY", "", "host", "one such key, by its older name"},
	{"ENVIRONMENT", "", "host", "the name of the stage, by its older name"},
}

// Is reports whether name is v, or one that v stands for.
func (v Variable) Is(name string) bool {
	prefix, open := strings.CutSuffix(v.Name, "*")
	return name == v.Name || open && strings.HasPrefix(name, prefix)
}
