package step_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bldst/cli/step/spool"
)

func TestCancelling(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	cmd := b.command("10", "--heartbeat", "20ms", "--", "bash", "-c", "touch begun; sleep 95001")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the command", b.exists("begun"))
	if status := b.api("POST", "/builds/"+b.build+"/cancel", map[string]string{"reason": "superseded"}, nil); status != http.StatusAccepted {
		t.Errorf("cancel: %d", status)
	}
	_ = cmd.Wait()
	if v := b.view(); v.Status != "cancelled" || cmd.ProcessState.ExitCode() != 143 || sleepers(t, "95001") != 0 {
		t.Errorf("exit code %d, build %+v", cmd.ProcessState.ExitCode(), v)
	}
	b.step("20", "--", "true").want(t, 1, "is cancelled")
}

func TestAReplacedWorkerStopsByItself(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	cmd := b.command("10", "--heartbeat", "20ms", "--", "bash", "-c", "touch begun; sleep 95002")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the command", b.exists("begun"))
	other := *b
	other.environ = append(other.environ[:len(other.environ):len(other.environ)], "BLDST_WORKER=other", "BLDST_SPOOL="+b.file("spool-of-other"))
	other.step("10", "--", "true").want(t, 1, "'runner' holds it", "take")
	other.step("10", "--take-over", "--", "touch", "by-other").want(t, 0)
	_ = cmd.Wait()
	if sleepers(t, "95002") != 0 || cmd.ProcessState.ExitCode() == 0 {
		t.Errorf("the replaced worker ends with %d", cmd.ProcessState.ExitCode())
	}
	if v := b.view(); v.Status != "in_progress" || v.Attempt != 2 || len(b.failures()) != 0 {
		t.Errorf("the build is %+v, failures %+v: the replaced worker must change nothing", v, b.failures())
	}
}

func TestTimeoutAndRetries(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.step("10", "--timeout", "50ms", "--", "sleep", "95003").want(t, 124, "takes longer than 50ms")
	if v := b.view(); v.Class != "timed_out" {
		t.Errorf("class %s", v.Class)
	}
	const flaky = `echo x >>tries; test $(wc -l <tries) = 3 || { echo "curl: (56) Recv failure: Connection reset by peer" >&2; exit 56; }`
	b.step("10", "--retries", "1", "--retry-wait", "1ms", "--", "sh", "-c", flaky).want(t, 56, "try 2 of 2")
	b.step("10", "--retries", "1", "--retry-wait", "1ms", "--", "sh", "-c", flaky).want(t, 0)
	b.step("20", "--retries", "3", "--retry-wait", "1ms", "--", "sh", "-c", "echo x >>once; echo 'syntax error near unexpected token' >&2; exit 2").want(t, 2)
	if data, _ := os.ReadFile(b.file("once")); string(data) != "x\n" {
		t.Errorf("what cannot pass was tried again: %q", data)
	}
}

func TestSecretsGoThroughTheEnvironmentOnly(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.set("DEPLOY_TOKEN", "tok-in-environment")
	b.step("5", "--", "true").want(t, 0)
	for key, sensitive := range map[string]bool{"db.password": true, "flavour": false} {
		b.api("POST", "/builds/"+b.build+"/variables", map[string]any{"variable_key": key, "variable_value": "value of " + key, "is_sensitive": sensitive}, nil)
	}
	b.step("10", "--", "sh", "-c", `echo "$BLDST_VAR_DB_PASSWORD, $BLDST_VAR_FLAVOUR, $DEPLOY_TOKEN, $BLDST_API_KEY"; exit 1`).
		want(t, 1, "value of db.password, value of flavour, tok-in-environment, dev-key-12345")
	f := b.failures()[0]
	if told := f.Message + string(f.Details); !strings.Contains(told, "******, value of flavour, ******, ******") || strings.Contains(told, "dev-key") || strings.Contains(told, "value of db") {
		t.Errorf("the failure says %s %s", f.Message, f.Details)
	}
}

