// Package manifest is the list of deployed functions, as data: API Gateway,
// the local gateway, the permissions and the tests all range over it.
package manifest

import (
	"slices"
	"strings"
)

// A Function is one deployed Lambda function: a folder of functions/, an entry
// here and a constructor in wire.
type Function struct {
	Name    string
	Routes  []string // resources of the REST API that it serves, every spelling
	Stream  bool     // invoked with the changes of the table
	Table   Access   // what it may do with the table
	Keys    []string // prefixes of the partitions it uses, see store; none is no limit
	Signs   bool     // needs the keys that sign or verify JWTs
	States  []string // what it may do with the state machine and its executions
	Events  bool     // publishes domain events
	Topics  bool     // publishes to the SNS topics that subscriptions name
	Files   bool     // reads and writes the objects of builds in the bucket
	Secrets bool     // reads the parameters and secrets under bldst/
	Memory  int      // MiB
	Timeout int      // seconds
}

// An Access is what a function may do with the table.
type Access int

// The accesses.
const (
	None  Access = iota
	Get          // read items by key
	Read         // Get, and query the table and its indexes
	Write        // Read, and conditional writes
)

// Actions returns the DynamoDB actions of a; a transaction needs those of its
// parts.
func (a Access) Actions() []string {
	get := []string{"dynamodb:GetItem", "dynamodb:BatchGetItem"}
	switch a {
	case None:
		return nil
	case Get:
		return get
	case Read:
		return append(get, "dynamodb:Query")
	default:
		return append(get, "dynamodb:Query", "dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:ConditionCheckItem")
	}
}

// Sizes of functions. Memory buys CPU: signing in hashes a password.
const (
	small, large = 256, 1024 // MiB
	short, long  = 10, 60    // seconds
	patient      = 28        // seconds: API Gateway waits for 29 and no longer
)

// everyCall are the partitions every endpoint with a credential uses: who
// calls, what was answered before, what was done.
var everyCall = []string{"token#", "user#", "once#", "audit#"}

// references are the partitions a build refers to.
var references = []string{"project#", "platform#", "os-version#", "image-type#", "cloud-provider#", "os-distribution#", "image-variant#"}

