//go:build cdk

package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
)

// A retention is how long an artifact is kept, said by the tag bldst:retention
// of its object.
type retention struct {
	tag  string
	days float64
}

var retentions = []retention{{"short", 7}, {"medium", 30}, {"long", 365}}

// unfinished is how many days the parts of an upload that nobody finished, and
// versions that were replaced, are kept.
const unfinished, replaced = 2, 30

// addBucket adds the bucket for artifacts. The API holds where an artifact is
// and never its bytes: pipelines write here, with credentials of their own.
func (st *stack) addBucket() {
	props := &awss3.BucketProps{
		BlockPublicAccess: awss3.BlockPublicAccess_BLOCK_ALL(),
		Encryption:        awss3.BucketEncryption_S3_MANAGED,
		EnforceSSL:        yes,
		MinimumTLSVersion: n(1.2),
		ObjectOwnership:   awss3.ObjectOwnership_BUCKET_OWNER_ENFORCED,
		Versioned:         yes,
		RemovalPolicy:     awscdk.RemovalPolicy_RETAIN,
		LifecycleRules:    lifecycle(),
	}
	if st.key != nil {
		props.Encryption, props.EncryptionKey, props.BucketKeyEnabled = awss3.BucketEncryption_KMS, st.key, yes
	}
	st.bucket = awss3.NewBucket(st.Stack, s("Artifacts"), props)
}

func lifecycle() *[]*awss3.LifecycleRule {
	rules := []*awss3.LifecycleRule{{
		Id:                                  s("unfinished-uploads-and-replaced-versions"),
		AbortIncompleteMultipartUploadAfter: awscdk.Duration_Days(n(unfinished)),
		NoncurrentVersionExpiration:         awscdk.Duration_Days(n(replaced)),
	}}
	for _, r := range retentions {
		rules = append(rules, &awss3.LifecycleRule{
			Id: s("retention-" + r.tag), Expiration: awscdk.Duration_Days(n(r.days)),
			TagFilters: &map[string]any{"bldst:retention": r.tag},
		})
	}
	return &rules
}
