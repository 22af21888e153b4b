package outbound

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"
)

// SignatureHeader carries the signature of a webhook, in and out:
// t=UNIX,v1=HEX, where HEX is the HMAC-SHA256 of "UNIX.BODY" under the shared
// secret. The time is signed, so that an old request cannot be sent again.
const SignatureHeader = "Bldst-Signature"

// SignatureAge is how far the time of a signature may be from now.
const SignatureAge = 5 * time.Minute

// Sign returns the signature of body at now.
func Sign(secret string, now time.Time, body []byte) string {
	at := strconv.FormatInt(now.Unix(), 10)
	return "t=" + at + ",v1=" + hex.EncodeToString(mac(secret, at, body))
}

func mac(secret, at string, body []byte) []byte {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(at + "."))
	h.Write(body)
	return h.Sum(nil)
}

// Verify checks the signature header of body at now and returns the signature
// itself, which a receiver remembers to refuse a replay. A header may hold
// several v1, while a secret is being replaced; one must fit.
func Verify(secret, header string, now time.Time, body []byte) (string, error) {
	at, sums := parts(header)
	unix, err := strconv.ParseInt(at, 10, 64)
	switch {
	case header == "":
		return "", errors.New("the request is not signed")
	case secret == "" || err != nil || len(sums) == 0:
		return "", errors.New("the signature cannot be read")
	}
	if age := now.Sub(time.Unix(unix, 0)); age > SignatureAge || age < -SignatureAge {
		return "", errors.New("the signature is too old or from the future")
	}
	want := mac(secret, at, body)
	for _, sum := range sums {
		if got, err := hex.DecodeString(sum); err == nil && hmac.Equal(got, want) {
			return hex.EncodeToString(want), nil
		}
	}
	return "", errors.New("the signature does not fit")
}

// parts splits a header into its time and its signatures, a few at most.
func parts(header string) (at string, sums []string) {
	for _, part := range strings.SplitN(header, ",", 8) {
		k, v, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch k {
		case "t":
			at = v
		case "v1":
			sums = append(sums, v)
		}
	}
	return at, sums
}