func TestTheCommandsEnvironment(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.set("PACKER_PLUGIN_MAGIC_COOKIE", "cookie")
	b.set("PACKER_RUN_UUID", "kept")
	b.step("15", "--", "sh", "-c", `echo "$BLDST_STATE $BLDST_ATTEMPT $PACKER_RUN_UUID [$PACKER_PLUGIN_MAGIC_COOKIE] $BLDST_BUILD_ID"`).want(t, 0, "15 1 kept [] "+b.view().ID)
	// A step inside a step needs no further setting.
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b.step("20", "--", self, "step", "25", "--", "sh", "-c", "echo inner $BLDST_STATE; exit 4").want(t, 4, "inner 25")
}

func TestTheSameStepTwiceAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	first := b.command("10", "--", "sh", "-c", "echo x >>runs; touch begun; until test -e go; do sleep 0.01; done")
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first", b.exists("begun"))
	waits, err := os.Create(b.file("second.err"))
	if err != nil {
		t.Fatal(err)
	}
	second := b.command("10", "--", "sh", "-c", "echo x >>runs; touch begun; until test -e go; do sleep 0.01; done")
	second.Stderr = waits
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the second", func() bool {
		data, _ := os.ReadFile(b.file("second.err"))
		return strings.Contains(string(data), "waiting for it")
	})
	// Another state of the build goes on beside them.
	b.step("20", "--", "true").want(t, 0)
	if err := os.WriteFile(b.file("go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, _ = first.Process.Wait()
	_ = second.Wait()
	if data, _ := os.ReadFile(b.file("runs")); string(data) != "x\n" || second.ProcessState.ExitCode() != 0 {
		t.Errorf("the command has run %q times, exit code %d", data, second.ProcessState.ExitCode())
	}
}

func TestTheAPIMayBeAway(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.step("10", "--", "true").want(t, 0)
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	defer broken.Close()
	// The spool belongs to an address, so what is behind it changes, not the address.
	front := newFront(t, b.url)
	b.set("BLDST_API_URL", front.URL)
	b.step("20", "--", "true").want(t, 0)
	front.lead(broken.URL)
	b.step("30", "--", "sh", "-c", "echo alone").want(t, 0, "alone", "the API answers 500", "cannot be asked; it is run")
	b.step("40", "--", "sh", "-c", "exit 9").want(t, 9)
	b.step("50", "--strict", "--", "touch", "strict").want(t, 5)
	if b.exists("strict")() {
		t.Error("--strict ran the command")
	}
	front.lead(b.url)
	b.step("40", "--", "true").want(t, 0, "Sent 5 reports")
	v := b.view()
	if v.Status != "in_progress" || v.State != 40 || len(b.failures()) != 1 {
		t.Errorf("the build is %+v, failures %+v", v, b.failures())
	}
	b.step("30", "--", "sh", "-c", "echo alone").want(t, 0, "is skipped")

	// What another worker has replaced meanwhile is refused, and said.
	front.lead(broken.URL)
	b.step("60", "--", "true").want(t, 0)
	b.api("POST", "/builds/"+b.build+"/state", map[string]any{"state_code": 50, "status": "in_progress", "worker": "other", "take_over": true}, nil)
	front.lead(b.url)
	b.step("60", "--", "true").want(t, 1, "the API refused 'state 60 in progress'", "the API refused 'state 60 completed'", "'other' holds it")
	left, err := spool.All(b.file("spool"))
	if err != nil || len(left) != 0 {
		t.Errorf("the spool holds %v, %v", left, err)
	}
}

func TestWithoutAHomeOrASpoolTheCommandRuns(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if err := os.WriteFile(b.file("file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.set("HOME", "/proc/nosuch") // where nobody can write
	b.set("BLDST_SPOOL", filepath.Join(b.file("file"), "spool"))
	b.step("10", "--", "echo", "runs").want(t, 0, "runs", "would be lost")
	b.set("BLDST_SPOOL", "")
	b.set("TMPDIR", t.TempDir())
	b.step("20", "--", "echo", "runs").want(t, 0, "runs")
}

func TestInterruptedBeforeTheCommand(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	silent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_ = os.WriteFile(b.file("asked"), nil, 0o600)
		select {
		case <-r.Context().Done():
		case <-time.After(time.Minute):
		}
	}))
	defer silent.Close()
	b.set("BLDST_API_URL", silent.URL)
	cmd := b.command("10", "--", "touch", "ran")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first request", b.exists("asked"))
	_ = cmd.Process.Signal(os.Interrupt)
	_ = cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != 130 || b.exists("ran")() {
		t.Errorf("exit code %d, want 130 and nothing run", got)
	}
}
