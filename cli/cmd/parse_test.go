package cmd

import (
	"context"
	"testing"

	"github.com/spf13/cobra"
)

func TestBuildCreateParses(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"": `{"Body":{},"Attach":false,"StartState":"","IDOnly":false}`,
		"--platform aws --os rhel-9 --type base --id B1 --pipeline-url http://ci/1 --commit abc":                                                              `{"Body":{"build_number":"B1","commit_hash":"abc","image_type_id":"base","os_version_id":"rhel-9","pipeline_url":"http://ci/1","platform_id":"aws"},"Attach":false,"StartState":"","IDOnly":true}`,
		"--build-number B1 --project-id p --platform-id aws --os-version-id o --image-type-id i --created-by me --concourse-url u --concourse-job j --attach": `{"Body":{"build_number":"B1","concourse_job_name":"j","concourse_pipeline_url":"u","created_by":"me","image_type_id":"i","os_version_id":"o","platform_id":"aws","project_id":"p"},"Attach":true,"StartState":"","IDOnly":false}`,
		`--project-id p --name n --platform jenkins --start-state 0 --os-version o --image-type i --image-variant v --metadata '{"a": 1.10}'`:                 `{"Body":{"build_metadata":{"a":1.10},"build_number":"n","image_type_id":"i","image_variant_id":"v","os_version_id":"o","platform_id":"jenkins","project_id":"p"},"Attach":false,"StartState":"0","IDOnly":false}`,
		"--project-id p --image-type i --os-distribution d --os-version o":                                                                                    `{"Body":{"image_type_id":"i","os_distribution_id":"d","os_version_id":"o","project_id":"p"},"Attach":false,"StartState":"","IDOnly":false}`,
		"--metadata '[1]'":     `error: invalid argument "[1]" for "--metadata" flag: it must be a JSON object such as '{"key": "value"}', or @FILE`,
		"--metadata '{\"a\":'": `error: invalid argument "{\"a\":" for "--metadata" flag: it must be a JSON object such as '{"key": "value"}', or @FILE`,
		"surplus":              `error: unexpected argument "surplus"`,
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			check(t, want, parse(t, newBuildCreate, argv(line)...))
		})
	}
}

func TestBuildAddStateParses(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"b1 --state 25 --status in_progress --message m":                                                           `{"ID":"b1","State":{"State":"25","Strict":false},"Body":{"message":"m","status":"in_progress"}}`,
		"b1 --state 25 --status s --storage-type s3 --storage-path s3://x --artifact-size 5000000000 --checksum c": `{"ID":"b1","State":{"State":"25","Strict":false},"Body":{"artifact_checksum":"c","artifact_size_bytes":5000000000,"artifact_storage_path":"s3://x","artifact_storage_type":"s3","status":"s"}}`,
		"--build-id b1 --state-code -1 --message m --metadata '{}'":                                                `{"ID":"b1","State":{"State":"-1","Strict":false},"Body":{"message":"m","metadata":{}}}`,
		"--state 25 --strict":                  `{"ID":"","State":{"State":"25","Strict":true},"Body":{}}`,
		"b1":                                   `error: missing --state`,
		"b1 --state 5 --build-id b2":           `error: two builds are named: b1 and --build-id b2`,
		"'' --state 5":                         `error: ID is empty`,
		"b1 --state 5 --artifact-size big":     `error: invalid argument "big" for "--artifact-size" flag: it must be a whole number`,
		"b1 b2 --state 5":                      `error: unexpected argument "b2"`,
		"b1 --state 5 --no-such-flag anything": `error: unknown flag: --no-such-flag`,
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			check(t, want, parse(t, newBuildAddState, argv(line)...))
		})
	}
}

func TestBuildAddFailureParses(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"b1 --state 50 --type t --message m":        `{"ID":"b1","State":{"State":"50","Strict":false},"Body":{"error_message":"m","failure_type":"t"}}`,
		"b1 --error m --code C --component x":       `{"ID":"b1","State":{"State":"","Strict":false},"Body":{"component":"x","error_code":"C","error_message":"m"}}`,
		"b1 --state 50 --error m --retryable":       `{"ID":"b1","State":{"State":"50","Strict":false},"Body":{"error_message":"m","is_retryable":true}}`,
		"b1 --state 50 --error m --retryable=false": `{"ID":"b1","State":{"State":"50","Strict":false},"Body":{"error_message":"m","is_retryable":false}}`,
		"b1 --message m --details '{\"n\": 1e2}'":   `{"ID":"b1","State":{"State":"","Strict":false},"Body":{"error_details":{"n":1e2},"error_message":"m"}}`,
		"b1 --state 50": `error: missing --message`,
		"--build-id b1 --state-code 5 --error-message m": `{"ID":"b1","State":{"State":"5","Strict":false},"Body":{"error_message":"m"}}`,
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			check(t, want, parse(t, newBuildAddFailure, argv(line)...))
		})
	}
}

