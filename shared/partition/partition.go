// Package partition knows the partitions of AWS: separate worlds with accounts,
// ARNs and addresses of their own.
//
// Source: "AWS service endpoints" and "Amazon Resource Names" of the AWS General
// Reference.
package partition

import (
	"fmt"
	"strings"
)

// A Partition is a world of AWS.
type Partition struct {
	Name   string // second part of its ARNs
	Domain string // end of its addresses
}

// Standard is the partition of every region that no other one has.
var Standard = Partition{"aws", "amazonaws.com"}

// others are the other partitions by the beginning of their regions' names.
var others = []struct {
	prefix string
	Partition
}{
	{"us-gov-", Partition{"aws-us-gov", "amazonaws.com"}},
	{"cn-", Partition{"aws-cn", "amazonaws.com.cn"}},
}

// Of returns the partition of a region.
func Of(region string) Partition {
	for _, o := range others {
		if strings.HasPrefix(region, o.prefix) {
			return o.Partition
		}
	}
	return Standard
}

// Endpoint returns the address of a service in a region, without a slash at its end.
func Endpoint(service, region string) string {
	return fmt.Sprintf("https://%s.%s.%s", service, region, Of(region).Domain)
}
