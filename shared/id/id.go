// Package id makes the identifiers of the project: time-ordered UUIDs for
// created rows and slugs for named reference rows. It is, with config, the
// only package that reads a clock or a source of randomness on its own.
package id

import (
	"strings"
	"unicode"

	"github.com/google/uuid"
)

// A Source returns a new identifier at each call.
type Source func() string

// New returns a time-ordered UUID (version 7): ids sort by their creation.
func New() string { return uuid.Must(uuid.NewV7()).String() }

// IsUUID reports whether s has the form of a UUID.
func IsUUID(s string) bool { return len(s) == 36 && uuid.Validate(s) == nil }

// Slug returns the lower-case form of a name that may stand in a path:
// letters, digits and dots stay, everything else becomes a single hyphen.
// It is empty when nothing is left.
func Slug(name string) string {
	var b strings.Builder
	dash := false
	for _, r := range strings.ToLower(name) {
		if r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '.' || r == '_') {
			if dash && b.Len() > 0 {
				b.WriteByte('-')
			}
			b.WriteRune(r)
			dash = false
			continue
		}
		dash = true
	}
	return b.String()
}
