package cmd

import (
	"strings"
	"testing"
)

func TestCompletionOffersWhatThereIs(t *testing.T) {
	t.Parallel()
	srv := serve(t, map[string]reply{
		"GET /builds?limit=50":              {body: `[{"id":"0190-1","build_number":"B1","status":"failed","current_state":40},{"id":"0190-2","build_number":"C2","status":"completed","current_state":100}]`},
		"GET /platforms?limit=50":           {body: `[{"id":"aws-commercial","name":"AWS Commercial"},{"id":"azure","name":"Azure"}]`},
		"GET /projects?limit=50":            {body: `[{"id":"p1","name":"golden"}]`},
		"GET /builds/B1/artifacts?limit=50": {body: `[{"id":"a1","artifact_name":"root-fs","artifact_type":"ami","state_code":40}]`},
	})
	s := newSession(t, srv.URL)
	for line, want := range map[string]string{
		"build get ''":                     "B1\tfailed 40\nC2\tcompleted 100\n",
		"build get B":                      "B1\tfailed 40\n",
		"build get 0190-2":                 "0190-2\tcompleted 100\n",
		"build get --build-id C":           "C2\tcompleted 100\n",
		"build get B1 ''":                  "",
		"builds resume ''":                 "B1\tfailed 40\nC2\tcompleted 100\n",
		"artifact get B1 ''":               "root-fs\tami 40\n",
		"platform delete az":               "azure\tAzure\n",
		"build create --platform-id aws":   "aws-commercial\tAWS Commercial\n",
		"build list --status in":           strings.Join(choices["status"], "\n") + "\n",
		"build list --project ''":          "golden\n",
		"resumable-state list g":           "golden\n",
		"variable get B1 ''":               "",
		"token create --user ''":           "",
		"build add-state B1 --status comp": strings.Join(choices["status"], "\n") + "\n",
		"build watch --output j":           "table\njson\nyaml\nenv\n", // shells pick from what is fixed
		"build add-failure B1 --class tra": strings.Join(choices["failure_class"], "\n") + "\n",
		"resumable-state create g --str":   "--strategy\tfrom_artifact, rerun_state or skip_to_next\n",
		"plat":                             "platform\tWork with platforms\n",
	} {
		got := s.run(append([]string{"__complete"}, argv(line)...)...)
		offered, directive, _ := strings.Cut(got.Out, ":")
		if offered != want || directive != "4\n" && !strings.HasPrefix(line, "plat") {
			t.Errorf("bldst %s: %q (%s), want %q; %s", line, offered, directive, want, got.Err)
		}
	}
}

func TestCompletionWithoutTheAPIOffersNothing(t *testing.T) {
	t.Parallel()
	s := newSession(t, "http://127.0.0.1:1")
	if got := s.run("__complete", "build", "get", ""); got.Code != 0 || !strings.HasPrefix(got.Out, ":4") {
		t.Errorf("%+v", got)
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if got := s.run("completion", shell); got.Code != 0 || !strings.Contains(got.Out, "bldst") {
			t.Errorf("completion %s: exit code %d, %s", shell, got.Code, got.Err)
		}
	}
}