// All is every function, in the order of the documentation.
var All = []Function{
	catalogue("platforms"), catalogue("os-versions"), catalogue("image-types"),
	catalogue("cloud-providers"), catalogue("os-distributions"), catalogue("image-variants"),
	resource("projects", keys("project#"), "/projects", "/projects/{id}", "/projects/{id}/{proxy+}"),
	resource("state-codes", keys("project#", "state-code#", "build#"), below("/state-codes", "/projects/{id}/state-codes")...),
	resource("resumable-states", keys("project#", "state-code#"), below("/resumable-states", "/projects/{id}/resumable-states")...),
	resource("builds", keys(append(references, "build#", "state-code#", "resume-request#", "dwell#")...), "/builds", "/builds/{id}", "/builds/{id}/{proxy+}"),
	resource("artifacts", keys("build#", "project#"), below("/builds/{id}/artifacts")...),
	files("files", below("/builds/{id}/uploads", "/builds/{id}/downloads")...),
	resource("variables", keys("build#", "project#"), below("/builds/{id}/variables")...),
	resource("resume", keys("build#", "project#", "resume-request#", "breaker#", "dwell#"), below("/resume-requests", "/breakers", "/builds/{id}/resume", "/builds/{id}/resume-requests",
		"/builds/{id}/resume-plan", "/builds/{id}/resume-context", "/builds/{id}/heartbeat", "/builds/{id}/cancel")...),
	resource("jobs", keys("build#", "project#"), below("/builds/{id}/jobs")...),
	resource("users", keys("project#"), below("/users")...),
	{Name: "auth", Routes: below("/token", "/auth"), Table: Write, Keys: keys("signin#"), Signs: true, Memory: large, Timeout: short},
	{Name: "audit", Routes: below("/audit"), Table: Read, Keys: keys("build#"), Signs: true, Memory: small, Timeout: short},
	{Name: "dashboard", Routes: below("/dashboard"), Table: Read, Signs: true, Memory: small, Timeout: short},
	notifications("notifications", below("/projects/{id}/subscriptions", "/projects/{id}/deliveries", "/deliveries")...),
	{Name: "webhooks", Routes: below("/webhooks"), Table: Write, Keys: []string{"build#", "project#", "state-code#"}, Secrets: true, Memory: small, Timeout: short},
	{Name: "metrics", Routes: below("/metrics"), Table: Read, Keys: keys("metric#", "project#"), Signs: true, Memory: small, Timeout: short},
	{Name: "health", Routes: append(below("/health", "/ready", "/status"), "/", "/{proxy+}"), Table: Get, Memory: small, Timeout: short},
	{Name: "docs", Routes: below("/docs", "/redoc", "/openapi.json"), Memory: small, Timeout: short},
	task("open-build", append(references, "build#", "state-code#", "execution#", "audit#"), describe, stop, fail),
	task("await-report", keys("build#", "project#", "state-code#"), answer, fail),
	task("record-stall", keys("build#", "project#", "state-code#")),
	task("decide-failure", keys("build#", "project#", "state-code#", "breaker#")),
	task("resume-build", keys("build#", "project#", "state-code#", "breaker#", "resume-request#", "dwell#")),
	{Name: "relay", Stream: true, Table: Write, States: []string{begin, describe, answer, fail, beat}, Events: true, Memory: small, Timeout: long},
	{Name: "sweep", Table: Write, Keys: keys("build#", "project#", "state-code#", "due#", "metric#"), States: []string{begin, describe}, Memory: small, Timeout: long},
	{Name: "reconcile", Table: Write, Keys: keys("build#", "project#", "state-code#", "breaker#", "execution#"), States: []string{begin, describe}, Memory: small, Timeout: long},
	{Name: "notify", Table: Write, Keys: []string{"project#", "delivery#"}, Topics: true, Memory: small, Timeout: long},
	{Name: "dispatch", Table: Write, Keys: []string{"build#", "project#", "state-code#"}, Secrets: true, Memory: small, Timeout: long},
}

// What a function may do with the state machine.
const (
	begin    = "states:StartExecution"
	describe = "states:DescribeExecution"
	stop     = "states:StopExecution"
	answer   = "states:SendTaskSuccess"
	fail     = "states:SendTaskFailure"
	beat     = "states:SendTaskHeartbeat"
)

// task is a function that the state machine invokes.
func task(name string, keys []string, states ...string) Function {
	return Function{Name: name, Table: Write, Keys: keys, States: states, Memory: small, Timeout: short}
}

// catalogue is the function of a noun whose collection has its name.
func catalogue(name string) Function {
	noun := strings.TrimSuffix(name, "s")
	return resource(name, keys(noun+"#"), below("/"+name)...)
}

func resource(name string, keys []string, routes ...string) Function {
	return Function{Name: name, Routes: routes, Table: Write, Keys: keys, Signs: true, Memory: small, Timeout: short}
}

// files is a resource that deals with the bucket.
func files(name string, routes ...string) Function {
	f := resource(name, keys("build#", "project#"), routes...)
	f.Files, f.Timeout = true, patient
	return f
}

// notifications is a resource whose replays wait for the targets.
func notifications(name string, routes ...string) Function {
	f := resource(name, keys("project#", "delivery#"), routes...)
	f.Topics, f.Timeout = true, patient
	return f
}

func keys(own ...string) []string { return slices.Concat(own, everyCall) }

// below returns the resources of each path and everything under it, in both
// spellings: /os-versions and /os_versions.
func below(paths ...string) []string {
	var out []string
	for _, p := range paths {
		out = append(out, p, p+"/{proxy+}")
		if other := strings.ReplaceAll(p, "-", "_"); other != p {
			out = append(out, other, other+"/{proxy+}")
		}
	}
	return out
}

// Find returns the function called name; false when there is none.
func Find(name string) (Function, bool) {
	i := slices.IndexFunc(All, func(f Function) bool { return f.Name == name })
	if i < 0 {
		return Function{}, false
	}
	return All[i], true
}
