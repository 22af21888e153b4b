package states

import (
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"
)

func TestAnExecutionWhoseDefinitionIsNoLongerTakenFailsInsteadOfHanging(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:states:us-east-1:000000000000:stateMachine:m"
	o := Options{Path: filepath.Join(t.TempDir(), "s.db"), Machines: []Machine{{Name: "m", ARN: arn,
		Definition: []byte(`{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 99999999, "End": true}}}`)}}}
	e, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	started, err := e.startExecution(startIn{StateMachineARN: arn})
	if err != nil {
		t.Fatal(err)
	}
	err = e.disk.db.Update(func(tx *bolt.Tx) error {
		x := e.disk.txn(tx)
		x.put("definitions", []byte(e.machines[arn].hash), []byte(`{"StartAt": "W", "States": {"W": {"Type": "Map"}}}`))
		return x.err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	o.Machines = nil
	if e, err = Open(o); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	if _, err := e.stopExecution(stopIn{ExecutionARN: started.ExecutionARN}); err != nil {
		t.Fatal(err)
	}
	if stats, err := e.Stats(started.ExecutionARN); err != nil || stats.Status != Failed {
		t.Errorf("want it FAILED, got %+v, %v", stats, err)
	}
}
