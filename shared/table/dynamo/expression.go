package dynamo

import (
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bldst/shared/table"
)

// An expression is a condition as DynamoDB wants it; the zero value is none.
// There are so few that they are written out: the SDK's builder brings a tenth
// of a megabyte, with the streams, into every function.
type expression struct {
	text   *string
	names  map[string]string // what #0, #1 ... stand for, so that none can be a reserved word
	values values            // what :0, :1 ... stand for; DynamoDB refuses an empty map
}

func express(text string, names []string, args ...types.AttributeValue) expression {
	e := expression{text: &text, names: make(map[string]string, len(names))}
	for i, name := range names {
		e.names["#"+strconv.Itoa(i)] = name
	}
	for i, arg := range args {
		if e.values == nil {
			e.values = make(values, len(args))
		}
		e.values[":"+strconv.Itoa(i)] = arg
	}
	return e
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

// condition returns c as an expression; none for Always.
func condition(c table.Cond) expression {
	switch c.Kind {
	case table.Always:
		return expression{}
	case table.Absent:
		return express("attribute_not_exists(#0)", []string{table.AttrPK})
	case table.Present:
		return express("attribute_exists(#0)", []string{table.AttrPK})
	case table.NotDeleted:
		return express("attribute_exists(#0) AND attribute_not_exists(#1)", []string{table.AttrPK, table.AttrDeleted})
	default:
		return express("#0 = :0", []string{table.AttrRev}, &types.AttributeValueMemberN{Value: strconv.FormatInt(c.Rev, 10)})
	}
}

// keyCondition returns what the keys of q's items are.
func keyCondition(q table.Query) expression {
	pk, sk := keyNames(q.Index)
	switch {
	case q.Prefix != "":
		return express("#0 = :0 AND begins_with(#1, :1)", []string{pk, sk}, text(q.PK), text(q.Prefix))
	case q.From != "":
		return express("#0 = :0 AND #1 >= :1", []string{pk, sk}, text(q.PK), text(q.From))
	default:
		return express("#0 = :0", []string{pk}, text(q.PK))
	}
}
