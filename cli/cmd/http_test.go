package cmd

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
)

const aBuild = `{"id":"0190aaaa-0000-7000-8000-000000000001","build_number":"B1","current_state":0,"status":"pending","ami_id":null,"build_metadata":{"k":1.10}}`

const aReport = `{"id":"r1","state_code":25,"status":"in_progress"}`

// TestCommandsCallTheAPI pins, per command line, the one request and what is
// printed.
func TestCommandsCallTheAPI(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		line   string
		call   string // method and URI
		body   string
		status int
		answer string
		out    string
		err    string
	}{
		{line: "platform create --name x --cloud-provider aws", call: "POST /platforms", body: `{"cloud_provider":"aws","name":"x"}`, status: 201,
			answer: `{"name":"x","id":"x"}`, out: "id\tx\nname\tx\n", err: "Created platform x.\n"},
		{line: "platforms get aws", call: "GET /platforms/aws", answer: `{"id":"aws"}`, out: "id\taws\n"},
		{line: "platform get a/b --include-deactivated", call: "GET /platforms/a%2Fb?include_deactivated=true", answer: `{"id":"a"}`, out: "id\ta\n"},
		{line: "os-version list --skip 2 --limit 3", call: "GET /os-versions?limit=3&skip=2", answer: `[{"id":"a","version":"9"}]`, out: "a\t\t9\t\n"},
		{line: "-o json image-types list", call: "GET /image-types?limit=100", answer: `[{"z":1,"id":"a"}]`, out: "[\n  {\n    \"z\": 1,\n    \"id\": \"a\"\n  }\n]\n"},
		{line: "image-type list --format json", call: "GET /image-types?limit=100", answer: `[]`, out: "[]\n"},
		{line: "image-variant update v --description d", call: "PUT /image-variants/v", body: `{"description":"d"}`, answer: `{"id":"v"}`, out: "id\tv\n", err: "Updated image variant v.\n"},
		{line: "os-distribution delete ubuntu", call: "DELETE /os-distributions/ubuntu", status: 204, err: "Deleted OS distribution ubuntu. 'bldst os-distribution restore' brings it back.\n"},
		{line: "cloud-provider restore aws -q", call: "POST /cloud-providers/aws/restore", answer: `{"id":"aws"}`, out: "aws\n"},
		{line: "project create --name p --parent-id q -q", call: "POST /projects", body: `{"name":"p","parent_project_id":"q"}`, status: 201, answer: `{"id":"p1"}`, out: "p1\n"},

		{line: "build create --platform aws --os o --type base --id B1", call: "POST /builds", status: 201, answer: aBuild,
			body: `{"build_number":"B1","image_type_id":"base","os_version_id":"o","platform_id":"aws"}`, out: "0190aaaa-0000-7000-8000-000000000001\n"},
		{line: "build create --build-number B1 --attach", call: "POST /builds?attach=true", body: `{"build_number":"B1"}`, answer: aBuild,
			out: "Build ID: 0190aaaa-0000-7000-8000-000000000001\nid\t0190aaaa-0000-7000-8000-000000000001\nbuild_number\tB1\ncurrent_state\t0\nstatus\tpending\nami_id\t\nbuild_metadata\t{\"k\":1.10}\n"},
		{line: "build create --os o --output yaml", call: "POST /builds", body: `{"os_version_id":"o"}`, answer: aBuild,
			out: "id: \"0190aaaa-0000-7000-8000-000000000001\"\nbuild_number: B1\ncurrent_state: 0\nstatus: pending\nami_id: null\nbuild_metadata:\n  k: 1.10\n"},
		{line: "build list --status failed --platform aws --limit 5 -q", call: "GET /builds?limit=5&platform_id=aws&status=failed", answer: `[{"id":"b1"},{"id":"b2"}]`, out: "b1\nb2\n"},
		{line: "build get --build-id B1 -q", call: "GET /builds/B1", answer: `{"id":"b1"}`, out: "b1\n"},
		{line: "build update b1 --current-state 300 --ami-id a", call: "PUT /builds/b1", body: `{"ami_id":"a","current_state":30}`, answer: `{"id":"b1"}`, out: "id\tb1\n", err: "warning: state 300 is recorded as 30\nUpdated build b1.\n"},
		{line: "build add-state b1 --state 25 --status 'Packer started'", call: "POST /builds/b1/state", body: `{"state_code":25,"status":"Packer started"}`, answer: aReport, out: "id\tr1\nstate_code\t25\nstatus\tin_progress\n", err: "Recorded.\n"},
		{line: "builds update-state --build-id b1 --state-code TESTING --message m -q", call: "POST /builds/b1/state", body: `{"message":"m","state_name":"TESTING"}`, answer: aReport, out: "r1\n"},
		{line: "build update-state --build-id b1 --state-code 999 --message m", call: "POST /builds/b1/state", body: `{"message":"m","state_code":100,"status":"completed"}`, answer: aReport, out: "id\tr1\nstate_code\t25\nstatus\tin_progress\n", err: "warning: state 999 is recorded as 100, completed\nRecorded.\n"},
		{line: "build update-state --build-id b1 --state-code -1 --message m -q", call: "POST /builds/b1/failure", body: `{"error_message":"m"}`, answer: `{"id":"f1"}`, out: "f1\n", err: "warning: state -1 is recorded as a failure at the current state\n"},
		{line: "state update b1 --state 42 --strict -q", call: "POST /builds/b1/state", body: `{"state_code":42}`, answer: aReport, out: "r1\n", err: "warning: state 42 is not a multiple of 5\n"},
		{line: "state get b1", call: "GET /builds/b1/state", answer: `{"history":[],"status":"failed","current_state":5}`, out: "current_state\t5\nstatus\tfailed\nhistory\t[]\n"},
		{line: "build record-failure b1 --state 50 --error e --retryable -q", call: "POST /builds/b1/failure", body: `{"error_message":"e","is_retryable":true,"state_code":50}`, answer: `{"id":"f1"}`, out: "f1\n"},
		{line: "failure record b1 --error e --code C --component x -q", call: "POST /builds/b1/failure", body: `{"component":"x","error_code":"C","error_message":"e"}`, answer: `{"id":"f1"}`, out: "f1\n"},
		{line: "build states b1", call: "GET /builds/b1/states?limit=1000", answer: `[{"state_code":5,"status":"completed","attempt":1}]`, out: "5\tcompleted\t1\t\t\t\n"},
		{line: "build history b1", call: "GET /builds/b1/history?limit=100", answer: `[{"seq":1,"kind":"created","actor":"ada","attempt":1}]`, out: "1\t\tcreated\tada\t1\t\n"},
		{line: "build failures b1 -o json", call: "GET /builds/b1/failures?limit=1000", answer: `[]`, out: "[]\n"},

		{line: "dashboard summary", call: "GET /dashboard/summary", answer: `{"total_builds":2,"platforms":{"aws":1}}`, out: "total_builds\t2\nplatforms\t{\"aws\":1}\n"},
		{line: "dashboard recent --limit 2 -q", call: "GET /dashboard/recent?limit=2", answer: `[{"id":"b1"}]`, out: "b1\n"},
		{line: "dashboard platform aws", call: "GET /dashboard/platform/aws", answer: `{"platform":"aws"}`, out: "platform\taws\n"},
	} {
		t.Run(test.line, func(t *testing.T) {
			t.Parallel()
			srv := serve(t, map[string]reply{test.call: {status: test.status, body: test.answer}})
			got := newSession(t, srv.URL).run(argv(test.line)...)
			check(t, result{0, test.out, test.err}, got)
			check(t, []seen{{test.call, test.body, "k"}}, srv.seen)
		})
	}
}

