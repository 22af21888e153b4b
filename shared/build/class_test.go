package build_test

import (
	"testing"

	"bldst/shared/build"
)

func TestTheClassOfAFailure(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		signs build.Signs
		want  build.Class
	}{
		{build.Signs{}, build.Unknown},
		{build.Signs{Message: "something odd happened"}, build.Unknown},
		{build.Signs{Class: build.Quota, Retryable: ptr(true), Message: "access denied"}, build.Quota},
		{build.Signs{Retryable: ptr(true), Message: "access denied"}, build.Transient},
		{build.Signs{Retryable: ptr(false), Message: "timeout"}, build.Persistent},
		{build.Signs{Code: "VcpuLimitExceeded"}, build.Quota},
		{build.Signs{Message: "SkuNotAvailable in eastus"}, build.Quota},
		{build.Signs{Message: "Quota 'CPUS' exceeded"}, build.Quota},
		{build.Signs{Code: "RequestLimitExceeded"}, build.Transient},
		{build.Signs{Message: "ThrottlingException: Rate exceeded"}, build.Transient},
		{build.Signs{Message: "API rate limit exceeded"}, build.Transient},
		{build.Signs{Code: "InsufficientInstanceCapacity"}, build.Transient},
		{build.Signs{Message: "ZONE_RESOURCE_POOL_EXHAUSTED"}, build.Transient},
		{build.Signs{Code: "Server.SpotInstanceTermination"}, build.Transient},
		{build.Signs{Message: "The runner has received a shutdown signal."}, build.Transient},
		{build.Signs{Message: "dial tcp: connection refused"}, build.Transient},
		{build.Signs{Code: "PACKER_TIMEOUT"}, build.Transient},
		{build.Signs{Message: "Timeout waiting for SSH"}, build.Transient},
		{build.Signs{Type: "network_error"}, build.Transient},
		{build.Signs{Code: "UnauthorizedOperation"}, build.Persistent},
		{build.Signs{Message: "No space left on device"}, build.Persistent},
		{build.Signs{Message: "3 tests failed"}, build.Persistent},
		{build.Signs{Type: "validation_error"}, build.Persistent},
		{build.Signs{Message: "Unable to locate package nginx"}, build.Persistent},
		{build.Signs{Message: "needs 16GB has 8GB"}, build.Persistent},
		{build.Signs{ExitCode: ptr(137)}, build.Transient},
		{build.Signs{ExitCode: ptr(127)}, build.Persistent},
		{build.Signs{ExitCode: ptr(1)}, build.Unknown},
		{build.Signs{Message: "access denied", ExitCode: ptr(137)}, build.Persistent},
	} {
		if got := build.ClassOf(c.signs); got != c.want {
			t.Errorf("%+v: want %s, got %s", c.signs, c.want, got)
		}
	}
}
