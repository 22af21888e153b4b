package store

import (
	"context"
	"encoding/json"
	"time"

	"bldst/shared/build"
	"bldst/shared/dispatch"
	"bldst/shared/problem"
	"bldst/shared/table"
)

// How resumes get to the CI:
//
//	project#ID   ci         the CI of a project
//	build#ID     disp#RID   what became of the order for a resume request
//
// The order has a row of its own so that it can be claimed without a row of the
// build's history; its result goes onto the resume request and into the history.

const (
	ciRow       = "ci"
	orderPrefix = "disp#"
	jobPrefix   = "job#"
	claimFor    = 2 * time.Minute // longer than the function that claims may run
)

var (
	_ dispatch.Store  = (*Store)(nil)
	_ dispatch.Orders = (*Store)(nil)
)

func ciKey(project string) table.Key { return table.Key{PK: projectKind + "#" + project, SK: ciRow} }

// readCI returns the CI in it, nil when it is nil.
func readCI(it *table.Item) (*dispatch.ProjectCI, error) {
	if it == nil {
		return nil, nil
	}
	r := new(dispatch.ProjectCI)
	if err := decode(it, r); err != nil {
		return nil, err
	}
	r.Rev = it.Rev
	return r, nil
}

// ciOf returns the id of the project ref and its CI, nil when it has none.
func (s *Store) ciOf(ctx context.Context, ref string) (string, *dispatch.ProjectCI, error) {
	id, err := s.projectID(ctx, ref)
	if err != nil {
		return "", nil, err
	}
	items, err := s.Table.Get(ctx, ciKey(id))
	if err != nil {
		return "", nil, err
	}
	r, err := readCI(items[0])
	return id, r, err
}

// CI implements dispatch.Store.
func (s *Store) CI(ctx context.Context, ref string) (*dispatch.ProjectCI, error) {
	_, r, err := s.ciOf(ctx, ref)
	if err == nil && r == nil {
		err = problem.New(problem.NotFound, "Project '%s' has no CI", ref)
	}
	return r, err
}

// ChangeCI implements dispatch.Store.
func (s *Store) ChangeCI(ctx context.Context, ref string, f func(*dispatch.ProjectCI) error) (*dispatch.ProjectCI, error) {
	for range tries(ctx) {
		id, r, err := s.ciOf(ctx, ref)
		if err != nil {
			return nil, err
		}
		cond, before := table.Cond{Kind: table.Absent}, []byte(nil)
		if r == nil {
			r = &dispatch.ProjectCI{ProjectID: id}
		} else {
			cond, before = table.IfRev(r.Rev), encode(r)
		}
		if err := f(r); err != nil {
			return nil, err
		}
		r.UpdatedAt, r.Rev = s.now(), cond.Rev+1
		err = s.write(ctx, table.PutOp(table.Item{Key: ciKey(id), Rev: r.Rev, Doc: encode(r)}, cond),
			table.VerifyOp(rowKey(projectKind, id), table.Cond{Kind: table.NotDeleted}), s.auditOp(ctx, "ci.update", "ci", id, before, encode(r)))
		if table.Refused(err) == nil {
			return r, err
		}
	}
	return nil, busy()
}

// DeleteCI implements dispatch.Store.
func (s *Store) DeleteCI(ctx context.Context, ref string, check func(*dispatch.ProjectCI) error) error {
	for range tries(ctx) {
		id, r, err := s.ciOf(ctx, ref)
		if err == nil && r == nil {
			err = problem.New(problem.NotFound, "Project '%s' has no CI", ref)
		}
		if err != nil {
			return err
		}
		if err := check(r); err != nil {
			return err
		}
		err = s.write(ctx, table.DeleteOp(ciKey(id), table.IfRev(r.Rev)), s.auditOp(ctx, "ci.delete", "ci", id, encode(r), nil))
		if table.Refused(err) == nil {
			return err
		}
	}
	return busy()
}

// An orderRow says what became of an order.
type orderRow struct {
	Status string    `json:"status"`
	Claims int       `json:"claims"`
	Until  time.Time `json:"until,omitzero"` // of the newest claim
	JobURL string    `json:"job_url,omitempty"`
	Error  string    `json:"error,omitempty"`
	Unsure bool      `json:"unsure,omitempty"` // the job may have been started, and nobody put down whether
	Since  time.Time `json:"since,omitzero"`   // when it was tried
}

// ClaimOrder implements dispatch.Orders with one read of the build's rows, one
// of the project's, and one write.
func (s *Store) ClaimOrder(ctx context.Context, e build.Event) (*dispatch.Order, int, error) {
	b, items, err := s.readBuildRow(ctx, e.BuildID, false, requestPrefix+e.RequestID, orderPrefix+e.RequestID)
	if problem.Is(err, problem.NotFound) {
		return nil, 0, nil // the build was deleted meanwhile
	}
	if err != nil || items[0] == nil {
		return nil, 0, err
	}
	req, err := readRequest(items[0])
	if err != nil {
		return nil, 0, err
	}
	if !waitsForJob(b, req) {
		return nil, 0, nil
	}
	o := &dispatch.Order{RequestID: req.ID, BuildID: b.ID, BuildNumber: b.Number, ProjectID: b.ProjectID, Attempt: req.Attempt, From: req.From, To: req.To, Targets: req.Targets}
	if req.Reason != nil {
		o.Reason = *req.Reason
	}
	_ = json.Unmarshal(req.Config, &o.Override) // an object; what it says in another form is not meant for us
	tries, err := s.claim(ctx, items[1], buildSub(b.ID, orderPrefix+e.RequestID), o)
	if err != nil || tries == 0 {
		return nil, 0, err
	}
	return o, tries, s.addCI(ctx, o)
}