func TestBuildCreateTakesReferencesFromEnvironmentAndSettings(t *testing.T) {
	t.Parallel()
	srv := serve(t, map[string]reply{"POST /builds": {status: 201, body: aBuild}})
	s := newSession(t, srv.URL)
	s.env["BLDST_PROJECT"], s.env["BUILDSTATE_IMAGE_TYPE"], s.env["BLDST_BUILD_NUMBER"] = "p", "base", "7"
	s.write("default_platform: aws\ndefault_os_version: rhel-9\n")
	s.run("build", "create", "--image-type", "hana", "-q")
	check(t, []seen{{"POST /builds", `{"build_number":"7","image_type_id":"hana","os_version_id":"rhel-9","platform_id":"aws","project_id":"p"}`, "k"}}, srv.seen)
}

func TestBuildCreateReportsItsStartState(t *testing.T) {
	t.Parallel()
	srv := serve(t, map[string]reply{"POST /builds": {status: 201, body: `{"id":"b1"}`}, "POST /builds/b1/state": {body: `{}`}})
	got := newSession(t, srv.URL).run(argv("build create --name n --start-state 200 -q")...)
	check(t, result{Out: "b1\n", Err: "warning: state 200 is recorded as 20\n"}, got)
	check(t, []seen{{"POST /builds", `{"build_number":"n"}`, "k"}, {"POST /builds/b1/state", `{"state_code":20,"status":"in_progress"}`, "k"}}, srv.seen)
}

