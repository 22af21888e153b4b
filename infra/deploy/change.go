//go:build cdk

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"bldst/shared/partition"
)

// pause is between two looks at what CloudFormation is doing.
func (t *target) pause() time.Duration {
	if t.emulated {
		return 100 * time.Millisecond
	}
	return 2 * time.Second
}

// A changeSet is what a template would change in a stack.
type changeSet struct {
	id       string
	creation bool
	changes  []types.ResourceChange
}

// propose makes a change set of the template and waits until it is ready; nil
// when nothing would change.
func (t *target) propose(ctx context.Context, a *assembly) (*changeSet, error) {
	st, err := t.describe(ctx)
	if err != nil {
		return nil, err
	}
	kind := types.ChangeSetTypeUpdate
	switch {
	case st == nil || st.StackStatus == types.StackStatusReviewInProgress:
		kind = types.ChangeSetTypeCreate
	case st.StackStatus == types.StackStatusRollbackComplete:
		return nil, fmt.Errorf("stack %s never came to be and must go first: make destroy", t.stack)
	}
	out, err := t.cf.CreateChangeSet(ctx, &cloudformation.CreateChangeSetInput{
		StackName: &t.stack, ChangeSetName: ptr(fmt.Sprintf("c%d", time.Now().UnixNano())), ChangeSetType: kind,
		TemplateURL: ptr(t.templateURL(a)), Capabilities: []types.Capability{types.CapabilityCapabilityIam, types.CapabilityCapabilityNamedIam},
	})
	if err != nil {
		return nil, fmt.Errorf("propose the change: %w", err)
	}
	cs := &changeSet{id: *out.Id, creation: kind == types.ChangeSetTypeCreate}
	return t.ready(ctx, cs)
}

func (t *target) templateURL(a *assembly) string {
	for _, d := range a.template.Destinations {
		if t.emulated {
			return fmt.Sprintf("https://s3.amazonaws.com/%s/%s", t.fill(d.Bucket), t.fill(d.Key))
		}
		return fmt.Sprintf("https://%s.%s/%s", t.fill(d.Bucket), strings.TrimPrefix(partition.Endpoint("s3", t.region), "https://"), t.fill(d.Key))
	}
	return ""
}

// nothing are the ways CloudFormation says that there is nothing to change.
var nothing = []string{"didn't contain changes", "No updates are to be performed", "no changes"}

func (t *target) ready(ctx context.Context, cs *changeSet) (*changeSet, error) {
	for {
		out, err := t.cf.DescribeChangeSet(ctx, &cloudformation.DescribeChangeSetInput{StackName: &t.stack, ChangeSetName: &cs.id})
		if err != nil {
			return nil, fmt.Errorf("look at the change: %w", err)
		}
		switch out.Status {
		case types.ChangeSetStatusCreateComplete:
			return cs, t.collect(ctx, cs, out)
		case types.ChangeSetStatusFailed:
			why := text(out.StatusReason)
			_ = t.discard(ctx, cs)
			if slices.ContainsFunc(nothing, func(s string) bool { return strings.Contains(why, s) }) {
				say("%s: nothing to change", t.stack)
				return nil, nil //nolint:nilnil // nothing to change
			}
			return nil, fmt.Errorf("the change is impossible: %s", why)
		}
		if err := wait(ctx, t.pause()); err != nil {
			return nil, err
		}
	}
}

// collect reads the changes of cs, page by page.
func (t *target) collect(ctx context.Context, cs *changeSet, out *cloudformation.DescribeChangeSetOutput) error {
	for {
		for _, c := range out.Changes {
			if c.ResourceChange != nil {
				cs.changes = append(cs.changes, *c.ResourceChange)
			}
		}
		if out.NextToken == nil {
			return nil
		}
		var err error
		out, err = t.cf.DescribeChangeSet(ctx, &cloudformation.DescribeChangeSetInput{StackName: &t.stack, ChangeSetName: &cs.id, NextToken: out.NextToken})
		if err != nil {
			return fmt.Errorf("look at the change: %w", err)
		}
	}
}

// show writes the changes, one a line.
func (cs *changeSet) show(w io.Writer) {
	for _, c := range cs.changes {
		replaced := ""
		if c.Replacement == types.ReplacementTrue {
			replaced = " (replaced)"
		}
		_, _ = fmt.Fprintf(w, "%-8s %-36s %s%s\n", c.Action, text(c.ResourceType), text(c.LogicalResourceId), replaced)
	}
	_, _ = fmt.Fprintf(w, "%d changes\n", len(cs.changes))
}

