package store

import (
	"context"
	"time"

	"bldst/shared/notify"
	"bldst/shared/problem"
	"bldst/shared/table"
)

// Who is told of builds:
//
//	project#ID    sub#SID   a subscription
//	delivery#ID   a         a delivery, until thirty days have passed
//
// Index 2 lists the deliveries of a project by time.

const (
	subPrefix    = "sub#"
	deliveryKind = "delivery"
	deliveryLife = 30 * 24 * time.Hour
	deliverFor   = time.Minute // how long a claim of a delivery holds
)

var _ notify.Store = (*Store)(nil)

func subKey(project, id string) table.Key {
	return table.Key{PK: projectKind + "#" + project, SK: subPrefix + id}
}

func readSub(it *table.Item) (*notify.Subscription, error) {
	s := new(notify.Subscription)
	if err := decode(it, s); err != nil {
		return nil, err
	}
	s.Rev = it.Rev
	return s, nil
}

func subItem(s *notify.Subscription) table.Item {
	return table.Item{Key: subKey(s.ProjectID, s.ID), Rev: s.Rev, Doc: encode(s)}
}

// AddSubscription implements notify.Store.
func (s *Store) AddSubscription(ctx context.Context, ref string, f func(*notify.Subscription) error) (*notify.Subscription, error) {
	subs, err := s.Subscriptions(ctx, ref)
	if err != nil {
		return nil, err
	}
	if len(subs) >= notify.MaxSubscriptions {
		return nil, problem.New(problem.Refused, "A project has at most %d subscriptions; delete one that is not needed.", notify.MaxSubscriptions)
	}
	project, err := s.projectID(ctx, ref)
	if err != nil {
		return nil, err
	}
	now := s.now()
	sub := &notify.Subscription{ID: s.NewID(), ProjectID: project, CreatedAt: now, UpdatedAt: now, Rev: 1}
	if err := f(sub); err != nil {
		return nil, err
	}
	err = s.write(ctx, table.PutOp(subItem(sub), table.Cond{Kind: table.Absent}), table.VerifyOp(rowKey(projectKind, project), table.Cond{Kind: table.NotDeleted}),
		s.auditOp(ctx, "subscription.create", "subscription", sub.ID, nil, encode(sub.Record())))
	if table.Refused(err) != nil {
		return nil, problem.New(problem.NotFound, "Project with id '%s' not found", ref)
	}
	return sub, err
}

