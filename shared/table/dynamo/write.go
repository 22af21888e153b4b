package dynamo

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bldst/shared/table"
)

// Write applies ops: one as a plain write, which costs half, several as a
// transaction. A conflict with another transaction is tried again.
func (t *Table) Write(ctx context.Context, ops ...table.Op) error {
	if err := table.Check(ops); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	for n := 1; ; n++ {
		err := t.writeOnce(ctx, ops)
		if n == attempts || !isConflict(err) {
			return writeError(err)
		}
		if err := t.pause(ctx, n); err != nil {
			return err
		}
	}
}

// writeOnce makes the request for ops. A refusal is a *table.ConditionError,
// every other error is the SDK's.
func (t *Table) writeOnce(ctx context.Context, ops []table.Op) error {
	watch := &watchedRetryer{}
	var err error
	switch {
	case len(ops) == 1 && ops[0].Verb == table.Put:
		err = t.put(ctx, &ops[0], watch.watch)
	case len(ops) == 1 && ops[0].Verb == table.Delete:
		err = t.delete(ctx, &ops[0], watch.watch)
	default:
		err = t.transact(ctx, ops, watch.watch) // carries a token: repeating it is harmless
	}
	if refused := table.Refused(err); refused != nil && watch.unsure && len(ops) == 1 && done(&ops[0], refused.Current) {
		return nil
	}
	if err != nil && watch.unsure && isBusy(err) {
		return fmt.Errorf("outcome unknown: %v", err) // not Unavailable, which promises that nothing was written
	}
	return err
}

// done reports whether cur is what op leaves behind. After an attempt whose
// answer was lost, a refusal with such an item there means that it succeeded.
func done(op *table.Op, cur *table.Item) bool {
	if op.Verb == table.Delete {
		return cur == nil
	}
	return op.Verb == table.Put && cur != nil && reflect.DeepEqual(*cur, op.Item)
}

func (t *Table) put(ctx context.Context, op *table.Op, opt func(*dynamodb.Options)) error {
	cond := condition(op.Cond)
	_, err := t.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &t.name, Item: encode(op.Item.Attributes()),
		ConditionExpression: cond.text, ExpressionAttributeNames: cond.names, ExpressionAttributeValues: cond.values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}, opt)
	return refusal(op, err)
}

func (t *Table) delete(ctx context.Context, op *table.Op, opt func(*dynamodb.Options)) error {
	cond := condition(op.Cond)
	_, err := t.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: &t.name, Key: encode(op.Item.Key.Attributes()),
		ConditionExpression: cond.text, ExpressionAttributeNames: cond.names, ExpressionAttributeValues: cond.values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}, opt)
	return refusal(op, err)
}

// refusal turns a failed condition of the only op into a ConditionError.
func refusal(op *table.Op, err error) error {
	var failed *types.ConditionalCheckFailedException
	if !errors.As(err, &failed) {
		return err
	}
	return conditionError(0, op, failed.Item)
}

func conditionError(i int, op *table.Op, there values) error {
	current, err := Decode(there)
	if err != nil {
		return err
	}
	return &table.ConditionError{Op: i, Key: op.Item.Key, Current: current}
}

func (t *Table) transact(ctx context.Context, ops []table.Op, opt func(*dynamodb.Options)) error {
	in := &dynamodb.TransactWriteItemsInput{TransactItems: make([]types.TransactWriteItem, len(ops))}
	for i := range ops {
		var err error
		if in.TransactItems[i], err = t.part(&ops[i]); err != nil {
			return err
		}
	}
	_, err := t.client.TransactWriteItems(ctx, in, opt)
	var cancelled *types.TransactionCanceledException
	if !errors.As(err, &cancelled) {
		return err
	}
	for i, r := range cancelled.CancellationReasons {
		if i < len(ops) && r.Code != nil && *r.Code == "ConditionalCheckFailed" {
			return conditionError(i, &ops[i], r.Item)
		}
	}
	return err
}

// part returns op as a part of a transaction.
func (t *Table) part(op *table.Op) (types.TransactWriteItem, error) {
	cond := condition(op.Cond)
	const returnOld = types.ReturnValuesOnConditionCheckFailureAllOld
	switch op.Verb {
	case table.Put:
		return types.TransactWriteItem{Put: &types.Put{
			TableName: &t.name, Item: encode(op.Item.Attributes()), ReturnValuesOnConditionCheckFailure: returnOld,
			ConditionExpression: cond.text, ExpressionAttributeNames: cond.names, ExpressionAttributeValues: cond.values,
		}}, nil
	case table.Delete:
		return types.TransactWriteItem{Delete: &types.Delete{
			TableName: &t.name, Key: encode(op.Item.Key.Attributes()), ReturnValuesOnConditionCheckFailure: returnOld,
			ConditionExpression: cond.text, ExpressionAttributeNames: cond.names, ExpressionAttributeValues: cond.values,
		}}, nil
	default:
		return types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{
			TableName: &t.name, Key: encode(op.Item.Key.Attributes()), ReturnValuesOnConditionCheckFailure: returnOld,
			ConditionExpression: cond.text, ExpressionAttributeNames: cond.names, ExpressionAttributeValues: cond.values,
		}}, nil
	}
}