// holding are the kinds of resources that hold what cannot be made again.
var holding = []string{"AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::SecretsManager::Secret", "AWS::KMS::Key"}

// refuse returns an error when the change would replace or remove data.
func (cs *changeSet) refuse() error {
	for _, c := range cs.changes {
		if slices.Contains(holding, text(c.ResourceType)) && (c.Replacement == types.ReplacementTrue || c.Action == types.ChangeActionRemove) {
			return fmt.Errorf("this would replace or remove %s (%s) and lose what is in it; nothing was changed", text(c.LogicalResourceId), text(c.ResourceType))
		}
	}
	return nil
}

// discard removes a change set that is not to be applied, and the empty stack
// that its making may have left.
func (t *target) discard(ctx context.Context, cs *changeSet) error {
	if cs.creation {
		_, err := t.cf.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: &t.stack})
		return err
	}
	_, err := t.cf.DeleteChangeSet(ctx, &cloudformation.DeleteChangeSetInput{StackName: &t.stack, ChangeSetName: &cs.id})
	return err
}

// execute applies cs and waits for the end.
func (t *target) execute(ctx context.Context, cs *changeSet) error {
	say("%s: applying %d changes", t.stack, len(cs.changes))
	begun := time.Now().Add(-time.Minute) // clocks differ
	if _, err := t.cf.ExecuteChangeSet(ctx, &cloudformation.ExecuteChangeSetInput{StackName: &t.stack, ChangeSetName: &cs.id}); err != nil {
		return fmt.Errorf("apply the change: %w", err)
	}
	st, err := t.settled(ctx)
	if err != nil {
		return err
	}
	if st != nil && (st.StackStatus == types.StackStatusCreateComplete || st.StackStatus == types.StackStatusUpdateComplete) {
		return nil
	}
	t.explain(ctx, begun)
	switch {
	case cs.creation || st == nil:
		return fmt.Errorf("%s could not be made; make destroy clears what is left", t.stack)
	case strings.HasSuffix(string(st.StackStatus), "ROLLBACK_COMPLETE"):
		return errors.New("the change failed and was rolled back: what served before serves on")
	}
	return fmt.Errorf("the change failed and could not be rolled back (%s); mend what is above, then: aws cloudformation continue-update-rollback --stack-name %s", st.StackStatus, t.stack)
}

// settled waits until nothing is in progress and returns the stack.
func (t *target) settled(ctx context.Context) (*types.Stack, error) {
	for {
		st, err := t.describe(ctx)
		if err != nil || st == nil || !strings.HasSuffix(string(st.StackStatus), "IN_PROGRESS") {
			return st, err
		}
		if err := wait(ctx, t.pause()); err != nil {
			return nil, err
		}
	}
}

// explain tells which resources failed since, and why.
func (t *target) explain(ctx context.Context, since time.Time) {
	out, err := t.cf.DescribeStackEvents(ctx, &cloudformation.DescribeStackEventsInput{StackName: &t.stack})
	if err != nil {
		return
	}
	for _, e := range slices.Backward(out.StackEvents) {
		if strings.HasSuffix(string(e.ResourceStatus), "FAILED") && e.ResourceStatusReason != nil && e.Timestamp != nil && e.Timestamp.After(since) {
			say("  %s: %s", text(e.LogicalResourceId), text(e.ResourceStatusReason))
		}
	}
}

// destroy deletes the stack. What its template retains stays.
func (t *target) destroy(ctx context.Context) error {
	st, err := t.describe(ctx)
	if err != nil || st == nil {
		return err
	}
	if st.EnableTerminationProtection != nil && *st.EnableTerminationProtection {
		if _, err := t.cf.UpdateTerminationProtection(ctx, &cloudformation.UpdateTerminationProtectionInput{StackName: &t.stack, EnableTerminationProtection: ptr(false)}); err != nil {
			return fmt.Errorf("take the protection off %s: %w", t.stack, err)
		}
	}
	begun := time.Now().Add(-time.Minute)
	if _, err := t.cf.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: &t.stack}); err != nil {
		return fmt.Errorf("delete %s: %w", t.stack, err)
	}
	st, err = t.settled(ctx)
	if err != nil {
		return err
	}
	if st != nil && st.StackStatus != types.StackStatusDeleteComplete {
		t.explain(ctx, begun)
		return fmt.Errorf("%s could not be deleted whole (%s)", t.stack, st.StackStatus)
	}
	say("%s is deleted", t.stack)
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func ptr[T any](v T) *T { return &v }
