package localstack_test

import (
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"bldst/localstack"
	"bldst/shared/auth"
	"bldst/shared/suite"
)

// testSigner signs the JWTs of stacks whose tests make JWTs of their own.
var testSigner = &auth.Signer{Current: "test", Keys: map[string][]byte{"test": []byte(strings.Repeat("test-key", 8))}}

// suiteOn runs the suite of the API on a stack with those options, whose
// functions use the table only as the manifest allows.
func suiteOn(t *testing.T, o localstack.Options) {
	t.Helper()
	var log output
	var tables guards
	o.Log = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	o.Signer, o.Guard, o.Origins = testSigner, tables.of, []string{"*"}
	suite.Run(t, func(t *testing.T) suite.Stack {
		return suite.Stack{URL: start(t, o).URL, Log: log.String, Signer: o.Signer}
	})
	tables.check(t)
}

func TestTheAPIKeepsItsContract(t *testing.T) {
	t.Parallel()
	suiteOn(t, localstack.Options{})
}

// On AWS an index follows the table at its own pace, and the entries of two
// rows may appear in either order.
func TestTheAPIKeepsItsContractWhenIndexesLag(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	suiteOn(t, localstack.Options{IndexLag: func() time.Duration { return time.Duration(r.Int64N(int64(30 * time.Millisecond))) }})
}
