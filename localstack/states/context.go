package states

import (
	"fmt"
	"slices"
	"time"
)

// contextFields are the fields of the context object ($$) that exist here.
var contextFields = map[string][]string{
	"Execution":    {"Id", "Input", "Name", "RoleArn", "StartTime", "RedriveCount", "RedriveTime"},
	"State":        {"EnteredTime", "Name", "RetryCount"},
	"StateMachine": {"Id", "Name"},
	"Task":         {"Token"},
}

// unknownContext says why p cannot be in the context object; empty when it can.
func unknownContext(p path) string {
	if !p.context || len(p.steps) == 0 {
		return ""
	}
	fields, known := contextFields[p.steps[0].name]
	if !known || len(p.steps) > 1 && !slices.Contains(fields, p.steps[1].name) {
		return fmt.Sprintf("%s is not in the context object", p.text)
	}
	return ""
}

func isToken(p path) bool {
	return p.context && len(p.steps) > 0 && p.steps[0].name == "Task"
}

// timeFormat is how AWS writes times in documents.
const timeFormat = "2006-01-02T15:04:05.000Z"

func formatTime(t time.Time) string { return t.UTC().Format(timeFormat) }
