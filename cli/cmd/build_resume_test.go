package cmd

import (
	"strings"
	"testing"
)

const aContext = `{"build_id":"b1","build_number":"B1","attempt":2,"current_state":45,"resume_from_state":40,"failed_state":45,"last_successful_state":25,
	"artifacts":[{"artifact_name":"root-fs","artifact_path":"s3://b/it's","checksum":"9f"}],"variables":{"base.ami":"ami-1","pass":"******"}}`

func TestResumeContextForAShell(t *testing.T) {
	t.Parallel()
	srv := serve(t, map[string]reply{"GET /builds/b1/resume-context": {body: aContext}})
	got := newSession(t, srv.URL).run(argv("build resume-context b1 -o env")...)
	check(t, result{0, `export BLDST_BUILD_ID='b1'
export BLDST_BUILD_NUMBER='B1'
export BLDST_ATTEMPT='2'
export BLDST_CURRENT_STATE='45'
export BLDST_RESUME_FROM_STATE='40'
export BLDST_FAILED_STATE='45'
export BLDST_LAST_SUCCESSFUL_STATE='25'
export RESUME_MODE='true'
export RESUME_FROM_STATE='40'
export BLDST_ARTIFACT_ROOT_FS='s3://b/it'\''s'
export BLDST_ARTIFACT_ROOT_FS_CHECKSUM='9f'
export BLDST_VAR_BASE_AMI='ami-1'
`, "warning: 1 secret variables are left out: --reveal prints them, with a credential that may write\n"}, got)
}

func TestResumePlanForPeople(t *testing.T) {
	t.Parallel()
	srv := serve(t, map[string]reply{"GET /builds/b1/resume-plan": {body: `{"build_id":"b1","attempt":1,"resumable":false,"reason":"variable_missing","detail":"Variable 'key' is missing.",
		"resume_from_state":40,"lease":{"worker":"runner-7","until":"2026-01-01T00:00:00Z"},
		"restore":[{"artifact_name":"root-fs","state_code":25,"artifact_path":"s3://b/25","checksum_known":true,"checksum_algorithm":"sha256"}],
		"variables":[{"key":"key","required":true,"found":false}],"artifacts":[{"name":"old","expired":true}],"warnings":["be careful"],
		"states":[{"state_code":25,"name":"packages","action":"skip","why":"done"},{"state_code":40,"action":"run","why":"failed","typical_seconds":600,
			"targets":[{"target":"aws","action":"skip"},{"target":"azure","action":"run"}]}]}`}})
	got := newSession(t, srv.URL).run(argv("build resume-plan b1")...)
	check(t, result{1, strings.Join([]string{
		"Build b1, attempt 1, cannot be resumed: variable_missing.",
		"Variable 'key' is missing.",
		"Held by worker runner-7 until 2026-01-01T00:00:00Z; 'bldst build resume b1 --take-over' replaces it.",
		"",
		"STATE  NAME      ACTION  TAKES   WHY",
		"25     packages  SKIP            done",
		"40               RUN     10 min  failed (only azure)",
		"",
		"Restored before anything runs:",
		"ARTIFACT  TARGET  MADE BY  PATH       VERIFIED BY",
		"root-fs           25       s3://b/25  sha256",
		"Artifact old has expired.",
		"Variable key is required and missing: bldst variable set b1 key=VALUE",
		"Note: be careful", ""}, "\n"), ""}, got)
}

func TestResumeAloneReturnsTheContextOfOneThatIsUnderWay(t *testing.T) {
	t.Parallel()
	refused := reply{status: 409, body: `{"detail":"is being resumed","code":"resume_in_progress"}`}
	srv := serve(t, map[string]reply{"GET /builds/b1/resume-context": {body: aContext}, "POST /builds/b1/resume": refused})
	s := newSession(t, srv.URL)
	if got := s.run(argv("build resume b1 -o json")...); got.Code != 0 || !strings.Contains(got.Out, `"last_successful_state": 25`) {
		t.Errorf("alone: %+v", got)
	}
	if got := s.run(argv("build resume b1 --reason again")...); got.Code != 1 || got.Out != "" {
		t.Errorf("with a reason: %+v", got)
	}
	srv.set("POST /builds/b1/resume", reply{status: 201, body: `{"id":"r1","resume_request_id":"r1","resume_from_state":40}`})
	srv.set("GET /builds/b1", reply{body: `{"id":"b1","revision":3,"status":"failed","current_state":45}`})
	if got := s.run(argv("build resume b1 --wait -q")...); got.Code != 1 || !strings.Contains(got.Err, "the build is failed at state 45\nSee 'bldst build logs b1'.") {
		t.Errorf("--wait: %+v", got)
	}
}
