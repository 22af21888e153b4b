package settings

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// memory is a keyring for tests.
type memory map[string]string

func (m memory) Get(e string) (string, error) {
	if v, ok := m[e]; ok {
		return v, nil
	}
	return "", ErrNotFound
}
func (m memory) Set(e, s string) error { m[e] = s; return nil }
func (m memory) Delete(e string) error { delete(m, e); return nil }

// broken is a keyring that cannot be used. It counts how often it is asked.
type broken struct{ asked *int }

var errBroken = errors.New("no bus")

func (b broken) Get(string) (string, error) { *b.asked++; return "", errBroken }
func (b broken) Set(string, string) error   { *b.asked++; return errBroken }
func (b broken) Delete(string) error        { *b.asked++; return errBroken }

// options returns Options with a file of that content in a new directory.
func options(t *testing.T, content string, keyring Keyring, env map[string]string) Options {
	t.Helper()
	home := t.TempDir()
	if content != "" {
		if err := os.WriteFile(filepath.Join(home, ".bldst.yaml"), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Options{
		Env:     func(k string) (string, bool) { v, ok := env[k]; return v, ok },
		Home:    func() (string, error) { return home, nil },
		Keyring: keyring,
		Note:    func(string) {},
	}
}

func open(t *testing.T, o Options) *Settings {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	file := "api_url: http://file\napi_key: file-key\njwt_token: file-token\ndefault_platform: file-platform\n"
	ring := memory{APIKey: "ring-key"}
	type found struct{ URL, Key, Token, Platform string }
	for name, test := range map[string]struct {
		env  map[string]string
		want found
	}{
		"keyring before file":              {nil, found{"http://file", "ring-key", "file-token", "file-platform"}},
		"environment before all":           {map[string]string{"BLDST_API_URL": "http://env", "BLDST_API_KEY": "env-key", "BLDST_JWT_TOKEN": "env-token", "BLDST_PLATFORM": "env-platform"}, found{"http://env", "env-key", "env-token", "env-platform"}},
		"the older prefix":                 {map[string]string{"BUILDSTATE_API_URL": "http://old", "BUILDSTATE_API_KEY": "old-key"}, found{"http://old", "old-key", "file-token", "file-platform"}},
		"BLDST_ before BUILDSTATE_":        {map[string]string{"BUILDSTATE_API_URL": "http://old", "BLDST_URL": "http://new"}, found{"http://new", "ring-key", "file-token", "file-platform"}},
		"an empty variable is not set":     {map[string]string{"BLDST_API_URL": "", "BLDST_API_KEY": " "}, found{"http://file", "ring-key", "file-token", "file-platform"}},
		"the keyring may be switched off":  {map[string]string{"BLDST_NO_KEYRING": "1"}, found{"http://file", "file-key", "file-token", "file-platform"}},
		"white space around is cut":        {map[string]string{"BLDST_API_KEY": " k\n"}, found{"http://file", "k", "file-token", "file-platform"}},
		"another file by variable (empty)": {map[string]string{"BLDST_CONFIG": filepath.Join(t.TempDir(), "none.yaml")}, found{"", "ring-key", "", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, options(t, file, ring, test.env))
			if d := cmp.Diff(test.want, found{s.URL(), s.APIKey(), s.Token(), s.Platform()}); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestTheFileIsReplacedAndPrivate(t *testing.T) {
	t.Parallel()
	o := options(t, "api_key: 0123\nother:\n  - 1\napi_url: http://old # comment\n", nil, nil)
	s := open(t, o)
	if got := s.APIKey(); got != "0123" {
		t.Errorf("api_key = %q, want the digits as written", got)
	}
	if err := s.Set(APIURL, "http://new"); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(s.Path)
	if want := "api_url: \"http://new\"\napi_key: \"0123\"\nother:\n  - 1\n"; err != nil || string(data) != want {
		t.Errorf("file = %q, %v; want %q", data, err, want)
	}
	if info, err := os.Stat(s.Path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, %v; want 0600", info.Mode(), err)
	}
	if s := open(t, o); s.URL() != "http://new" || s.APIKey() != "0123" {
		t.Errorf("read back: %s, %s", s.URL(), s.APIKey())
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(s.Path), ".bldst-*")); len(left) > 0 {
		t.Errorf("temporary files are left: %v", left)
	}
}

func TestWithoutAHomeTheEnvironmentIsEnough(t *testing.T) {
	t.Parallel()
	o := options(t, "", nil, map[string]string{"BLDST_API_URL": "http://env", "BLDST_API_KEY": "0123"})
	o.Home = func() (string, error) { return "", errors.New("$HOME is not defined") }
	s := open(t, o)
	if s.URL() != "http://env" || s.APIKey() != "0123" {
		t.Errorf("found: %s, %s", s.URL(), s.APIKey())
	}
	if err := s.Set(APIURL, "http://b"); err == nil || !strings.Contains(err.Error(), "set HOME") {
		t.Errorf("written without a home: %v", err)
	}
	if _, err := Reset(o); err == nil {
		t.Error("a file that is nowhere was removed")
	}
	o.Profile = "prod"
	if _, err := Open(o); err == nil {
		t.Error("a profile was named, and the environment was used in its place")
	}
}

func TestALinkedFileStaysALink(t *testing.T) {
	t.Parallel()
	o := options(t, "api_url: http://a\n", nil, nil)
	home, _ := o.Home()
	o.Path = filepath.Join(home, "link.yaml")
	if err := os.Symlink(filepath.Join(home, ".bldst.yaml"), o.Path); err != nil {
		t.Skip("no symbolic links here")
	}
	if err := open(t, o).Set(APIURL, "http://b"); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(o.Path); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link was replaced by a file (%v)", err)
	}
}

func TestSecretsGoToTheKeyring(t *testing.T) {
	t.Parallel()
	ring := memory{}
	o := options(t, "api_key: old\n", ring, nil)
	s := open(t, o)
	if reason, err := s.SetSecret(APIKey, "new"); reason != nil || err != nil {
		t.Fatal(reason, err)
	}
	data, _ := os.ReadFile(s.Path)
	if ring[APIKey] != "new" || strings.Contains(string(data), "api_key") {
		t.Errorf("keyring %v, file %q; want the key in the keyring alone", ring, data)
	}
	if err := s.ClearSecret(APIKey); err != nil || len(ring) != 0 || s.APIKey() != "" {
		t.Errorf("after clearing: %v, %v, %q", err, ring, s.APIKey())
	}
}

func TestWithoutAKeyringSecretsGoToTheFileAndItIsSaid(t *testing.T) {
	t.Parallel()
	asked := 0
	s := open(t, options(t, "", broken{&asked}, nil))
	reason, err := s.SetSecret(Token, "t")
	if !errors.Is(reason, errBroken) || err != nil {
		t.Fatalf("reason %v, err %v; want the keyring's error as reason", reason, err)
	}
	if got := s.Token(); got != "t" || asked != 1 {
		t.Errorf("token %q after asking %d times, want %q after 1", got, asked, "t")
	}
}

func TestABrokenFileIsNamedAndItsTextIsNot(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"api_key: hush\n  x: [y\n", "- hush\n", "api_key: {hush: 1}\n"} {
		_, err := Open(options(t, content, nil, nil))
		var b *Broken
		if !errors.As(err, &b) || strings.Contains(err.Error(), "hush") || !strings.Contains(err.Error(), ".bldst.yaml") {
			t.Errorf("%q: err = %v, want the file's name without its text", content, err)
		}
	}
}

func TestResetRemovesEvenABrokenFile(t *testing.T) {
	t.Parallel()
	ring := memory{APIKey: "k", Token: "t"}
	path, err := Reset(options(t, "a: [", ring, nil))
	if err != nil || len(ring) != 0 {
		t.Errorf("err %v, keyring %v", err, ring)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the file is still there: %v", err)
	}
}

func TestTimeoutAndDebug(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"30": "30s", "1m": "1m0s", "0.5": "500ms", "": "0s", "-1": "error", "soon": "error", "0": "error"} {
		d, err := open(t, options(t, "", nil, map[string]string{"BUILDSTATE_TIMEOUT": in})).Timeout()
		got := d.String()
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("timeout %q = %s, want %s", in, got, want)
		}
	}
	for in, want := range map[string]bool{"1": true, "true": true, "0": false, "false": false, "": false} {
		if got := open(t, options(t, "", nil, map[string]string{"BLDST_DEBUG": in})).Debug(); got != want {
			t.Errorf("debug %q = %v, want %v", in, got, want)
		}
	}
}

func TestAKeyringThatHangsIsGivenUp(t *testing.T) {
	t.Parallel()
	if _, err := (bounded{hanging{}, 1}).Get(APIKey); !errors.Is(err, ErrTimeout) {
		t.Errorf("err = %v, want ErrTimeout", err)
	}
}

type hanging struct{ Keyring }

func (hanging) Get(string) (string, error) { select {} }
