// Package workflow starts and answers the executions of the state machine that
// drives builds. It is the only importer of the Step Functions client, and it
// decides what the service's errors mean: a token nobody waits with any more
// and a name that is taken are answers, not errors; being throttled is a
// problem of kind Unavailable.
package workflow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/smithy-go"

	"bldst/shared/problem"
)

// Access says where Step Functions is and who asks. The caller reads it from
// its environment once.
type Access struct {
	Region       string
	Endpoint     string // "" is the one of the region
	KeyID        string // the access key
	Secret       string
	SessionToken string // "" for a key of a user
}

// Retrieve implements aws.CredentialsProvider.
func (a Access) Retrieve(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: a.KeyID, SecretAccessKey: a.Secret, SessionToken: a.SessionToken, Source: "environment"}, nil
}

// A Machine is one state machine. It is safe for concurrent use.
type Machine struct {
	client *sfn.Client
	arn    string
}

// New returns the machine with this ARN.
func New(client *sfn.Client, arn string) *Machine { return &Machine{client, arn} }

// requestTimeout ends one attempt of a request, so that a dead connection
// costs a retry and not the caller's whole time.
const requestTimeout = 5 * time.Second

// Open returns the machine with this ARN at a.
func Open(a Access, arn string) *Machine {
	o := sfn.Options{Region: a.Region, Credentials: a, HTTPClient: awshttp.NewBuildableClient().WithTimeout(requestTimeout)}
	if a.Endpoint != "" {
		o.BaseEndpoint = &a.Endpoint
	}
	return New(sfn.New(o), arn)
}

// Start starts the execution called name and returns its ARN. The same name
// with the same input is the same execution while that runs. It returns false
// when the name belongs to another execution, or to one that has ended.
func (m *Machine) Start(ctx context.Context, name string, input any) (arn string, started bool, err error) {
	b, err := json.Marshal(input)
	if err != nil {
		return "", false, fmt.Errorf("start execution %s: %w", name, err)
	}
	out, err := m.client.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: &m.arn, Name: &name, Input: aws.String(string(b))})
	switch {
	case err == nil:
		return aws.ToString(out.ExecutionArn), true, nil
	case hasCode(err, "ExecutionAlreadyExists"):
		return "", false, nil
	default:
		return "", false, failed("start execution "+name, err)
	}
}

// Succeed ends the wait that token stands for with output. It returns false
// when nobody waits with that token any more.
func (m *Machine) Succeed(ctx context.Context, token string, output any) (bool, error) {
	b, err := json.Marshal(output)
	if err != nil {
		return false, fmt.Errorf("answer a task: %w", err)
	}
	_, err = m.client.SendTaskSuccess(ctx, &sfn.SendTaskSuccessInput{TaskToken: &token, Output: aws.String(string(b))})
	return answered("answer a task", err)
}

// Fail is Succeed with an error: its name, which the state machine catches, and
// its cause.
func (m *Machine) Fail(ctx context.Context, token, name, cause string) (bool, error) {
	_, err := m.client.SendTaskFailure(ctx, &sfn.SendTaskFailureInput{TaskToken: &token, Error: &name, Cause: &cause})
	return answered("fail a task", err)
}

// Beat is a sign of life for the wait that token stands for. It returns false
// when nobody waits with that token any more.
func (m *Machine) Beat(ctx context.Context, token string) (bool, error) {
	_, err := m.client.SendTaskHeartbeat(ctx, &sfn.SendTaskHeartbeatInput{TaskToken: &token})
	return answered("beat a task", err)
}

func answered(what string, err error) (bool, error) {
	switch {
	case err == nil:
		return true, nil
	case hasCode(err, "TaskTimedOut", "TaskDoesNotExist", "InvalidToken"):
		return false, nil
	default:
		return false, failed(what, err)
	}
}

// Status returns the status of an execution: RUNNING, SUCCEEDED, FAILED,
// TIMED_OUT, ABORTED or PENDING_REDRIVE; "" when there is none with that ARN.
func (m *Machine) Status(ctx context.Context, arn string) (string, error) {
	out, err := m.client.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &arn})
	switch {
	case err == nil:
		return string(out.Status), nil
	case hasCode(err, "ExecutionDoesNotExist", "InvalidArn"):
		return "", nil
	default:
		return "", failed("describe execution", err)
	}
}

// Stop ends an execution for the cause. One that is over is left as it is.
func (m *Machine) Stop(ctx context.Context, arn, cause string) error {
	_, err := m.client.StopExecution(ctx, &sfn.StopExecutionInput{ExecutionArn: &arn, Cause: &cause})
	if err == nil || hasCode(err, "ExecutionDoesNotExist", "InvalidArn") {
		return nil
	}
	return failed("stop execution", err)
}

// throttled are the codes that mean "later".
var throttled = []string{"ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded", "ExecutionLimitExceeded", "KmsThrottlingException", "ServiceUnavailable"}

// failed returns the error of a call.
func failed(what string, err error) error {
	if hasCode(err, throttled...) {
		return &problem.Problem{Kind: problem.Unavailable, Detail: "Step Functions is busy; try again", RetryAfter: time.Second, Err: err}
	}
	return fmt.Errorf("%s: %w", what, err)
}

func hasCode(err error, codes ...string) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	for _, c := range codes {
		if api.ErrorCode() == c {
			return true
		}
	}
	return false
}