// waitsForJob reports whether the resume is still to be started: it is the
// newest of the build, and nobody works on it.
func waitsForJob(b *build.Build, r *build.Request) bool {
	if b.Status.Final() || b.Attempt != r.Attempt || r.Status != build.RequestPending {
		return false
	}
	return b.Resume == nil || b.Resume.ID == r.ID && b.Resume.Status == build.RequestPending
}

// claim takes the order in the row it for o, and returns how often it was
// taken; 0 when it was carried out. Until its outcome is put down nobody knows
// whether who took it has started the job.
func (s *Store) claim(ctx context.Context, it *table.Item, at table.Key, o *dispatch.Order) (int, error) {
	var row orderRow
	cond := table.Cond{Kind: table.Absent}
	if it != nil {
		if err := decode(it, &row); err != nil {
			return 0, err
		}
		cond = table.IfRev(it.Rev)
	}
	now := s.now()
	switch {
	case row.Status == dispatch.Triggered || row.Status == dispatch.Failed:
		return 0, nil
	case row.Until.After(now):
		return 0, &problem.Problem{Kind: problem.Unavailable, Detail: "The job is being started.", RetryAfter: row.Until.Sub(now)}
	}
	o.Unsure, o.UnsureSince = row.Unsure, row.Since
	row.Status, row.Claims, row.Until, row.Unsure = dispatch.Pending, row.Claims+1, now.Add(claimFor), true
	if row.Since.IsZero() || !o.Unsure {
		row.Since = now
	}
	err := s.write(ctx, table.PutOp(table.Item{Key: at, Rev: cond.Rev + 1, Doc: encode(row)}, cond))
	if table.Refused(err) != nil {
		return 0, busy()
	}
	return row.Claims, err
}

// addCI adds the CI of the order's project and the newest job of its build.
func (s *Store) addCI(ctx context.Context, o *dispatch.Order) error {
	items, err := s.Table.Get(ctx, ciKey(o.ProjectID))
	if err != nil {
		return err
	}
	if o.CI, err = readCI(items[0]); err != nil {
		return err
	}
	p, err := s.Table.Query(ctx, table.Query{PK: buildKind + "#" + o.BuildID, Prefix: jobPrefix, Reverse: true, Limit: 1})
	if err != nil || len(p.Items) == 0 {
		return err
	}
	o.Last = new(dispatch.LastJob)
	return decode(&p.Items[0], o.Last)
}

// FinishOrder implements dispatch.Orders: one transaction over the order, the
// resume request, the build and its history. A resume whose job cannot be
// started fails the build again: nobody works on it.
func (s *Store) FinishOrder(ctx context.Context, o *dispatch.Order, out dispatch.Outcome) error {
	sk := []string{requestPrefix + o.RequestID, orderPrefix + o.RequestID}
	_, _, err := s.changeBuild(ctx, o.BuildID, sk, func(st step) (build.Entry, []table.Op, error) {
		order, err := orderOp(st.items[1], buildSub(o.BuildID, sk[1]), out)
		if err != nil {
			return build.Entry{}, nil, err
		}
		if st.items[0] == nil {
			return build.Entry{}, nil, requestNotFound(o.RequestID)
		}
		r, err := readRequest(st.items[0])
		if err != nil {
			return build.Entry{}, nil, err
		}
		if err := patchOf(out, r, st.b).Apply(r, st.b, st.rules, st.now); err != nil {
			return build.Entry{}, nil, err
		}
		e, err := build.NewEntry(build.ResumeChanged, r.Record())
		return e, []table.Op{order, requestOp(r, st.items[0])}, err
	})
	if problem.Is(err, problem.NotFound) {
		return nil
	}
	return err
}

// orderOp returns the op that ends the claim of the order in it with out.
func orderOp(it *table.Item, at table.Key, out dispatch.Outcome) (table.Op, error) {
	var row orderRow
	cond := table.Cond{Kind: table.Absent}
	if it != nil {
		if err := decode(it, &row); err != nil {
			return table.Op{}, err
		}
		cond = table.IfRev(it.Rev)
	}
	row.Status, row.Until, row.JobURL, row.Error, row.Unsure = out.Status, time.Time{}, out.JobURL, out.Error, out.Unsure
	return table.PutOp(table.Item{Key: at, Rev: cond.Rev + 1, Doc: encode(row)}, cond), nil
}

// patchOf returns what out changes of the request r. When the job was so quick
// that it has reported already, or the resume is over, only the job is noted.
func patchOf(out dispatch.Outcome, r *build.Request, b *build.Build) build.RequestPatch {
	p := build.RequestPatch{JobID: null(out.JobID), JobURL: null(out.JobURL), ErrorMessage: null(out.Error)}
	if out.Status != dispatch.Pending && waitsForJob(b, r) {
		p.Status = out.Status
	}
	return p
}

func null(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
