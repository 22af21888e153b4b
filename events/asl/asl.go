// Package asl holds the state machine that drives a build, in the Amazon
// States Language, and binds its placeholders. CDK deploys exactly this file,
// and localstack interprets it.
package asl

import (
	_ "embed"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

//go:embed build.asl.json
var source string

// Source returns the definition with its placeholders unbound.
func Source() string { return source }

// Placeholders says which function of functions/ stands for each placeholder.
var Placeholders = map[string]string{
	"OpenBuildFunction":     "open-build",
	"AwaitReportFunction":   "await-report",
	"RecordStallFunction":   "record-stall",
	"DecideFailureFunction": "decide-failure",
	"ResumeBuildFunction":   "resume-build",
}

var placeholder = regexp.MustCompile(`\$\{(\w+)\}`)

// Partition is the placeholder of the partition of AWS (aws, aws-us-gov, aws-cn),
// which is in the ARN of every integration.
const Partition = "Partition"

// Render returns the definition for a partition of AWS, with every placeholder
// of a function replaced by what arn returns for it. It fails when the definition
// names a placeholder that has no function, or a function has no ARN.
func Render(partition string, arn func(function string) string) (string, error) {
	var bad []string
	out := placeholder.ReplaceAllStringFunc(source, func(m string) string {
		name := m[2 : len(m)-1]
		value := ""
		if name == Partition {
			value = partition
		} else if f, ok := Placeholders[name]; ok {
			value = arn(f)
		}
		if value == "" {
			bad = append(bad, name)
		}
		return value
	})
	if len(bad) > 0 {
		slices.Sort(bad)
		return "", fmt.Errorf("build.asl.json: placeholder %s is not bound; known ones are %s", strings.Join(slices.Compact(bad), ", "),
			strings.Join(slices.Sorted(maps.Keys(Placeholders)), ", "))
	}
	return out, nil
}
