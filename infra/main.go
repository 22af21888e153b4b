//go:build cdk

// Command infra is the CDK app that deploys bldst to AWS. It needs Node (CDK
// runs there) and the functions in dist/; `make synth` has both.
//
// Everything is ranged over shared/manifest, events/asl and events/rules.go: a
// new function, route, state or rule needs no change here. The build tag keeps
// CDK out of `go build ./...` on a machine that has only Go.
package main

import (
	"fmt"
	"os"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

func main() {
	defer jsii.Close()
	app := awscdk.NewApp(&awscdk.AppProps{AnalyticsReporting: no, TreeMetadata: no})
	settings, err := settingsOf(app)
	if err == nil {
		_, err = newStack(app, settings)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "infra:", err)
		os.Exit(1)
	}
	app.Synth(nil)
}

// Values as CDK wants them.
var (
	s       = jsii.String
	n       = jsii.Number[float64]
	yes, no = jsii.Bool(true), jsii.Bool(false)
)

// list returns the strings as CDK wants them.
func list(v ...string) *[]*string { return jsii.Strings(v...) }
