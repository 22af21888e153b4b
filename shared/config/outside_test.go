package config_test

import (
	"strings"
	"testing"

	"bldst/shared/config"
)

func TestWhatLeadsOutOfTheSystem(t *testing.T) {
	t.Parallel()
	env := map[string]string{"OUTBOUND_ALLOW": "loopback,10.0.0.0/8", "WEBHOOK_SECRET": "new, ssm:/bldst/webhook", "BLDST_CI_JENKINS": "bob:token", "JWT_KEYS": "k:secret"}
	lookup := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	env["JWT_KEYS"] = ""
	c, err := config.Read(lookup)
	if err != nil || !c.Outbound.Loopback || c.Outbound.Plain || len(c.Outbound.Networks) != 1 || strings.Join(c.Webhooks, " ") != "new ssm:/bldst/webhook" {
		t.Errorf("%+v %v", c, err)
	}
	env["JWT_KEYS"] = "k:secret"
	ci := config.CI(lookup)
	if v, ok := ci("BLDST_CI_JENKINS"); v != "bob:token" || !ok {
		t.Errorf("%q %v", v, ok)
	}
	if v, ok := ci("JWT_KEYS"); v != "" || ok {
		t.Errorf("a project may refer to %q", v)
	}
	env["JWT_KEYS"], env["OUTBOUND_ALLOW"] = "", "everything"
	if _, err := config.Read(lookup); err == nil || !strings.Contains(err.Error(), "OUTBOUND_ALLOW") {
		t.Errorf("%v", err)
	}
}
