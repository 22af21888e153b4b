package store

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"bldst/shared/problem"
	"bldst/shared/table"
)

// onceFor is how long a key is remembered.
const onceFor = 24 * time.Hour

// A onceRow is the first answer to an Idempotency-Key. The key itself is not
// kept: the answer is encrypted with it, so that an answer that held a secret
// (a new API key) can be read only by who presents the key again. The
// fingerprint is keyed with it, so that a secret in the request (a password)
// cannot be guessed from the row.
type onceRow struct {
	Fingerprint string    `json:"fingerprint"`
	Answer      []byte    `json:"answer"`
	At          time.Time `json:"at"`
}

type unitKey struct{}

// A unit holds back the write of one request until its answer is known.
type unit struct {
	refusals []error // what the writes of this run are to be told, in order
	next     int
	ops      []table.Op
}

func (u *unit) write(ops []table.Op) error {
	if u.next < len(u.refusals) {
		u.next++
		return u.refusals[u.next-1]
	}
	if u.ops != nil {
		return errors.New("store: two writes in one request with an Idempotency-Key")
	}
	u.ops = ops
	return nil
}

// Once implements api.Idempotency. The write of run and its answer are one
// transaction: after a crash either both are there or neither, and two
// requests at once with one key have one effect and one answer. When the
// write's own condition fails, run is called again and told so.
func (s *Store) Once(ctx context.Context, scope, key, fingerprint string, run func(context.Context) ([]byte, error)) ([]byte, bool, error) {
	secret := sha256.Sum256([]byte("once\x00" + scope + "\x00" + key))
	public := sha256.Sum256(secret[:])
	mac := hmac.New(sha256.New, secret[:])
	mac.Write([]byte(fingerprint))
	fingerprint = hex.EncodeToString(mac.Sum(nil))
	at := rowKey("once", hex.EncodeToString(public[:]))
	var refusals []error
	for range tries(ctx) {
		cond, first, err := s.firstAnswer(ctx, at, secret[:], fingerprint)
		if first != nil || err != nil {
			return first, true, err
		}
		u := &unit{refusals: refusals}
		answer, err := run(context.WithValue(ctx, unitKey{}, u))
		if err != nil {
			return nil, false, err
		}
		err = s.Table.Write(ctx, append(u.ops, s.onceOp(at, secret[:], fingerprint, answer, cond))...)
		refused := table.Refused(err)
		if refused == nil {
			return answer, false, err
		}
		if refused.Key == at {
			refusals = nil // somebody was first with this key: read the answer
			continue
		}
		refusals = append(refusals, err)
	}
	return nil, false, &problem.Problem{Kind: problem.Conflict, Detail: "Too many changes at once; send the request again with the same Idempotency-Key.", RetryAfter: time.Second}
}

// firstAnswer returns the answer kept at key at, or the condition under which
// a new one may be put there.
func (s *Store) firstAnswer(ctx context.Context, at table.Key, secret []byte, fingerprint string) (table.Cond, []byte, error) {
	items, err := s.Table.Get(ctx, at)
	if err != nil {
		return table.Cond{}, nil, err
	}
	if items[0] == nil {
		return table.Cond{Kind: table.Absent}, nil, nil
	}
	var row onceRow
	if err := decode(items[0], &row); err != nil {
		return table.Cond{}, nil, err
	}
	if s.Now().Sub(row.At) >= onceFor {
		return table.IfRev(items[0].Rev), nil, nil
	}
	if row.Fingerprint != fingerprint {
		return table.Cond{}, nil, problem.New(problem.Conflict, "This Idempotency-Key was used with another request; use a new key for a new request.")
	}
	answer, err := sealer(secret).Open(nil, nil, row.Answer, nil)
	return table.Cond{}, answer, err
}

func (s *Store) onceOp(at table.Key, secret []byte, fingerprint string, answer []byte, cond table.Cond) table.Op {
	now := s.now()
	row := onceRow{Fingerprint: fingerprint, Answer: sealer(secret).Seal(nil, nil, answer, nil), At: now}
	it := table.Item{Key: at, Rev: cond.Rev + 1, Expires: now.Add(onceFor + time.Hour).Unix(), Doc: encode(row)}
	return table.PutOp(it, cond)
}

func sealer(secret []byte) cipher.AEAD {
	block, err := aes.NewCipher(secret)
	if err != nil {
		panic(err) // the key has the right size
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return gcm
}