func TestTheBuildMayComeFromTheEnvironment(t *testing.T) {
	t.Parallel()
	srv := serve(t, map[string]reply{"GET /builds/b1": {body: `{"id":"b1"}`}})
	s := newSession(t, srv.URL)
	s.env["BUILDSTATE_BUILD_ID"] = "b1"
	check(t, result{Out: "b1\n"}, s.run("build", "get", "-q"))
	delete(s.env, "BUILDSTATE_BUILD_ID")
	check(t, 2, s.run("build", "get").Code)
}

func TestListFollowsPages(t *testing.T) {
	t.Parallel()
	next := func(q string) map[string]string { return map[string]string{"Link": "<?" + q + `>; rel="next"`} }
	srv := serve(t, map[string]reply{
		"GET /platforms":            {body: `[{"id":"a"}]`, header: next("cursor=2")},
		"GET /platforms?cursor=2":   {body: `[{"id":"b"}]`},
		"GET /platforms?limit=1000": {body: `[{"id":"a"}]`, header: next("cursor=2")},
		"GET /platforms?limit=100":  {body: "[" + strings.Repeat(`{"id":"a"},`, 100) + `{"id":"b"}]`},
		"GET /platforms?limit=1":    {body: `[{"id":"a"}]`, header: next("cursor=2")},
	})
	s := newSession(t, srv.URL)
	check(t, result{Out: "a\nb\n"}, s.run("platform", "list", "--all", "-q"))
	check(t, result{Out: "a\nb\n"}, s.run("platform", "list", "--limit", "2000", "-q"))
	got := s.run("platform", "list", "--limit", "1")
	check(t, result{Out: "a\t\t\t\t\n", Err: "There are more than these 1: use --all, or a larger --limit.\n"}, got)
	check(t, result{Out: "a\n"}, s.run("platform", "list", "--limit", "1", "-q"))
	check(t, result{Out: strings.Repeat("a\n", 100), Err: "warning: there are more than these 100: use --all, or a larger --limit\n"}, s.run("platform", "list", "-q"))
}

func TestDeleteAsksOnATerminal(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		line, in string
		calls    int
		want     result
	}{
		{"platform delete aws -q", "n\n", 0, result{1, "", "Delete platform aws? [y/N] error: nothing was changed\n"}},
		{"platform delete aws -q", "", 0, result{1, "", "Delete platform aws? [y/N] error: nothing was changed\n"}},
		{"platform delete aws -q", "y\n", 1, result{0, "", "Delete platform aws? [y/N] "}},
		{"platform delete aws -q --yes", "", 1, result{}},
	} {
		srv := serve(t, map[string]reply{"DELETE /platforms/aws": {status: 204}})
		s := newSession(t, srv.URL)
		s.tty, s.in = true, test.in
		check(t, test.want, s.run(argv(test.line)...))
		check(t, test.calls, len(srv.seen))
	}
}

