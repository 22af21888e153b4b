package config

import (
	"fmt"
	"strings"

	"bldst/shared/outbound"
)

// ciPrefix begins the variables that projects may refer to, see package secret.
const ciPrefix = "BLDST_CI_"

// outside reads what leads out of the system and into it from CI.
func (c *Config) outside(e env) error {
	var err error
	if c.Outbound, err = outbound.ParseAllow(e.first("OUTBOUND_ALLOW")); err != nil {
		return fmt.Errorf("OUTBOUND_ALLOW: %w", err)
	}
	c.Webhooks, c.Accounts = list(e.first("WEBHOOK_SECRET")), list(e.first("WEBHOOK_ACCOUNTS"))
	return nil
}

// CI returns the variables that lookup finds and projects may refer to: nobody
// else's. They are looked up when they are needed, for their names are known
// only then.
func CI(lookup func(string) (string, bool)) func(name string) (string, bool) {
	return func(name string) (string, bool) {
		if !strings.HasPrefix(name, ciPrefix) {
			return "", false
		}
		return lookup(name)
	}
}
