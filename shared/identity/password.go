package identity

import (
	"errors"
	"fmt"

	"bldst/shared/problem"

	"golang.org/x/crypto/bcrypt"
)

// cost is bcrypt's: some 60 ms of one core for each sign-in, and no memory to
// speak of, which a function of 128 MB would not have.
const cost = 10

// maxPassword is how many bytes bcrypt looks at. Longer passwords are refused
// rather than cut.
const maxPassword = 72

// nobody is the hash of a password that no account has, of the usual cost.
const nobody = "$2a$10$2bu2oYyN0Vkh5QFeLAWe/OoJ4PXjBaNLeVGKaLxG3SvTKPCBV1jgi"

func hashPassword(password string) (string, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	if errors.Is(err, bcrypt.ErrPasswordTooLong) {
		return "", problem.BadField("password", "too_long", "At most %d bytes", maxPassword)
	}
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return string(hash), nil
}

// checkPassword reports whether password is that of hash. It takes the same
// time for a hash that is "" (nobody's) as for any other.
func checkPassword(hash, password string) bool {
	known := hash != "" && len(password) <= maxPassword
	if !known {
		hash, password = nobody, password[:min(len(password), maxPassword)]
	}
	return bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil && known
}
