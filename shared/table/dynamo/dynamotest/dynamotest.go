//go:build dynamodb

// Package dynamotest reads the stream of a real DynamoDB engine for tests.
// On AWS Lambda reads it; see package stream.
package dynamotest

import (
	"errors"
	"fmt"

	"bldst/shared/table"

	streamtypes "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
)

// Change returns the change a record of the stream tells of.
func Change(r *streamtypes.StreamRecord) (table.Change, error) {
	keys := plain(r.Keys)
	c := table.Change{Seq: *r.SequenceNumber, Key: table.Key{PK: keys(table.AttrPK), SK: keys(table.AttrSK)}}
	var oldErr, newErr error
	c.Old, oldErr = image(r.OldImage)
	c.New, newErr = image(r.NewImage)
	return c, errors.Join(oldErr, newErr)
}

func image(m map[string]streamtypes.AttributeValue) (*table.Item, error) {
	if len(m) == 0 {
		return nil, nil
	}
	return table.FromAttributes(plain(m))
}

func plain(m map[string]streamtypes.AttributeValue) func(string) string {
	return func(name string) string {
		switch v := m[name].(type) {
		case *streamtypes.AttributeValueMemberS:
			return v.Value
		case *streamtypes.AttributeValueMemberN:
			return v.Value
		case *streamtypes.AttributeValueMemberBOOL:
			return fmt.Sprint(v.Value)
		default:
			return ""
		}
	}
}
