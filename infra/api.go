//go:build cdk

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigateway"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"

	"bldst/shared/manifest"
)

// An api is the REST API while it is being put together.
type api struct {
	*stack
	rest      awsapigateway.CfnRestApi
	resources map[string]*string // ids, by path
	methods   []awsapigateway.CfnMethod
}

// addAPI adds the REST API: every route of the manifest, each leading whole to
// its function, which knows methods, validates, authenticates and answers CORS.
func (st *stack) addAPI() {
	a := &api{stack: st}
	a.rest = awsapigateway.NewCfnRestApi(st.Stack, s("Api"), &awsapigateway.CfnRestApiProps{
		Name: st.StackName(), Description: s("The build state API of stage " + st.Stage),
		EndpointConfiguration: &awsapigateway.CfnRestApi_EndpointConfigurationProperty{Types: list("REGIONAL")},
		// A custom domain replaces the address of AWS, it is not a second door.
		DisableExecuteApiEndpoint: awsBool(st.Domain != ""),
	})
	a.resources = map[string]*string{"/": a.rest.AttrRootResourceId()}
	st.apiID = a.rest.Ref()
	for _, f := range manifest.All {
		for _, route := range f.Routes {
			a.addMethod(route, st.functions[f.Name])
		}
		if len(f.Routes) > 0 {
			a.letCall(f)
		}
	}
	a.addStage(a.addDeployment())
	a.addAnswers()
	st.apiURL = fmt.Sprintf("https://%s.execute-api.%s.%s/%s", *st.apiID, *st.Region(), *st.UrlSuffix(), st.Stage)
}

// resource returns the id of the resource at path, which it adds with those
// above it when they are missing.
func (a *api) resource(path string) *string {
	if id := a.resources[path]; id != nil {
		return id
	}
	i := strings.LastIndex(path, "/")
	parent := a.resource(path[:max(i, 1)])
	r := awsapigateway.NewCfnResource(a.Stack, s("Path"+pathID(path)), &awsapigateway.CfnResourceProps{
		RestApiId: a.rest.Ref(), ParentId: parent, PathPart: s(path[i+1:]),
	})
	a.resources[path] = r.Ref()
	return r.Ref()
}

// pathID returns path as part of a logical id. An underscore is told apart from
// a hyphen.
func pathID(path string) string { return title(strings.ReplaceAll(path, "_", "/and/")) }

func (a *api) addMethod(route string, f awslambda.Function) {
	uri := fmt.Sprintf("arn:%s:apigateway:%s:lambda:path/2015-03-31/functions/%s/invocations", *a.Partition(), *a.Region(), *f.FunctionArn())
	m := awsapigateway.NewCfnMethod(a.Stack, s("Any"+pathID(route)), &awsapigateway.CfnMethodProps{
		RestApiId: a.rest.Ref(), ResourceId: a.resource(route), HttpMethod: s("ANY"),
		AuthorizationType: s("NONE"), // either of two headers is allowed: the function looks, see shared/auth
		Integration:       &awsapigateway.CfnMethod_IntegrationProperty{Type: s("AWS_PROXY"), IntegrationHttpMethod: s("POST"), Uri: &uri},
	})
	a.methods = append(a.methods, m)
}

// letCall allows this API, and no other, to call f.
func (a *api) letCall(f manifest.Function) {
	awslambda.NewCfnPermission(a.Stack, s(title(f.Name)+"Calls"), &awslambda.CfnPermissionProps{
		Action: s("lambda:InvokeFunction"), Principal: s("apigateway.amazonaws.com"), FunctionName: a.functions[f.Name].FunctionArn(),
		SourceArn: a.arn("execute-api", *a.rest.Ref()+"/*"),
	})
}

// addDeployment adds the deployment of exactly these routes: its name changes
// with them, since a deployment cannot be changed.
func (a *api) addDeployment() awsapigateway.CfnDeployment {
	var routes []string
	for _, f := range manifest.All {
		for _, r := range f.Routes {
			routes = append(routes, r+" "+f.Name)
		}
	}
	slices.Sort(routes)
	sum := sha256.Sum256([]byte(strings.Join(routes, "\n") + a.Domain))
	d := awsapigateway.NewCfnDeployment(a.Stack, s("Deployment"+hex.EncodeToString(sum[:6])), &awsapigateway.CfnDeploymentProps{RestApiId: a.rest.Ref()})
	for _, m := range a.methods {
		d.AddDependency(m)
	}
	return d
}

