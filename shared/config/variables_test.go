package config_test

import (
	"slices"
	"testing"

	"bldst/shared/config"
)

func TestEveryVariableThatIsReadIsListed(t *testing.T) {
	t.Parallel()
	read := map[string]bool{}
	lookup := func(name string) (string, bool) { read[name] = true; return "", false }
	if _, err := config.Read(lookup); err != nil {
		t.Fatal(err)
	}
	config.CI(lookup)("BLDST_CI_JENKINS")
	for name := range read {
		if !slices.ContainsFunc(config.Variables, func(v config.Variable) bool { return v.Is(name) }) {
			t.Errorf("%s is read and not in config.Variables; add it there, with the setting that gives it on AWS", name)
		}
	}
	for _, v := range config.Variables {
		used := false
		for name := range read {
			used = used || v.Is(name)
		}
		if !used {
			t.Errorf("%s is in config.Variables and never read; remove it", v.Name)
		}
		if v.Setting == "" && v.Source == "" || v.About == "" {
			t.Errorf("%s: say which setting or who gives it, and what it is", v.Name)
		}
	}
}
