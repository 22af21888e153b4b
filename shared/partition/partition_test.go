package partition_test

import (
	"testing"

	"bldst/shared/partition"
)

func TestEndpointsAreThoseOfTheRegionsPartition(t *testing.T) {
	t.Parallel()
	for region, want := range map[string]struct{ name, endpoint string }{
		"eu-west-1":     {"aws", "https://states.eu-west-1.amazonaws.com"},
		"us-gov-west-1": {"aws-us-gov", "https://states.us-gov-west-1.amazonaws.com"},
		"cn-north-1":    {"aws-cn", "https://states.cn-north-1.amazonaws.com.cn"},
	} {
		if got := partition.Of(region).Name; got != want.name {
			t.Errorf("%s is in %s, want %s", region, got, want.name)
		}
		if got := partition.Endpoint("states", region); got != want.endpoint {
			t.Errorf("%s: %s, want %s", region, got, want.endpoint)
		}
	}
}