// accessLog is one line of JSON for each request. It has no query, no header
// and no body: those can hold credentials and what builds are about.
func accessLog() *string {
	b, _ := json.Marshal(map[string]string{
		"time": "$context.requestTime", "request_id": "$context.requestId", "trace": "$context.xrayTraceId", "ip": "$context.identity.sourceIp",
		"agent": "$context.identity.userAgent", "method": "$context.httpMethod", "path": "$context.path", "resource": "$context.resourcePath",
		"status": "$context.status", "bytes": "$context.responseLength", "ms": "$context.responseLatency", "function_ms": "$context.integrationLatency",
		"error": "$context.error.message",
	})
	return s(string(b))
}

func (a *api) addStage(d awsapigateway.CfnDeployment) {
	group := awslogs.NewLogGroup(a.Stack, s("AccessLogs"), &awslogs.LogGroupProps{Retention: awslogs.RetentionDays(days(a.LogDays)), RemovalPolicy: a.keep()})
	stage := awsapigateway.NewCfnStage(a.Stack, s("Stage"), &awsapigateway.CfnStageProps{
		RestApiId: a.rest.Ref(), DeploymentId: d.Ref(), StageName: &a.Settings.Stage, TracingEnabled: yes,
		AccessLogSetting: &awsapigateway.CfnStage_AccessLogSettingProperty{DestinationArn: group.LogGroupArn(), Format: accessLog()},
		MethodSettings: []any{&awsapigateway.CfnStage_MethodSettingProperty{
			HttpMethod: s("*"), ResourcePath: s("/*"), MetricsEnabled: yes, DataTraceEnabled: no, LoggingLevel: s("ERROR"),
			ThrottlingRateLimit: &a.Rate, ThrottlingBurstLimit: &a.Burst,
		}},
	})
	if a.APILogRole {
		stage.AddDependency(a.addLogRole())
	}
}

// addLogRole sets the role with which API Gateway writes logs. There is one for
// an account and region: every stage sets it, and none takes it away.
func (a *api) addLogRole() awsapigateway.CfnAccount {
	role := awsiam.NewRole(a.Stack, s("ApiLogRole"), &awsiam.RoleProps{
		AssumedBy:       awsiam.NewServicePrincipal(s("apigateway.amazonaws.com"), nil),
		Description:     s("Lets API Gateway write logs"),
		ManagedPolicies: &[]awsiam.IManagedPolicy{awsiam.ManagedPolicy_FromAwsManagedPolicyName(s("service-role/AmazonAPIGatewayPushToCloudWatchLogs"))},
	})
	role.ApplyRemovalPolicy(awscdk.RemovalPolicy_RETAIN)
	account := awsapigateway.NewCfnAccount(a.Stack, s("ApiAccount"), &awsapigateway.CfnAccountProps{CloudWatchRoleArn: role.RoleArn()})
	account.ApplyRemovalPolicy(awscdk.RemovalPolicy_RETAIN, nil)
	return account
}

// answers are what API Gateway itself answers with, by the kinds of problem
// that clients know.
var answers = []struct{ kind, code string }{
	{"DEFAULT_4XX", "refused"}, {"DEFAULT_5XX", "internal"}, {"THROTTLED", "unavailable"}, {"QUOTA_EXCEEDED", "unavailable"},
	{"REQUEST_TOO_LARGE", "too_large"}, {"INTEGRATION_TIMEOUT", "unavailable"}, {"WAF_FILTERED", "forbidden"},
}

// addAnswers gives the answers of API Gateway itself the shape of all others.
func (a *api) addAnswers() {
	for _, g := range answers {
		body := fmt.Sprintf(`{"detail":$context.error.messageString,"code":"%s","request_id":"$context.requestId"}`, g.code)
		awsapigateway.NewCfnGatewayResponse(a.Stack, s("Answer"+title(strings.ToLower(g.kind))), &awsapigateway.CfnGatewayResponseProps{
			RestApiId: a.rest.Ref(), ResponseType: s(g.kind), ResponseTemplates: map[string]string{"application/json": body},
		})
	}
}
