package states

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
)

// A task token names an execution and an attempt and proves, with a key that
// only the file knows, that this engine made it. It can so be told from a
// forged one, and one of a wait that is over from one of a running wait,
// without a table of tokens; and a repeated dispatch carries the same token.

const (
	tokenBody = 16
	tokenSeal = 24
)

func (e *Engine) token(execution uint64, attempt int64) string {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, tokenBody+tokenSeal), execution)
	b = binary.BigEndian.AppendUint64(b, uint64(attempt))
	return base64.URLEncoding.EncodeToString(append(b, e.seal(b)...))
}

func (e *Engine) seal(body []byte) []byte {
	h := hmac.New(sha256.New, e.secret)
	h.Write(body)
	return h.Sum(nil)[:tokenSeal]
}

// readToken returns what a token names; InvalidToken when this engine did not
// make it.
func (e *Engine) readToken(token string) (execution uint64, attempt int64, err error) {
	b, err := base64.URLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) != tokenBody+tokenSeal || !hmac.Equal(b[tokenBody:], e.seal(b[:tokenBody])) {
		return 0, 0, errInvalidToken()
	}
	return binary.BigEndian.Uint64(b), int64(binary.BigEndian.Uint64(b[8:])), nil
}

func errInvalidToken() *Problem { return problem("InvalidToken", "Invalid Token: 'Invalid token'") }
