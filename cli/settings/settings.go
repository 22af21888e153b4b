// Package settings finds out which API to call and with which credential: from
// the environment, the system's keyring and the file ~/.bldst.yaml, in this
// order. (Flags come before all of them; the commands look at those.)
package settings

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"bldst/cli/durable"
)

// Keys of the settings file. APIKey and Token are also entries of the keyring.
const (
	APIURL           = "api_url"
	APIKey           = "api_key"
	Token            = "jwt_token"
	DefaultPlatform  = "default_platform"
	DefaultOSVersion = "default_os_version"
)

// login is the entry of the keyring that a sign-in refreshes itself with.
const login = "login"

var keys = []string{APIURL, APIKey, Token, DefaultPlatform, DefaultOSVersion}

// prefixes of the environment's variables, the first one wins. Older documents
// and the Jenkins library use the second.
var prefixes = []string{"BLDST_", "BUILDSTATE_"}

// Options say where to look.
type Options struct {
	Path    string                      // of the file; default: BLDST_CONFIG, then that of the profile
	Profile string                      // default: BLDST_PROFILE, then none, whose file is ~/.bldst.yaml
	Env     func(string) (string, bool) // e.g. os.LookupEnv
	Home    func() (string, error)      // e.g. os.UserHomeDir
	Keyring Keyring                     // nil: there is none
	Note    func(string)                // told what the user should know
}

// Settings are what was found. Nothing is asked of the keyring before a
// credential is needed.
type Settings struct {
	Path    string // "" without a home directory
	Profile string // "" for none
	Missing bool   // there is no such file

	o     Options
	file  file
	cause error // why the keyring is not asked (any more)
}

// Open reads the settings file; a file that is not there is an empty one.
func Open(o Options) (*Settings, error) {
	s := &Settings{Path: o.Path, Profile: o.Profile, o: o}
	if err := s.find(); err != nil {
		return nil, err
	}
	switch {
	case o.Keyring == nil:
		s.cause = errors.New("there is none on this system")
	case s.Env("NO_KEYRING") != "":
		s.cause = errors.New("it is switched off by BLDST_NO_KEYRING")
	}
	data, err := os.ReadFile(s.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		return nil, fmt.Errorf("read the settings file: %w", err)
	}
	s.Missing = err != nil
	if s.file, err = parseFile(data); err != nil {
		return nil, &Broken{Path: s.Path, Err: err}
	}
	return s, nil
}

// find sets the profile and the path of its file.
func (s *Settings) find() error {
	if s.Path == "" && s.Profile == "" {
		s.Path = s.Env("CONFIG")
	}
	if s.Profile == "" {
		s.Profile = s.Env("PROFILE")
	}
	if strings.Trim(strings.ToLower(s.Profile), "abcdefghijklmnopqrstuvwxyz0123456789_-") != "" {
		return fmt.Errorf("the profile %q: a name has letters, digits, - and _ only", s.Profile)
	}
	if s.Path != "" {
		return nil
	}
	home, err := s.o.Home()
	if err != nil && s.Profile == "" { // a service or a container without HOME: the environment says it all
		return nil
	}
	if err != nil {
		return fmt.Errorf("find the settings file (or use --config PATH): %w", err)
	}
	s.Path = filepath.Join(home, fileOf(s.Profile))
	return nil
}

func fileOf(profile string) string {
	if profile == "" {
		return ".bldst.yaml"
	}
	return ".bldst." + profile + ".yaml"
}

// Profiles returns the names of the profiles that have a file.
func Profiles(home string) []string {
	names := []string{}
	files, _ := filepath.Glob(filepath.Join(home, fileOf("*")))
	for _, f := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(f), ".bldst."), ".yaml")
		names = append(names, name)
	}
	return names
}

// Broken says that the settings file cannot be understood.
type Broken struct {
	Path string
	Err  error
}

