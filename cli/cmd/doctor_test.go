package cmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// diagnose runs doctor and returns its exit code and its findings, by check, as
// "result detail".
func diagnose(t *testing.T, s *session, args ...string) (code int, found map[string]string, out string) {
	t.Helper()
	f, o, _ := s.factory()
	f.Now = func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }
	code = Run(t.Context(), f, append(args, "doctor"))
	found = map[string]string{}
	for _, line := range strings.Split(o.String(), "\n") {
		if parts := strings.Split(line, "\t"); len(parts) == 3 {
			found[parts[0]] = parts[1] + " " + parts[2]
		}
	}
	return code, found, o.String()
}

func TestDoctorOfAHealthyMachine(t *testing.T) {
	t.Parallel()
	srv := serve(t, map[string]reply{
		"GET /status":   {body: `{"version":"1.0.0"}`, header: map[string]string{"Date": "Thu, 01 Jan 2026 00:00:20 GMT"}},
		"GET /users/me": {body: `{"username":"ada","scopes":["read","write"]}`},
	})
	s := newSession(t, srv.URL)
	code, found, _ := diagnose(t, s)
	check(t, 0, code)
	check(t, map[string]string{
		"settings": "ok there is no " + filepath.Join(s.home, ".bldst.yaml") + "; the environment is used", "keyring": "ok credentials are kept in it",
		"spool": "ok no report waits to be sent", "address": "ok " + srv.URL + " answers", "clock": "ok agrees with the service's",
		"version": "ok bldst 1.2.3, API 1.0.0", "credential": "ok the api key from the environment, of ada", "scopes": "ok read, write",
	}, found)
}

func TestDoctorNamesWhatMendsIt(t *testing.T) {
	t.Parallel()
	late := map[string]string{"Date": "Thu, 01 Jan 2026 00:05:00 GMT"}
	srv := serve(t, map[string]reply{
		"GET /status":   {body: `{"version":"1.4.0"}`, header: late},
		"GET /users/me": {status: 401, body: `{"detail":"Authentication required. Use Bearer token or X-API-Key.","code":"unauthorized"}`},
	})
	s := newSession(t, srv.URL)
	s.ring = nil
	s.write("default_platform: aws\n")
	if err := os.Chmod(filepath.Join(s.home, ".bldst.yaml"), 0o644); err != nil {
		t.Fatal(err)
	}
	code, found, out := diagnose(t, s)
	check(t, 1, code)
	for check, want := range map[string]string{
		"settings": "warning ", "keyring": "warning there is none", "clock": "warning this machine's clock is 5m0s apart",
		"version": "warning the API is 1.4.0, this bldst 1.2.3 was made for 1.0.0", "credential": "error the api key from the environment: Authentication required",
	} {
		if !strings.HasPrefix(found[check], want) {
			t.Errorf("%s: %q, want %q", check, found[check], want)
		}
	}
	for _, mend := range []string{"settings: chmod 600", "version: update bldst", "credential: The API key is wrong", "clock: set the clock"} {
		if !strings.Contains(out, "\n"+mend) {
			t.Errorf("nothing says %q:\n%s", mend, out)
		}
	}
}

func TestDoctorWithoutAnAPI(t *testing.T) {
	t.Parallel()
	s := newSession(t, "http://127.0.0.1:1")
	code, found, out := diagnose(t, s)
	if code != 1 || !strings.HasPrefix(found["address"], "error the API at http://127.0.0.1:1 cannot be reached") || !strings.Contains(out, "bldst config set-url URL") {
		t.Errorf("exit code %d, %s", code, out)
	}
	s.env = map[string]string{}
	if code, found, _ := diagnose(t, s); code != 1 || found["address"] != "error no API URL is set" {
		t.Errorf("exit code %d, %v", code, found)
	}
}

func TestANewerServiceIsNamedAsTheCause(t *testing.T) {
	t.Parallel()
	srv := serve(t, map[string]reply{
		"GET /status":   {body: `{"version":"1.4.0"}`},
		"GET /users/me": {status: 404, body: `{"detail":"Not Found","code":"not_found"}`},
		"GET /builds/b": {status: 404, body: `{"detail":"Build not found","code":"not_found"}`},
	})
	s := newSession(t, srv.URL)
	if got := s.run("user", "me"); got.Code != 1 || !strings.Contains(got.Err, "The API is version 1.4.0, this bldst 1.2.3 was made for 1.0.0: update bldst") {
		t.Errorf("%+v", got)
	}
	if got := s.run("build", "get", "b"); strings.Contains(got.Err, "update bldst") {
		t.Errorf("a missing build: %+v", got)
	}
	srv.set("GET /status", reply{body: `{"version":"1.0.9"}`})
	if got := s.run("user", "me"); strings.Contains(got.Err, "update bldst") {
		t.Errorf("a service that is not newer: %+v", got)
	}
}

func TestVersionsAreCompared(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"1.1.0", "1.0.0", true}, {"2.0", "1.9.9", true}, {"1.10.0", "1.9.0", true},
		{"1.0.5", "1.0.0", false}, {"0.9.0", "1.0.0", false}, {"", "1.0.0", false}, {"dev", "1.0.0", false},
	} {
		if got := newerThan(c.a, c.b); got != c.want {
			t.Errorf("%s newer than %s: %v", c.a, c.b, got)
		}
	}
	var doc struct {
		Info struct {
			Version string `json:"version"`
		} `json:"info"`
	}
	readDocument(t, &doc)
	if doc.Info.Version != apiVersion {
		t.Errorf("the API is %s: set apiVersion in newer.go", doc.Info.Version)
	}
}