// Subscriptions implements notify.Store with one query, strongly consistent.
func (s *Store) Subscriptions(ctx context.Context, ref string) ([]*notify.Subscription, error) {
	project, err := s.projectID(ctx, ref)
	if err != nil {
		return nil, err
	}
	p, err := s.Table.Query(ctx, table.Query{PK: projectKind + "#" + project, Prefix: subPrefix, Limit: table.MaxLimit})
	if err != nil {
		return nil, err
	}
	out := make([]*notify.Subscription, len(p.Items))
	for i := range p.Items {
		if out[i], err = readSub(&p.Items[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Subscription implements notify.Store.
func (s *Store) Subscription(ctx context.Context, ref, id string) (*notify.Subscription, error) {
	project, err := s.projectID(ctx, ref)
	if err != nil {
		return nil, err
	}
	items, err := s.Table.Get(ctx, subKey(project, clipRef(id)))
	if err != nil {
		return nil, err
	}
	if items[0] == nil {
		return nil, problem.New(problem.NotFound, "Subscription '%s' not found for project '%s'", id, ref)
	}
	return readSub(items[0])
}

// ChangeSubscription implements notify.Store.
func (s *Store) ChangeSubscription(ctx context.Context, ref, id string, f func(*notify.Subscription) error) (*notify.Subscription, error) {
	for range tries(ctx) {
		sub, err := s.Subscription(ctx, ref, id)
		if err != nil {
			return nil, err
		}
		rev, before := sub.Rev, encode(sub.Record())
		if err := f(sub); err != nil {
			return nil, err
		}
		sub.UpdatedAt, sub.Rev = s.now(), rev+1
		err = s.write(ctx, table.PutOp(subItem(sub), table.IfRev(rev)), s.auditOp(ctx, "subscription.update", "subscription", sub.ID, before, encode(sub.Record())))
		if table.Refused(err) == nil {
			return sub, err
		}
	}
	return nil, busy()
}

// DeleteSubscription implements notify.Store.
func (s *Store) DeleteSubscription(ctx context.Context, ref, id string, check func(*notify.Subscription) error) error {
	for range tries(ctx) {
		sub, err := s.Subscription(ctx, ref, id)
		if err != nil {
			return err
		}
		if err := check(sub); err != nil {
			return err
		}
		err = s.write(ctx, table.DeleteOp(subKey(sub.ProjectID, sub.ID), table.IfRev(sub.Rev)),
			s.auditOp(ctx, "subscription.delete", "subscription", sub.ID, encode(sub.Record()), nil))
		if table.Refused(err) == nil {
			return err
		}
	}
	return busy()
}

func readDelivery(it *table.Item) (*notify.Delivery, error) {
	d := new(notify.Delivery)
	if err := decode(it, d); err != nil {
		return nil, err
	}
	d.Rev = it.Rev
	return d, nil
}

func deliveryItem(d *notify.Delivery) table.Item {
	it := table.Item{Key: rowKey(deliveryKind, d.ID), Rev: d.Rev, Doc: encode(d), Expires: d.CreatedAt.Add(deliveryLife).Unix()}
	it.Index[1] = table.IndexKey{PK: projectKind + "#" + d.ProjectID, SK: deliveryKind + "#" + stamp(d.CreatedAt) + "#" + d.ID}
	return it
}

// ClaimDelivery implements notify.Deliveries: one read, one write.
func (s *Store) ClaimDelivery(ctx context.Context, d *notify.Delivery) (*notify.Delivery, bool, error) {
	items, err := s.Table.Get(ctx, rowKey(deliveryKind, d.ID))
	if err != nil {
		return nil, false, err
	}
	now, cond := s.now(), table.Cond{Kind: table.Absent}
	c := *d
	c.CreatedAt = now
	if items[0] != nil {
		old, err := readDelivery(items[0])
		if err != nil {
			return nil, false, err
		}
		switch {
		case old.Status != notify.Pending:
			return old, false, nil
		case old.Until.After(now):
			return nil, false, &problem.Problem{Kind: problem.Unavailable, Detail: "The delivery is being made.", RetryAfter: old.Until.Sub(now)}
		}
		c, cond = *old, table.IfRev(old.Rev)
	}
	c.Claims++
	c.UpdatedAt, c.Until, c.Rev = now, now.Add(deliverFor), cond.Rev+1
	err = s.write(ctx, table.PutOp(deliveryItem(&c), cond))
	if table.Refused(err) != nil {
		return nil, false, busy()
	}
	return &c, err == nil, err
}

// Delivery implements notify.Deliveries.
func (s *Store) Delivery(ctx context.Context, id string) (*notify.Delivery, error) {
	items, err := s.Table.Get(ctx, rowKey(deliveryKind, clipRef(id)))
	if err != nil {
		return nil, err
	}
	if items[0] == nil {
		return nil, problem.New(problem.NotFound, "Delivery '%s' not found", id)
	}
	d, err := readDelivery(items[0])
	if err != nil {
		return nil, err
	}
	return d, allowed(ctx, d.ProjectID)
}

// SaveDelivery implements notify.Deliveries. Of two that were made at once the
// later one is kept.
func (s *Store) SaveDelivery(ctx context.Context, d *notify.Delivery) error {
	d.Until, d.UpdatedAt = time.Time{}, s.now()
	d.Rev++
	return s.write(ctx, table.PutOp(deliveryItem(d), table.Cond{}))
}

// DeliveriesOf implements notify.Deliveries.
func (s *Store) DeliveriesOf(ctx context.Context, q notify.DeliveryQuery) ([]notify.Delivery, string, error) {
	project, err := s.projectID(ctx, q.Project)
	if err != nil {
		return nil, "", err
	}
	p, err := s.page(ctx, table.Query{Index: 2, PK: projectKind + "#" + project, Prefix: deliveryKind + "#", Reverse: true}, ListQuery{Skip: q.Skip, Limit: q.Limit, Cursor: q.Cursor})
	if err != nil {
		return nil, "", err
	}
	out := make([]notify.Delivery, len(p.Items))
	for i := range p.Items {
		d, err := readDelivery(&p.Items[i])
		if err != nil {
			return nil, "", err
		}
		out[i] = *d
	}
	return out, p.Next, nil
}
