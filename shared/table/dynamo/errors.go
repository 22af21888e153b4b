package dynamo

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"bldst/shared/problem"
	"bldst/shared/table"
)

// The error codes, and codes of cancellation reasons, that mean "later".
// DynamoDB has written nothing when it answers with one of them.
var (
	conflictCodes = []string{"TransactionConflictException", "TransactionConflict", "TransactionInProgressException", "ReplicatedWriteConflictException"}
	throttleCodes = []string{
		"ProvisionedThroughputExceededException", "ProvisionedThroughputExceeded", "ThrottlingException", "ThrottlingError",
		"RequestLimitExceeded",
	}
)

// isConflict reports whether another transaction was in the way.
func isConflict(err error) bool { return hasCode(err, conflictCodes) }

// isBusy reports whether DynamoDB asks to come again later.
func isBusy(err error) bool { return hasCode(err, throttleCodes) || isConflict(err) }

// hasCode reports whether err, or a reason for which it cancelled a
// transaction, has one of codes.
func hasCode(err error, codes []string) bool {
	for _, have := range errorCodes(err) {
		for _, want := range codes {
			if have == want {
				return true
			}
		}
	}
	return false
}

func errorCodes(err error) []string {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return nil
	}
	codes := []string{api.ErrorCode()}
	var cancelled *types.TransactionCanceledException
	if errors.As(err, &cancelled) {
		for _, r := range cancelled.CancellationReasons {
			codes = append(codes, aws.ToString(r.Code))
		}
	}
	return codes
}

// isTooLarge reports whether DynamoDB found an item or a transaction too
// large. Check finds it first, unless DynamoDB changes its limits.
func isTooLarge(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && hasCode(err, []string{"ValidationException", "ValidationError"}) &&
		strings.Contains(strings.ToLower(err.Error()), "size")
}

// writeError translates what writeOnce returns.
func writeError(err error) error {
	switch {
	case err == nil || table.Refused(err) != nil:
		return err
	case isBusy(err):
		return errBusy(err)
	case isTooLarge(err):
		return &problem.Problem{Kind: problem.TooLarge, Detail: "An item or the whole change is larger than can be stored", Err: err}
	default:
		return fmt.Errorf("write items: %w", err)
	}
}

// readError translates an error of reading; what says what was read.
func readError(what string, err error) error {
	if isBusy(err) {
		return errBusy(err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

func errBusy(cause error) error {
	return &problem.Problem{
		Kind: problem.Unavailable, Detail: "The table is busy; try again",
		RetryAfter: time.Second, Err: cause,
	}
}

// A watchedRetryer is the client's retryer for one call. It remembers whether
// an attempt ended in a way that leaves its outcome unknown.
type watchedRetryer struct {
	aws.RetryerV2
	unsure bool
}

// watch is an option of a call. A retryer that somebody else has chosen for the
// client and that is of the old kind stays unwatched.
func (w *watchedRetryer) watch(o *dynamodb.Options) {
	if v2, ok := o.Retryer.(aws.RetryerV2); ok {
		w.RetryerV2, o.Retryer = v2, w
	}
}

// IsErrorRetryable notes errors after which a further attempt is made although
// DynamoDB has not said that it wrote nothing.
func (w *watchedRetryer) IsErrorRetryable(err error) bool {
	retry := w.RetryerV2.IsErrorRetryable(err)
	if retry && !isBusy(err) {
		w.unsure = true
	}
	return retry
}