func TestErrorsAndExitCodes(t *testing.T) {
	t.Parallel()
	dead := httptest.NewServer(nil)
	dead.Close()
	for name, test := range map[string]struct {
		line   string
		url    string
		answer reply
		want   result
	}{
		"401": {line: "build get b", answer: reply{status: 401, body: `{"detail":"Authentication required. Use Bearer token or X-API-Key.","code":"unauthorized","request_id":"r1"}`},
			want: result{4, "", "error: Authentication required. Use Bearer token or X-API-Key. (HTTP 401, request r1)\nThe API key is wrong or has ended: set another with 'bldst auth set-key KEY' or BLDST_API_KEY. 'bldst auth status' says where it comes from.\n"}},
		"403": {line: "build get b", answer: reply{status: 403, body: `{"detail":"Read permission required"}`},
			want: result{4, "", "error: Read permission required (HTTP 403)\nThe credential does not allow this: 'bldst auth status' says what it may do; use another one ('bldst auth set-key KEY' or BLDST_API_KEY).\n"}},
		"an unknown path of API Gateway": {line: "build get b", answer: reply{status: 403, body: `{"message":"Missing Authentication Token"}`},
			want: result{4, "", "error: Missing Authentication Token (HTTP 403)\nAPI Gateway knows no such path: check the URL and its stage with 'bldst config get-url'.\n"}},
		"404": {line: "build get b", answer: reply{status: 404, body: `{"detail":"Build not found"}`}, want: result{1, "", "error: Build not found (HTTP 404)\n"}},
		"409": {line: "build get b", answer: reply{status: 409, body: `{"detail":"x","code":"ambiguous"}`}, want: result{1, "", "error: x (HTTP 409)\n"}},
		"422": {line: "build get b", answer: reply{status: 422, body: `{"detail":[{"loc":["body","items",0,"name"],"msg":"Field required","type":"missing"}],"request_id":"r2"}`},
			want: result{2, "", "error: the input was not accepted (HTTP 422, request r2)\n  body -> items -> 0 -> name: Field required\n"}},
		"422 as JSON": {line: "build get b -o json", answer: reply{status: 422, body: `{"detail":[{"loc":["body","n"],"msg":"m","type":"t"}],"code":"invalid","request_id":"r2"}`},
			want: result{2, "", `{"error":{"code":"invalid","detail":[{"loc":["body","n"],"msg":"m","type":"t"}],"status":422,"request_id":"r2"}}` + "\n"}},
		"503": {line: "build get b", answer: reply{status: 503, body: `{"detail":"busy"}`, header: map[string]string{"Retry-After": "90"}},
			want: result{1, "", "error: busy (HTTP 503)\nTry again in 1m30s.\n"}},
		"another site": {line: "build get b", answer: reply{body: `<html>`},
			want: result{1, "", "error: the answer is not what the API sends, is the URL right? (status 200, request without id): invalid character '<' looking for beginning of value\n"}},
		"no URL": {line: "build get b", url: "none",
			want: result{1, "", "error: no API URL is set\nSet it with 'bldst config set-url URL', or for one command with --api-url or BLDST_API_URL.\n"}},
		"no URL, as JSON": {line: "--output=json build get b", url: "none",
			want: result{1, "", `{"error":{"code":"error","detail":"no API URL is set","next_steps":["Set it with 'bldst config set-url URL', or for one command with --api-url or BLDST_API_URL."]}}` + "\n"}},
		"unknown command":          {line: "platform lst", want: result{2, "", "error: unknown command \"lst\" for \"bldst platform\"; did you mean get or list?\nRun 'bldst platform --help' for usage.\n"}},
		"unknown root command":     {line: "frobnicate", want: result{2, "", "error: unknown command \"frobnicate\" for \"bldst\"\nRun 'bldst --help' for usage.\n"}},
		"unknown flag":             {line: "build list --colour", want: result{2, "", "error: unknown flag: --colour\nRun 'bldst build list --help' for usage.\n"}},
		"unknown flag, as JSON":    {line: "build list -o json --colour", want: result{2, "", `{"error":{"code":"usage","detail":"unknown flag: --colour","next_steps":["Run 'bldst build list --help' for usage."]}}` + "\n"}},
		"missing flags":            {line: "platform create", want: result{2, "", "error: missing --name, --cloud-provider\nRun 'bldst platform create --help' for usage.\n"}},
		"missing argument":         {line: "platform get", want: result{2, "", "error: missing ID\nRun 'bldst platform get --help' for usage.\n"}},
		"unknown output format":    {line: "platform list -o xml", want: result{2, "", "error: unknown output format \"xml\": use table, json, yaml or env\nRun 'bldst platform list --help' for usage.\n"}},
		"a state out of range":     {line: "build add-state b --state 150", want: result{2, "", "error: state 150 is out of range: use 0 to 100 (200, 300 … 900, 999 and -1 of the Jenkins library are translated)\n"}},
		"the local system missing": {line: "local", want: result{1, "", "error: this bldst was built without the local system\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := serve(t, map[string]reply{"GET /builds/b": test.answer})
			s := newSession(t, srv.URL)
			if test.url != "" {
				delete(s.env, "BLDST_API_URL")
			}
			check(t, test.want, s.run(argv(test.line)...))
		})
	}

	got := newSession(t, dead.URL).run("build", "get", "b")
	if got.Code != 5 || !strings.HasPrefix(got.Err, "error: the API at "+dead.URL+" cannot be reached: ") || !strings.Contains(got.Err, "bldst config set-url") {
		t.Errorf("unreachable: %+v, want exit code 5 and what to do", got)
	}
	got = newSession(t, dead.URL).run("build", "get", "b", "-o", "json")
	var e map[string]envelope
	if err := json.Unmarshal([]byte(got.Err), &e); err != nil || e["error"].Code != "unreachable" || got.Out != "" {
		t.Errorf("unreachable as JSON: %v, %+v", err, got)
	}
}

