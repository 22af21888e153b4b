// Package stream translates between the changes of the table and the events in
// which DynamoDB Streams hands them to a Lambda function. The function relay
// reads them on AWS; on one machine the host makes the same events from the
// feed of the embedded table.
package stream

import (
	"fmt"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"bldst/shared/table"
)

// Changes returns the changes in e, in its order. It fails on a record that is
// not of the table: then something else is wired to the function.
func Changes(e events.DynamoDBEvent) ([]table.Change, error) {
	out := make([]table.Change, 0, len(e.Records))
	for i := range e.Records {
		c, err := change(&e.Records[i].Change)
		if err != nil {
			return nil, fmt.Errorf("stream record %s: %w", e.Records[i].EventID, err)
		}
		out = append(out, c)
	}
	return out, nil
}

func change(r *events.DynamoDBStreamRecord) (table.Change, error) {
	keys := values(r.Keys)
	c := table.Change{Seq: r.SequenceNumber, Key: table.Key{PK: keys(table.AttrPK), SK: keys(table.AttrSK)}}
	var err error
	if c.Old, err = image(r.OldImage); err != nil {
		return table.Change{}, err
	}
	c.New, err = image(r.NewImage)
	return c, err
}

// image returns the item of an image, nil when there is no image.
func image(m map[string]events.DynamoDBAttributeValue) (*table.Item, error) {
	if len(m) == 0 {
		return nil, nil
	}
	return table.FromAttributes(values(m))
}

func values(m map[string]events.DynamoDBAttributeValue) func(string) string {
	return func(name string) string {
		switch v := m[name]; v.DataType() {
		case events.DataTypeString:
			return v.String()
		case events.DataTypeNumber:
			return v.Number()
		case events.DataTypeBoolean:
			return fmt.Sprint(v.Boolean())
		default:
			return ""
		}
	}
}

// Event returns the event in which DynamoDB reports changes.
func Event(changes []table.Change) events.DynamoDBEvent {
	e := events.DynamoDBEvent{Records: make([]events.DynamoDBEventRecord, len(changes))}
	for i, c := range changes {
		e.Records[i] = events.DynamoDBEventRecord{
			EventID: c.Seq, EventName: eventName(c), EventSource: "aws:dynamodb", EventVersion: "1.1",
			Change: events.DynamoDBStreamRecord{
				ApproximateCreationDateTime: events.SecondsEpochTime{Time: time.Unix(0, 0)},
				Keys:                        attributes(c.Key.Attributes()),
				NewImage:                    imageOf(c.New),
				OldImage:                    imageOf(c.Old),
				SequenceNumber:              c.Seq,
				StreamViewType:              string(events.DynamoDBStreamViewTypeNewAndOldImages),
			},
		}
	}
	return e
}

func eventName(c table.Change) string {
	switch {
	case c.Old == nil:
		return string(events.DynamoDBOperationTypeInsert)
	case c.New == nil:
		return string(events.DynamoDBOperationTypeRemove)
	default:
		return string(events.DynamoDBOperationTypeModify)
	}
}

func imageOf(it *table.Item) map[string]events.DynamoDBAttributeValue {
	if it == nil {
		return nil
	}
	return attributes(it.Attributes())
}

func attributes(as []table.Attribute) map[string]events.DynamoDBAttributeValue {
	m := make(map[string]events.DynamoDBAttributeValue, len(as))
	for _, a := range as {
		switch a.Kind {
		case "N":
			m[a.Name] = events.NewNumberAttribute(a.Value)
		case "BOOL":
			m[a.Name] = events.NewBooleanAttribute(a.Value == "true")
		default:
			m[a.Name] = events.NewStringAttribute(a.Value)
		}
	}
	return m
}
