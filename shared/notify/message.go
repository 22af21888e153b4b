package notify

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"bldst/shared/build"
)

// A Message is the body of a webhook and of an SNS message.
type Message struct {
	ID    string          `json:"id" doc:"Of the delivery: the same when it is sent again."`
	Event build.EventType `json:"event"`
	Time  time.Time       `json:"time" doc:"When it happened."`
	Text  string          `json:"text" doc:"The same for a person."`
	Build json.RawMessage `json:"build" doc:"What is known of the build: number, project, attempt, state, status, failure class, message."`
}

// message returns what d says.
func (d *Delivery) message() (Message, build.Event, error) {
	var e build.Event
	if err := json.Unmarshal(d.Detail, &e); err != nil {
		return Message{}, e, fmt.Errorf("delivery %s: %w", d.ID, err)
	}
	return Message{ID: d.ID, Event: e.Type, Time: e.Time, Text: Text(e), Build: d.Detail}, e, nil
}

// Text says in a sentence or two what e is about.
func Text(e build.Event) string {
	at := ""
	if e.Attempt > 1 {
		at = fmt.Sprintf(", attempt %d", e.Attempt)
	}
	state := e.State
	if e.FailedState != nil {
		state = *e.FailedState
	}
	who := "Build " + e.BuildNumber
	if e.BuildNumber == "" {
		who = "Build " + e.BuildID
	}
	switch e.Type {
	case build.EventFailed:
		return sentence(fmt.Sprintf("%s failed in state %d (%s%s)", who, state, e.FailureClass, at), e.Message)
	case build.EventStalled:
		return sentence(fmt.Sprintf("%s stalled in state %d (%s%s)", who, state, e.FailureClass, at), e.Message)
	case build.EventWaiting:
		return sentence(fmt.Sprintf("%s waits for a person: it failed in state %d (%s%s)", who, state, e.FailureClass, at), e.Reason)
	case build.EventRecovered:
		return fmt.Sprintf("%s has recovered: it got past the state where it had failed and is in state %d%s.", who, e.State, at)
	case build.EventCompleted:
		return fmt.Sprintf("%s is completed%s.", who, at)
	default:
		return fmt.Sprintf("%s: %s.", who, e.Type)
	}
}

// longest is how much of a build's own message is sent on.
const longest = 1000

func sentence(what, more string) string {
	if more == "" {
		return what + "."
	}
	if len(more) > longest {
		more = strings.ToValidUTF8(more[:longest], "") + "..."
	}
	return what + ": " + more
}

// slack returns the message as Slack, and what understands its messages, takes
// it: plain text for notifications, and a section for the channel.
func slack(text string) ([]byte, error) {
	escaped := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
	return json.Marshal(map[string]any{"text": escaped, "blocks": []any{
		map[string]any{"type": "section", "text": map[string]any{"type": "mrkdwn", "text": escaped}},
	}})
}