func (e *Broken) Error() string { return fmt.Sprintf("the settings file %s: %v", e.Path, e.Err) }

// Unwrap returns the cause.
func (e *Broken) Unwrap() error { return e.Err }

// Env returns the first of the variables BLDST_NAME and BUILDSTATE_NAME that is
// set and not empty.
func (s *Settings) Env(names ...string) string {
	for _, prefix := range prefixes {
		for _, name := range names {
			if v, _ := s.o.Env(prefix + name); strings.TrimSpace(v) != "" {
				return strings.TrimSpace(v)
			}
		}
	}
	return ""
}

// URL returns the API's address, "" when none is set. A profile that was named
// with the command has its own or none, so that its credential goes nowhere
// else.
func (s *Settings) URL() string {
	if s.o.Profile != "" {
		return s.file.get(APIURL)
	}
	return s.pick(APIURL, "API_URL", "URL")
}

// Platform returns the default platform of new builds.
func (s *Settings) Platform() string { return s.pick(DefaultPlatform, "PLATFORM") }

// OSVersion returns the default OS version of new builds.
func (s *Settings) OSVersion() string { return s.pick(DefaultOSVersion, "OS_VERSION") }

// pick takes the environment before the file; of a profile that was named with
// the command, the file before the environment.
func (s *Settings) pick(key string, env ...string) string {
	if v := s.file.get(key); v != "" && s.o.Profile != "" {
		return v
	}
	if v := s.Env(env...); v != "" {
		return v
	}
	return s.file.get(key)
}

// Timeout returns how long to wait for an answer: 0 when nothing is set.
// A bare number means seconds.
func (s *Settings) Timeout() (time.Duration, error) {
	v := s.Env("TIMEOUT")
	if v == "" {
		return 0, nil
	}
	d, err := ParseTimeout(v)
	if err != nil {
		return 0, fmt.Errorf("BLDST_TIMEOUT: %w", err)
	}
	return d, nil
}

// ParseTimeout reads a number of seconds, or a duration such as 1m30s.
func ParseTimeout(v string) (time.Duration, error) {
	if n, err := strconv.ParseFloat(v, 64); err == nil && n > 0 && n < 86400 {
		return time.Duration(n * float64(time.Second)), nil
	}
	if d, err := time.ParseDuration(v); err == nil && d > 0 {
		return d, nil
	}
	return 0, fmt.Errorf("%q is not a time to wait: use seconds, e.g. 30, or 1m30s", v)
}

// Debug reports whether every call shall be told, as with --verbose.
func (s *Settings) Debug() bool {
	v := strings.ToLower(s.Env("DEBUG"))
	return !slices.Contains([]string{"", "0", "false", "no", "off"}, v)
}

// APIKey returns the API key, "" when there is none.
func (s *Settings) APIKey() string { return s.secret(APIKey, "API_KEY") }

// Token returns the token of the last sign-in, "" when there is none.
func (s *Settings) Token() string { return s.secret(Token, "JWT_TOKEN") }

func (s *Settings) secret(key, env string) string {
	if v := s.Env(env); v != "" && s.o.Profile == "" {
		return v
	}
	v, err := s.ask(func(k Keyring) (string, error) { return k.Get(s.entry(key)) })
	if errors.Is(err, ErrTimeout) {
		s.o.Note(fmt.Sprintf("The keyring did not answer and is passed over; set BLDST_%s, or BLDST_NO_KEYRING=1.", env))
	}
	if err == nil && v != "" {
		return v
	}
	return s.file.get(key)
}

// entry returns the name of a secret in the keyring.
func (s *Settings) entry(key string) string {
	if s.Profile == "" {
		return key
	}
	return s.Profile + "/" + key
}

// Login returns the user name and the password the last sign-in left in the
// keyring; ok is false when it left none.
func (s *Settings) Login() (username, password string, ok bool) {
	v, err := s.ask(func(k Keyring) (string, error) { return k.Get(s.entry(login)) })
	if err != nil {
		return "", "", false
	}
	return strings.Cut(v, "\n")
}