func TestBuildListAndUpdateParse(t *testing.T) {
	t.Parallel()
	check(t, `{"Page":{"Skip":5,"Limit":50,"All":false},"Status":"in_progress","Platform":"aws","Project":"p","Deleted":false}`,
		parse(t, newBuildList, argv("--status in_progress --platform aws --project-id p --limit 50 --skip 5")...))
	check(t, `error: --skip must be 0 or more and --limit 1 or more`, parse(t, newBuildList, argv("--limit 0")...))
	check(t, `{"ID":"b1","Body":{"ami_id":"ami-1"},"State":"30"}`, parse(t, newBuildUpdate, argv("b1 --current-state 30 --ami-id ami-1")...))
	check(t, `{"ID":"b1","Body":{},"State":"30"}`, parse(t, newBuildUpdate, argv("b1 --current-state 30")...))
	check(t, `error: nothing to update: give at least one option`, parse(t, newBuildUpdate, argv("b1")...))
}

// nounCommand returns the constructor of a verb of the noun called name, whose
// work gets the part of the options that differs between nouns.
func nounCommand[O any](t *testing.T, name string, newCmd func(*Factory, noun, run[O]) *cobra.Command, part func(O) any) func(*Factory, run[any]) *cobra.Command {
	t.Helper()
	for _, n := range nouns {
		if n.name == name {
			return func(f *Factory, work run[any]) *cobra.Command {
				return newCmd(f, n, func(ctx context.Context, f *Factory, o O) error { return work(ctx, f, part(o)) })
			}
		}
	}
	t.Fatalf("no noun is called %s", name)
	return nil
}

func TestNounCreateParses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ noun, line, want string }{
		{"platform", "--name x --cloud-provider aws --region r", `{"cloud_provider":"aws","name":"x","region":"r"}`},
		{"platform", "", `error: missing --name, --cloud-provider`},
		{"os-version", "--name rhel --version 9.6", `{"name":"rhel","version":"9.6"}`},
		{"image-type", "--name x --description ''", `{"description":"","name":"x"}`},
		{"project", "--name x --parent-id p", `{"name":"x","parent_project_id":"p"}`},
		{"cloud-provider", "--name x", `error: missing --display-name`},
		{"image-variant", "--name x --region r", `error: unknown flag: --region`},
	} {
		newCmd := nounCommand(t, test.noun, newNounCreate, func(o nounCreateOptions) any { return o.Body })
		check(t, test.want, parse(t, newCmd, argv(test.line)...))
	}
}

func TestNounUpdateSendsOnlyWhatWasGiven(t *testing.T) {
	t.Parallel()
	newCmd := nounCommand(t, "platform", newNounUpdate, func(o nounUpdateOptions) any { return []any{o.ID, o.Body} })
	check(t, `["aws",{"region":"r"}]`, parse(t, newCmd, argv("aws --region r")...))
	check(t, `error: nothing to update: give at least one option`, parse(t, newCmd, argv("aws")...))
	check(t, `error: missing ID`, parse(t, newCmd, argv("--region r")...))
}

func TestStateCodes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		in       string
		perMille bool
		want     stateCode
		err      bool
	}{
		{in: "0"},
		{in: "42", want: stateCode{Code: 42}},
		{in: "100", want: stateCode{Code: 100}},
		{in: "PROVISIONING", want: stateCode{Name: "PROVISIONING"}},
		{in: "999", want: stateCode{Code: 100, Completed: true, Note: "state 999 is recorded as 100, completed"}},
		{in: "-1", want: stateCode{Failed: true, Note: "state -1 is recorded as a failure at the current state"}},
		{in: "300", want: stateCode{Code: 30, Note: "state 300 is recorded as 30"}},
		{in: "900", want: stateCode{Code: 90, Note: "state 900 is recorded as 90"}},
		{in: "100", perMille: true, want: stateCode{Code: 10, Note: "state 100 is recorded as 10"}},
		{in: "50", perMille: true, want: stateCode{Code: 5, Note: "state 50 is recorded as 5"}},
		{in: "0", perMille: true, want: stateCode{}},
		{in: "42", perMille: true, err: true},
		{in: "150", err: true}, {in: "101", err: true}, {in: "1000", err: true}, {in: "-2", err: true},
		{in: "42.5", err: true}, {in: "99999999999999999999", err: true},
	} {
		got, err := parseStateCode(test.in, test.perMille)
		if (err != nil) != test.err {
			t.Errorf("%s: err = %v", test.in, err)
		}
		check(t, test.want, got)
	}
}

func TestLoginAndLocalParse(t *testing.T) {
	t.Parallel()
	check(t, `{"IDM":false,"Username":"u","Password":"p","Stdin":false,"Once":false}`, parse(t, newLogin, argv("-u u -p p")...))
	check(t, `error: --password and --password-stdin exclude each other`, parse(t, newLogin, argv("--password p --password-stdin")...))
	check(t, `{"Port":8080,"Data":"","Hosts":null,"Quiet":false}`, parse(t, newLocal))
	check(t, `{"Port":0,"Data":"d","Hosts":null,"Quiet":false}`, parse(t, newLocal, argv("--port 0 --data d")...))
	check(t, `error: --port must be from 0 to 65535`, parse(t, newLocal, argv("--port 70000")...))
}
