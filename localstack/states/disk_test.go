package states_test

import (
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	bolt "go.etcd.io/bbolt"

	"bldst/localstack/states"
)

func TestAnEngineCanLiveInADatabaseOfItsHost(t *testing.T) {
	t.Parallel()
	db, err := bolt.Open(filepath.Join(t.TempDir(), "host.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	h := newHarness(t, nil)
	h.close()
	h.opt = states.Options{DB: db, Clock: h.clock, Machines: []states.Machine{machineOf("m", sleepy)}}
	h.open()
	arn := h.start("m", "a", `{"s": 60}`)
	h.restart()
	h.clock.Advance(time.Minute)
	equal(t, "status", "SUCCEEDED", h.status(arn))
	h.finish()
	if err := db.View(func(tx *bolt.Tx) error {
		if tx.Bucket([]byte("states")) == nil {
			return errors.New("the bucket is not there")
		}
		return nil
	}); err != nil {
		t.Errorf("the host's database: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

func TestATransactionThatFailsIsAsIfNothingHadHappened(t *testing.T) {
	t.Parallel()
	h := newHarness(t, lambdas{"park": nothing}, awaiting(`, "TimeoutSeconds": 60`), machineOf("w", sleepy))
	h.close()
	var broken atomic.Int32
	h.opt.BeforeCommit = func() error {
		if broken.Add(-1) >= 0 {
			return errors.New("no space left on device")
		}
		return nil
	}
	h.open()
	broken.Store(1)
	in := &sfn.StartExecutionInput{StateMachineArn: aws.String(arnOf("m")), Name: aws.String("a"), Input: aws.String("{}")}
	_, err := h.client.StartExecution(t.Context(), in)
	equal(t, "code", "InternalServerError", code(err))
	waits, sleeps := h.start("m", "a", "{}"), h.start("w", "b", `{"s": 60}`)
	broken.Store(2)
	h.clock.Advance(time.Hour)
	for _, arn := range []string{waits, sleeps} {
		d := h.describe(arn)
		equal(t, arn+" stopped", time.Minute, d.StopDate.Sub(noon))
	}
	equal(t, "error", "States.Timeout", aws.ToString(h.describe(waits).Error))
	equal(t, "statuses", 4, len(h.told.statuses()))
}

func TestAFileOfAnotherProcessIsRefused(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil, machineOf("m", sleepy))
	if _, err := states.Open(h.opt); err == nil {
		t.Error("one file was opened twice")
	}
}