// KeepLogin leaves a user name and a password in the keyring, and nowhere else.
func (s *Settings) KeepLogin(username, password string) error {
	_, err := s.ask(func(k Keyring) (string, error) { return "", k.Set(s.entry(login), username+"\n"+password) })
	return err
}

// ForgetLogin removes what KeepLogin left.
func (s *Settings) ForgetLogin() {
	_, _ = s.ask(func(k Keyring) (string, error) { return "", k.Delete(s.entry(login)) })
}

// KeyringError returns why the keyring cannot be used, nil if it can. It asks.
func (s *Settings) KeyringError() error {
	_, err := s.ask(func(k Keyring) (string, error) { return k.Get(s.entry(APIKey)) })
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// Where says where a secret comes from, "" when there is none.
func (s *Settings) Where(key, env string) string {
	if v := s.Env(env); v != "" && s.o.Profile == "" {
		return "the environment"
	}
	if v, err := s.ask(func(k Keyring) (string, error) { return k.Get(s.entry(key)) }); err == nil && v != "" {
		return "the keyring"
	}
	if s.file.get(key) != "" {
		return "the file " + s.Path
	}
	return ""
}

// ask asks the keyring, unless it is known not to answer.
func (s *Settings) ask(do func(Keyring) (string, error)) (string, error) {
	if s.cause != nil {
		return "", s.cause
	}
	v, err := do(s.o.Keyring)
	if err != nil && !errors.Is(err, ErrNotFound) {
		s.cause = err
	}
	return v, err
}

// Set writes one key of the file.
func (s *Settings) Set(key, value string) error {
	s.file = s.file.with(key, value)
	return s.save()
}

// SetSecret stores a credential in the keyring, or in the file when there is
// no keyring: reason then says why.
func (s *Settings) SetSecret(key, value string) (reason error, err error) {
	_, reason = s.ask(func(k Keyring) (string, error) { return "", k.Set(s.entry(key), value) })
	if reason != nil {
		return reason, s.Set(key, value)
	}
	if s.file.get(key) == "" {
		return nil, nil
	}
	return nil, s.Set(key, "") // an older one, in clear text
}

// ClearSecret removes a credential from the keyring and the file. It is no
// error when there is none.
func (s *Settings) ClearSecret(key string) error {
	_, _ = s.ask(func(k Keyring) (string, error) { return "", k.Delete(s.entry(key)) })
	if s.file.get(key) == "" {
		return nil
	}
	return s.Set(key, "")
}

// Reset removes the file and the credentials of the keyring.
func Reset(o Options) (path string, err error) {
	s, err := Open(o)
	var broken *Broken
	if errors.As(err, &broken) {
		s = &Settings{Path: broken.Path, Profile: o.Profile, o: o}
		if o.Keyring == nil || s.Env("NO_KEYRING") != "" {
			s.cause = errors.New("there is no keyring")
		}
	} else if err != nil {
		return "", err
	}
	for _, key := range []string{APIKey, Token, login} {
		_, _ = s.ask(func(k Keyring) (string, error) { return "", k.Delete(s.entry(key)) })
	}
	if s.Path == "" {
		return "", errors.New("there is no home directory, and so no settings file; set HOME, or use --config PATH")
	}
	if err := os.Remove(s.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("remove the settings file: %w", err)
	}
	return s.Path, nil
}

// save replaces the file at once and readable by its owner only.
func (s *Settings) save() error {
	if s.Path == "" {
		return errors.New("there is no home directory for the settings file; set HOME, or use --config PATH")
	}
	path := s.Path
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if err := write(path, s.file.bytes()); err != nil {
		return fmt.Errorf("write the settings file: %w", err)
	}
	return nil
}

func write(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return durable.WriteFile(path, data)
}