func TestVerboseTellsCallsAndNoCredential(t *testing.T) {
	t.Parallel()
	srv := serve(t, map[string]reply{"GET /builds/b": {body: `{"id":"b"}`, header: map[string]string{"X-Request-Id": "r1"}}})
	s := newSession(t, srv.URL)
	s.env["BLDST_API_KEY"] = "top-secret"
	check(t, result{0, "b\n", "GET " + srv.URL + "/builds/b: 200 (request r1)\n"}, s.run("build", "get", "b", "-q", "-v"))
	s.env["BUILDSTATE_DEBUG"] = "1"
	check(t, result{0, "b\n", "GET " + srv.URL + "/builds/b: 200 (request r1)\n"}, s.run("build", "get", "b", "-q"))
}

func TestHealthNeedsNoCredentialAndPrintsWhatIsWrong(t *testing.T) {
	t.Parallel()
	srv := serve(t, map[string]reply{
		"GET /health":           {body: `{"timestamp":"t","status":"healthy"}`},
		"GET /ready":            {status: 503, body: `{"ready":false,"database":"down"}`},
		"GET /status":           {status: 503, body: `{"message":"Service Unavailable"}`},
		"GET /health/liveness":  {body: `{"status":"alive"}`},
		"GET /health/readiness": {body: `{"status":"ok"}`},
	})
	s := newSession(t, srv.URL)
	check(t, result{0, "status\thealthy\ntimestamp\tt\n", ""}, s.run("health"))
	check(t, result{0, "status\thealthy\ntimestamp\tt\n", ""}, s.run("health", "check"))
	check(t, result{1, "ready\tfalse\ndatabase\tdown\n", ""}, s.run("health", "ready"))
	check(t, result{1, "", "error: Service Unavailable (HTTP 503)\nTry again later.\n"}, s.run("health", "status"))
	check(t, result{0, "status\talive\n", ""}, s.run("health", "liveness"))
	check(t, result{0, "status\tok\n", ""}, s.run("health", "readiness"))
	check(t, 2, s.run("health", "nonsense").Code)
	for _, r := range srv.seen {
		if r.Key != "" {
			t.Errorf("%s carried a credential", r.Call)
		}
	}
	check(t, 6, len(srv.seen)) // asked once each, also when not well
}

func TestTheURLMayHaveAPathAndComeByFlag(t *testing.T) {
	t.Parallel()
	srv := serve(t, map[string]reply{"GET /dev/builds/b": {body: `{"id":"b"}`}})
	s := newSession(t, "http://unused.invalid")
	check(t, result{0, "b\n", ""}, s.run("--api-url", srv.URL+"/dev/", "build", "get", "b", "-q"))
}
