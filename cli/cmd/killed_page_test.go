package cmd

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// codeBlocks returns the shell commands of a page, in order.
func codeBlocks(t *testing.T, page string) []string {
	t.Helper()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for i, part := range strings.Split(string(b), "```") {
		if code, ok := strings.CutPrefix(part, "sh\n"); ok && i%2 == 1 {
			blocks = append(blocks, code)
		}
	}
	return blocks
}

// The commands of the page are run on a build whose worker has just died.
func TestThePageAboutAKilledRunner(t *testing.T) {
	t.Parallel()
	if os.Getenv(deployed) != "" {
		t.Skip("the page is tried on one machine")
	}
	url, stop, err := startStack(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	key, bin := development["WRITE_KEY"], filepath.Join(t.TempDir(), "bldst")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "..").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	at := url + "/builds/" + call(t, key, http.MethodPost, url+"/builds", `{"build_number":"killed-1"}`)["id"].(string)
	call(t, key, http.MethodPost, at+"/state", `{"state_code":40,"status":"completed","worker":"runner-1"}`)
	call(t, key, http.MethodPost, at+"/artifacts", `{"state_code":40,"artifact_name":"after-40","artifact_type":"disk_image","artifact_path":"s3://images/40","storage_backend":"s3"}`)
	call(t, key, http.MethodPost, at+"/state", `{"state_code":45,"status":"in_progress","worker":"runner-1"}`)

	blocks := codeBlocks(t, "../../docs/killed.md")
	wants := []string{`"runner-1"`, `"take_over"`, "after-40", `"attempt":3`, "stale_attempt"}
	if len(blocks) != len(wants) {
		t.Fatalf("the page has %d blocks of commands, the test knows %d", len(blocks), len(wants))
	}
	for i, block := range blocks {
		sh := exec.CommandContext(t.Context(), "sh", "-euc", block)
		sh.Env = append(os.Environ(), "PATH="+filepath.Dir(bin)+":"+os.Getenv("PATH"), "HOME="+t.TempDir(), "BLDST_API_URL="+url, "BLDST_API_KEY="+key, "BUILD=killed-1")
		out, err := sh.CombinedOutput()
		if text := strings.ReplaceAll(strings.ReplaceAll(string(out), " ", ""), `\`, ""); err != nil || !strings.Contains(text, wants[i]) {
			t.Fatalf("%s\n%v, want %s in:\n%s", block, err, wants[i], out)
		}
	}
	b := call(t, key, http.MethodGet, at, "")
	if lease, _ := b["lease"].(map[string]any); b["attempt"] != 3.0 || b["status"] != "in_progress" || lease["worker"] != "runner-2" {
		t.Errorf("in the end the build is %v", b)
	}
}
