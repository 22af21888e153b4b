package states

import (
	"encoding/json"
	"time"
)

// An entry is one event of a history, as GetExecutionHistory shows it.
type entry struct {
	id, previous int64
	at           time.Time
	kind         string
	details      string // name of the details, such as "stateEntered"
	fields       object
}

// wire returns the entry as AWS writes it, which is also how it lies on disk.
func (e entry) wire() []byte {
	o := object{
		"id": e.id, "previousEventId": e.previous, "type": e.kind, "timestamp": wireTime(e.at),
	}
	if e.fields != nil {
		o[e.details+"EventDetails"] = e.fields
	}
	return encode(o)
}

// maxEvents is how many events a history may have; with the last one the
// execution must end.
const maxEvents = 25000

var whollyThere = object{"truncated": false}

// errorDetails are the details of an event that tells an error.
func errorDetails(name, cause string) object {
	o := object{}
	if name != "" {
		o["error"] = name
	}
	if cause != "" {
		o["cause"] = cause
	}
	return o
}

// log appends an event. When the history is full it fails the execution
// instead and returns false.
func (t *turn) log(kind, details string, fields object) bool {
	if t.r.Events >= maxEvents-1 {
		t.endWith(Failed, "ExecutionFailed", "executionFailed", errorRuntime,
			"The execution reached the maximum number of history events (25000).")
		return false
	}
	t.append(kind, details, fields)
	return true
}

// append appends an event whatever the length of the history. Each event names
// the one before; those that do not follow from it, as AWS has it, name 0.
func (t *turn) append(kind, details string, fields object) {
	previous := t.r.Events
	if kind == "ExecutionAborted" || t.r.Events == 1 || kind == "ExecutionFailed" && fields["error"] == errorRuntime {
		previous = 0
	}
	t.r.Events++
	t.history = append(t.history, entry{t.r.Events, previous, t.env.now, kind, details, fields})
}

// wireTime is a time as the protocol writes it: seconds with milliseconds.
func wireTime(t time.Time) json.Number {
	ms := t.UnixMilli()
	return json.Number(appendMillis(nil, ms))
}

func appendMillis(b []byte, ms int64) []byte {
	b = append(b, number(ms/1000)...)
	ms %= 1000
	return append(b, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
}
