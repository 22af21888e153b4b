package stream_test

import (
	"encoding/json"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"bldst/shared/table"
	"bldst/shared/table/stream"
)

func TestChangesSurviveTheEventTheyAreSentIn(t *testing.T) {
	t.Parallel()
	key := table.Key{PK: "build#1", SK: "a"}
	plain := &table.Item{Key: key, Rev: 1, Doc: []byte(`{"a": "é"}`)}
	full := &table.Item{
		Key: key, Rev: -2, Deleted: true, Expires: 1700000000, Doc: []byte("[ 1 ]"),
		Index: [2]table.IndexKey{{PK: "build", SK: "2024"}, {PK: "project#1", SK: "build#2024"}},
	}
	want := []table.Change{
		{Seq: "1", Key: key, New: plain},
		{Seq: "2", Key: key, Old: plain, New: full},
		{Seq: "3", Key: key, Old: full},
	}
	wire, err := json.Marshal(stream.Event(want))
	if err != nil {
		t.Fatal(err)
	}
	var e events.DynamoDBEvent
	if err := json.Unmarshal(wire, &e); err != nil {
		t.Fatal(err)
	}
	got, err := stream.Changes(e)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	var names []string
	for _, r := range e.Records {
		names = append(names, r.EventName)
	}
	if diff := cmp.Diff([]string{"INSERT", "MODIFY", "REMOVE"}, names); diff != "" {
		t.Errorf("event names (-want +got):\n%s", diff)
	}
}

func TestAnEventOfAnotherTableIsAnError(t *testing.T) {
	t.Parallel()
	e := events.DynamoDBEvent{Records: []events.DynamoDBEventRecord{{Change: events.DynamoDBStreamRecord{
		NewImage: map[string]events.DynamoDBAttributeValue{"id": events.NewStringAttribute("x")},
	}}}}
	if got, err := stream.Changes(e); err == nil {
		t.Errorf("changes are %v, want an error", got)
	}
}
