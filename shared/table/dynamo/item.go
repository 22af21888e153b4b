package dynamo

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bldst/shared/table"
)

// values is an item, or a part of one, as the SDK has it.
type values = map[string]types.AttributeValue

// encode returns as as the SDK wants them.
func encode(as []table.Attribute) values {
	m := make(values, len(as))
	for _, a := range as {
		switch a.Kind {
		case "N":
			m[a.Name] = &types.AttributeValueMemberN{Value: a.Value}
		case "BOOL":
			m[a.Name] = &types.AttributeValueMemberBOOL{Value: a.Value == "true"}
		default:
			m[a.Name] = &types.AttributeValueMemberS{Value: a.Value}
		}
	}
	return m
}

// Decode returns the item that av holds, nil for an empty av.
func Decode(av map[string]types.AttributeValue) (*table.Item, error) {
	if len(av) == 0 {
		return nil, nil
	}
	return table.FromAttributes(func(name string) string {
		switch v := av[name].(type) {
		case *types.AttributeValueMemberS:
			return v.Value
		case *types.AttributeValueMemberN:
			return v.Value
		case *types.AttributeValueMemberBOOL:
			return fmt.Sprint(v.Value)
		default:
			return ""
		}
	})
}
