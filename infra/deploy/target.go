//go:build cdk

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"bldst/shared/partition"
)

// A target is a stack in an account and region.
type target struct {
	stack           string
	account, region string
	partition       string
	emulated        bool
	cf              *cloudformation.Client
	s3              *s3.Client
	db              *dynamodb.Client
}

// open finds out where and who we are. Its errors name what is missing and the
// command that mends it.
func open(ctx context.Context, stack string) (*target, error) {
	c, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("the settings of AWS cannot be read: %w", err)
	}
	if c.Region == "" {
		return nil, errors.New("no region is set: export AWS_REGION=us-east-1, or aws configure")
	}
	if _, err := c.Credentials.Retrieve(ctx); err != nil {
		return nil, errors.New("no credentials for AWS: aws configure, or aws sso login, or export AWS_PROFILE=NAME")
	}
	t := &target{stack: stack, region: c.Region, emulated: os.Getenv("AWS_ENDPOINT_URL") != "", cf: cloudformation.NewFromConfig(c), db: dynamodb.NewFromConfig(c)}
	t.s3 = s3.NewFromConfig(c, func(o *s3.Options) { o.UsePathStyle = t.emulated })
	who, err := sts.NewFromConfig(c).GetCallerIdentity(ctx, nil)
	if err != nil && t.emulated {
		return nil, fmt.Errorf("nothing answers at AWS_ENDPOINT_URL %s: make localstack", os.Getenv("AWS_ENDPOINT_URL"))
	}
	if err != nil {
		return nil, fmt.Errorf("AWS does not take these credentials: aws sso login, or aws configure (%s)", reason(err))
	}
	t.account, t.partition = *who.Account, partition.Of(c.Region).Name
	return t, nil
}

// describe returns the stack, nil when there is none.
func (t *target) describe(ctx context.Context) (*types.Stack, error) {
	out, err := t.cf.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &t.stack})
	if err != nil {
		if strings.Contains(err.Error(), "does not exist") {
			return nil, nil //nolint:nilnil // "none" is an answer here, and two callers
		}
		return nil, fmt.Errorf("look at stack %s: %w", t.stack, err)
	}
	return &out.Stacks[0], nil
}

// fill puts account and region into the names of the assembly.
func (t *target) fill(name string) string {
	return strings.NewReplacer("${AWS::AccountId}", t.account, "${AWS::Region}", t.region, "${AWS::Partition}", t.partition).Replace(name)
}

// reason returns what the service said, in a line.
func reason(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode() + ": " + api.ErrorMessage()
	}
	return err.Error()
}

func text(v *string) string { return aws.ToString(v) }
