package outbound_test

import (
	"strings"
	"testing"
	"time"

	"bldst/shared/outbound"
)

func TestSignatures(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	body := []byte(`{"event":"build.failed"}`)
	good := outbound.Sign("secret", now, body)
	// printf '1772625600.{"event":"build.failed"}' | openssl dgst -sha256 -hmac secret
	const want = "t=1772625600,v1=ca9c1ccef161135ebd95a2f2f7d86af81d7788ca6bd24c33df41c1b69f369a5c"
	if good != want {
		t.Errorf("want %s, got %s", want, good)
	}
	_, sum, _ := strings.Cut(good, ",")
	for name, c := range map[string]struct {
		header string
		at     time.Time
		body   string
		ok     bool
	}{
		"the right one":                    {good, now, string(body), true},
		"one of a clock that is behind":    {good, now.Add(5 * time.Minute), string(body), true},
		"one of a clock that is ahead":     {good, now.Add(-5 * time.Minute), string(body), true},
		"the second of two":                {"t=1772625600,v1=" + strings.Repeat("0", 64) + "," + sum, now, string(body), true},
		"with a version that is not known": {"t=1772625600,v0=abc, " + sum, now, string(body), true},
		"too old":                          {good, now.Add(5*time.Minute + time.Second), string(body), false},
		"too far ahead":                    {good, now.Add(-5*time.Minute - time.Second), string(body), false},
		"of another body":                  {good, now, `{}`, false},
		"with another time":                {"t=1772625601," + sum, now, string(body), false},
		"of another secret":                {outbound.Sign("other", now, body), now, string(body), false},
		"none":                             {"", now, string(body), false},
		"nonsense":                         {"v1=zz", now, string(body), false},
		"without a signature":              {"t=1772625600", now, string(body), false},
		"with a signature that is cut off": {good[:len(good)-2], now, string(body), false},
		"without a time":                   {sum, now, string(body), false},
	} {
		got, err := outbound.Verify("secret", c.header, c.at, []byte(c.body))
		if (err == nil) != c.ok || c.ok && !strings.HasSuffix(good, got) {
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
	if _, err := outbound.Verify("", outbound.Sign("", now, body), now, body); err == nil {
		t.Error("an empty secret was accepted")
	}
}
