package cmd

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// write writes the settings file.
func (s *session) write(content string) {
	s.t.Helper()
	if err := os.WriteFile(s.file(), []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *session) file() string { return filepath.Join(s.home, ".bldst.yaml") }

func (s *session) read() string {
	s.t.Helper()
	data, err := os.ReadFile(s.file())
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	return string(data)
}

// broken is a keyring that cannot be used.
type broken struct{}

var errBroken = errors.New("no session bus")

func (broken) Get(string) (string, error) { return "", errBroken }
func (broken) Set(string, string) error   { return errBroken }
func (broken) Delete(string) error        { return errBroken }

func TestConfigSession(t *testing.T) {
	t.Parallel()
	s := newSession(t, "")
	s.env = map[string]string{}
	check(t, 1, s.run("config", "get-url").Code)
	check(t, result{2, "", "error: the API URL \"localhost:8080\" must begin with http:// or https://\nRun 'bldst config set-url --help' for usage.\n"}, s.run("config", "set-url", "localhost:8080"))
	check(t, result{0, "", "The API is at http://localhost:8080.\n"}, s.run("config", "set-url", "http://localhost:8080/"))
	check(t, result{0, "http://localhost:8080\n", ""}, s.run("config", "get-url"))
	check(t, result{0, "", "The API key is in the keyring.\n"}, s.run("config", "set-key", "hush"))
	check(t, "api_url: \"http://localhost:8080\"\n", s.read())
	check(t, result{0, "api_url\thttp://localhost:8080\nhas_api_key\t✓\nhas_jwt_token\t✗\ndefault_platform\t\ndefault_os_version\t\nconfig_file\t" + s.file() + "\n", ""}, s.run("config", "show"))
	s.env["BUILDSTATE_API_URL"] = "http://env"
	got := s.run("config", "show", "-o", "json")
	if !strings.Contains(got.Out, `"api_url": "http://env"`) || !strings.Contains(got.Out, `"has_api_key": true`) || strings.Contains(got.Out, "hush") {
		t.Errorf("config show -o json: %s", got.Out)
	}
	check(t, result{0, "", "The API is at http://other.\nwarning: the environment names another URL, which is used first: http://env\n"}, s.run("config", "set-url", "http://other"))
	check(t, result{0, "", "Removed " + s.file() + " and the stored credentials.\n"}, s.run("config", "reset"))
	check(t, 0, len(s.ring.(memory)))
	check(t, result{0, "http://env\n", ""}, s.run("config", "get-url"))
}

func TestAnotherSettingsFile(t *testing.T) {
	t.Parallel()
	s := newSession(t, "")
	s.env = map[string]string{}
	path := filepath.Join(s.home, "new", "b.yaml")
	s.run("--config", path, "config", "set-url", "http://x")
	check(t, "http://x\n", s.run("config", "get-url", "--config", path).Out)
	check(t, 1, s.run("config", "get-url").Code)
}

func TestSetKeyWithoutAKeyringSaysSo(t *testing.T) {
	t.Parallel()
	s := newSession(t, "")
	delete(s.env, "BLDST_API_KEY")
	s.ring = broken{}
	check(t, result{0, "", "warning: the keyring cannot be used (no session bus); the API key is kept in " + s.file() + ", readable by you only\n"}, s.run("auth", "set-key", "hush"))
	check(t, "api_key: hush\n", s.read())
	check(t, result{0, "", "The API key is forgotten.\n"}, s.run("auth", "clear-key"))
	check(t, "", s.read())
}

func TestSetKeyReadsTheKey(t *testing.T) {
	t.Parallel()
	s := newSession(t, "")
	s.in = "piped-key\n"
	check(t, result{0, "", ""}, s.run("auth", "set-key", "-q"))
	check(t, memory{"api_key": "piped-key"}, s.ring.(memory))
	s.tty, s.in = true, "typed-key\n"
	check(t, result{0, "", "API key: \nThe API key is in the keyring.\n"}, s.run("auth", "set-key"))
	check(t, memory{"api_key": "typed-key"}, s.ring.(memory))
	s.in = ""
	check(t, 2, s.run("auth", "set-key").Code)
}

func TestLoginSession(t *testing.T) {
	t.Parallel()
	srv := serve(t, map[string]reply{
		"POST /token": {body: `{"access_token":"jwt","token_type":"bearer","expires_in":3600}`},
		"GET /builds": {body: `[]`}, "GET /builds?limit=100": {body: `[]`},
	})
	s := newSession(t, srv.URL)
	delete(s.env, "BLDST_API_KEY")
	s.tty, s.in = true, "admin\nadmin 123\n"
	check(t, result{0, "", "User name: Password: \nThe token is in the keyring.\nThe login refreshes by itself until 'bldst auth logout'.\nSigned in as admin.\n"}, s.run("auth", "login"))
	s.run("build", "list")
	s.run("auth", "set-key", "k2")
	s.run("build", "list")
	check(t, []seen{
		{"POST /token", "password=admin+123&username=admin", ""},
		{"GET /builds?limit=100", "", "Bearer jwt"},
		{"GET /builds?limit=100", "", "k2"},
	}, srv.seen)
	check(t, result{0, "", "The token is forgotten.\n"}, s.run("auth", "logout"))
	check(t, memory{"api_key": "k2"}, s.ring.(memory))

	s.tty, s.in = false, "pw\n"
	got := s.run("auth", "login", "--username", "u", "--password-stdin")
	check(t, result{0, "", "The token is in the keyring.\nThe login refreshes by itself until 'bldst auth logout'.\nSigned in as u.\nwarning: an API key is set as well and is used first; 'bldst auth clear-key' forgets it\n"}, got)
	check(t, result{2, "", "error: missing --password or --password-stdin\n"}, s.run("auth", "login", "--username", "u"))
	check(t, result{2, "", "error: missing --username\n"}, s.run("auth", "login", "--password", "p"))
}

func TestLoginFailure(t *testing.T) {
	t.Parallel()
	srv := serve(t, map[string]reply{"POST /token": {status: 401, body: `{"detail":"Incorrect username or password"}`}})
	got := newSession(t, srv.URL).run("auth", "login", "-u", "u", "-p", "hush")
	check(t, result{4, "", "error: Incorrect username or password (HTTP 401)\nCheck user name and password.\n"}, got)
}

func TestABrokenSettingsFileCanBeReset(t *testing.T) {
	t.Parallel()
	s := newSession(t, "")
	s.write("api_key: hush\n  x: [\n")
	got := s.run("config", "show")
	if got.Code != 1 || strings.Contains(got.Err, "hush") || !strings.Contains(got.Err, "bldst config reset") {
		t.Errorf("config show: %+v", got)
	}
	check(t, 0, s.run("config", "reset").Code)
	check(t, 0, s.run("config", "show").Code)
}

func TestALoginRefreshesByItself(t *testing.T) {
	t.Parallel()
	srv := serve(t, map[string]reply{"POST /token": {body: `{"access_token":"first"}`}, "GET /users/me": {status: 401, body: `{"detail":"Token has expired","code":"unauthorized"}`}})
	s := newSession(t, srv.URL)
	delete(s.env, "BLDST_API_KEY")
	check(t, 0, s.run("auth", "login", "-u", "ada", "-p", "pw").Code)
	srv.set("POST /token", reply{body: `{"access_token":"second"}`})
	srv.set("GET /builds?limit=100", reply{status: 401, wants: "Bearer second", body: `[]`})
	check(t, result{Out: "[]\n"}, s.run("build", "list", "-o", "json"))
	check(t, "second", s.ring.(memory)["jwt_token"])

	// One that cannot be refreshed says how to go on.
	srv.set("POST /token", reply{status: 401, body: `{"detail":"Incorrect username or password","code":"unauthorized"}`})
	got := s.run("user", "me")
	check(t, 4, got.Code)
	if !strings.Contains(got.Err, "sign in again with 'bldst auth login'") {
		t.Errorf("stderr: %s", got.Err)
	}

	// After signing out nothing is left to refresh with.
	check(t, 0, s.run("auth", "logout").Code)
	check(t, memory{}, s.ring.(memory))
}
