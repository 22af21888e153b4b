package dynamo

import (
	"context"
	"maps"
	"math"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bldst/shared/table"
)

// Get returns the items at keys: with one request, or with several when
// DynamoDB answers in parts.
func (t *Table) Get(ctx context.Context, keys ...table.Key) ([]*table.Item, error) {
	if err := table.CheckKeys(keys); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	found, err := t.find(ctx, distinct(keys))
	if err != nil {
		return nil, readError("get items", err)
	}
	out := make([]*table.Item, len(keys))
	for i, k := range keys {
		if it, ok := found[k]; ok {
			out[i] = &it
		}
	}
	return out, nil
}

// distinct returns the keys an item can have, each once.
func distinct(keys []table.Key) []table.Key {
	seen := make(map[table.Key]bool, len(keys))
	var out []table.Key
	for _, k := range keys {
		if !seen[k] && k.Storable() {
			seen[k] = true
			out = append(out, k)
		}
	}
	return out
}

func (t *Table) find(ctx context.Context, keys []table.Key) (map[table.Key]table.Item, error) {
	switch len(keys) {
	case 0:
		return nil, nil
	case 1:
		return t.findOne(ctx, keys[0])
	default:
		return t.findMany(ctx, keys)
	}
}

func (t *Table) findOne(ctx context.Context, k table.Key) (map[table.Key]table.Item, error) {
	out, err := t.client.GetItem(ctx, &dynamodb.GetItemInput{TableName: &t.name, Key: encode(k.Attributes()), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, err
	}
	found := map[table.Key]table.Item{}
	return found, collect(found, out.Item)
}

func (t *Table) findMany(ctx context.Context, keys []table.Key) (map[table.Key]table.Item, error) {
	request := types.KeysAndAttributes{ConsistentRead: aws.Bool(true)}
	for _, k := range keys {
		request.Keys = append(request.Keys, encode(k.Attributes()))
	}
	found := map[table.Key]table.Item{}
	for idle := 0; len(request.Keys) > 0; {
		out, err := t.client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{t.name: request}})
		if err != nil {
			return nil, err
		}
		if err := collect(found, out.Responses[t.name]...); err != nil {
			return nil, err
		}
		request.Keys = out.UnprocessedKeys[t.name].Keys
		if len(out.Responses[t.name]) > 0 || len(request.Keys) == 0 {
			idle = 0
			continue
		}
		if idle++; idle == attempts {
			return nil, errBusy(nil)
		}
		if err := t.pause(ctx, idle); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func collect(found map[table.Key]table.Item, rows ...values) error {
	for _, av := range rows {
		it, err := Decode(av)
		if err != nil {
			return err
		}
		if it != nil {
			found[it.Key] = *it
		}
	}
	return nil
}

// Query returns a page of q. What q skips is counted by DynamoDB and not sent,
// but it is read, and paid for.
func (t *Table) Query(ctx context.Context, q table.Query) (table.Page, error) {
	pos, err := table.CheckQuery(q)
	if err != nil {
		return table.Page{}, err
	}
	if err := ctx.Err(); err != nil {
		return table.Page{}, err
	}
	if q.Futile() {
		return table.Page{}, nil
	}
	page, err := t.page(ctx, q, t.queryInput(q, pos))
	if err != nil {
		return table.Page{}, readError("query", err)
	}
	return page, nil
}

func (t *Table) page(ctx context.Context, q table.Query, in *dynamodb.QueryInput) (table.Page, error) {
	var page table.Page
	if in.ExclusiveStartKey == nil {
		if more, err := t.skip(ctx, q.Skip, *in, &in.ExclusiveStartKey); err != nil || !more {
			return page, err
		}
	}
	for size := 0; ; {
		in.Limit = aws.Int32(int32(q.Limit - len(page.Items)))
		out, err := t.client.Query(ctx, in)
		if err != nil {
			return table.Page{}, err
		}
		for _, av := range out.Items {
			it, err := Decode(av)
			if err != nil {
				return table.Page{}, err
			}
			if !page.Add(*it, &size) {
				page.Next = q.CursorAt(positionOf(q, &page.Items[len(page.Items)-1]))
				return page, nil
			}
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
		if len(in.ExclusiveStartKey) == 0 {
			return page, nil
		}
		if len(page.Items) == q.Limit {
			page.Next = q.CursorAt(positionOf(q, &page.Items[q.Limit-1]))
			return page, nil
		}
	}
}

// skip passes over n items, sets start to where it ends and reports whether
// more may follow.
func (t *Table) skip(ctx context.Context, n int, in dynamodb.QueryInput, start *values) (more bool, err error) {
	in.Select = types.SelectCount
	for n > 0 {
		in.Limit = aws.Int32(int32(min(n, math.MaxInt32)))
		out, err := t.client.Query(ctx, &in)
		if err != nil {
			return false, err
		}
		if len(out.LastEvaluatedKey) == 0 {
			return false, nil
		}
		n -= int(out.Count)
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
	*start = in.ExclusiveStartKey
	return true, nil
}

// queryInput returns the request for q from pos on, without its Limit.
func (t *Table) queryInput(q table.Query, pos *table.Position) *dynamodb.QueryInput {
	cond := keyCondition(q)
	in := &dynamodb.QueryInput{
		TableName: &t.name, KeyConditionExpression: cond.text,
		ExpressionAttributeNames: cond.names, ExpressionAttributeValues: cond.values,
		ScanIndexForward: aws.Bool(!q.Reverse), ExclusiveStartKey: startKey(q, pos),
	}
	if q.Index == 0 {
		in.ConsistentRead = aws.Bool(true)
	} else {
		in.IndexName = aws.String(IndexName(q.Index))
	}
	return in
}

// keyNames returns the key attributes of the table (0) or an index.
func keyNames(index int) (pk, sk string) {
	if index == 0 {
		return table.AttrPK, table.AttrSK
	}
	names := table.AttrIndex[index-1]
	return names.PK, names.SK
}

// startKey returns pos as the key after which q goes on.
func startKey(q table.Query, pos *table.Position) values {
	if pos == nil {
		return nil
	}
	key := encode(pos.Key.Attributes())
	if q.Index != 0 {
		pk, sk := keyNames(q.Index)
		maps.Copy(key, encode([]table.Attribute{
			{Name: pk, Kind: "S", Value: q.PK},
			{Name: sk, Kind: "S", Value: table.ComposeSort(pos.Sort, pos.Key)},
		}))
	}
	return key
}

// positionOf returns where it stands in the order of q.
func positionOf(q table.Query, it *table.Item) table.Position {
	p := table.Position{Key: it.Key}
	if q.Index != 0 {
		p.Sort = it.Index[q.Index-1].SK
	}
	return p
}
