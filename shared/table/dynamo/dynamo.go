// Package dynamo is the adapter of the port shared/table on Amazon DynamoDB.
// It is the only importer of the DynamoDB client.
//
// An item is one DynamoDB item with the attributes that package table names.
// Reads of the table are strongly consistent, those of an index cannot be.
package dynamo

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"bldst/shared/table"
)

// A Table is one DynamoDB table. It is safe for concurrent use.
type Table struct {
	client *dynamodb.Client
	name   string
	pause  func(ctx context.Context, attempt int) error
}

var _ table.Table = (*Table)(nil)

// New returns the table called name, which must exist and have Schema.
func New(client *dynamodb.Client, name string) *Table {
	return &Table{client: client, name: name, pause: pause}
}

// Access says where DynamoDB is and who asks. The caller reads it from its
// environment once; on Lambda the credentials last as long as the process.
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

// requestTimeout ends one attempt of a request, so that a dead connection
// costs a retry and not the caller's whole time.
const requestTimeout = 5 * time.Second

// Client returns a client with a's credentials that keeps its connections.
func Client(a Access) *dynamodb.Client {
	o := dynamodb.Options{
		Region:      a.Region,
		Credentials: a,
		HTTPClient:  awshttp.NewBuildableClient().WithTimeout(requestTimeout),
	}
	if a.Endpoint != "" {
		o.BaseEndpoint = &a.Endpoint
	}
	return dynamodb.New(o)
}

// Open returns the table called name at a.
func Open(a Access, name string) *Table { return New(Client(a), name) }

// attempts is how often a request is made that DynamoDB asks to repeat, beyond
// what the SDK does by itself.
const attempts = 6

// pause waits before a further attempt, each time about twice as long, at
// random so that those who were in each other's way part.
func pause(ctx context.Context, attempt int) error {
	limit := 20 * time.Millisecond << attempt
	select {
	case <-time.After(limit/2 + rand.N(limit/2)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
