//go:build cdk

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigateway"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsxray"

	"bldst/shared/manifest"
)

// addAPI adds the REST API: every route of the manifest, each leading whole to
// its function, which knows methods, validates, authenticates and answers CORS.
// The API is one resource with a document, since each path and method as a
// resource of its own would be half of what a stack may have.
func (st *stack) addAPI() {
	body := st.apiDocument()
	rest := awsapigateway.NewCfnRestApi(st.Stack, s("Api"), &awsapigateway.CfnRestApiProps{
		Name: st.StackName(), Description: s("The build state API of stage " + st.Stage),
		EndpointConfiguration: &awsapigateway.CfnRestApi_EndpointConfigurationProperty{Types: list("REGIONAL")},
		Body:                  body,
		// A custom domain replaces the address of AWS, it is not a second door.
		DisableExecuteApiEndpoint: awsBool(st.Domain != ""),
	})
	st.apiID = rest.Ref()
	for _, f := range manifest.All {
		if len(f.Routes) > 0 {
			st.letCall(f)
		}
	}
	d := awsapigateway.NewCfnDeployment(st.Stack, s("Deployment"+fingerprint(body)), &awsapigateway.CfnDeploymentProps{RestApiId: st.apiID})
	st.addAPIStage(d)
	st.apiURL = fmt.Sprintf("https://%s.execute-api.%s.%s/%s", *st.apiID, *st.Region(), *st.UrlSuffix(), st.Stage)
}

// token is what stands for a value that CDK fills in; its number changes with
// anything that is added before.
var token = regexp.MustCompile(`\.\d+\]\}`)

// fingerprint tells documents apart: a deployment cannot be changed, so its
// name changes with the document, and with nothing else.
func fingerprint(body map[string]any) string {
	b, _ := json.Marshal(body) // of strings only
	sum := sha256.Sum256(token.ReplaceAll(b, nil))
	return hex.EncodeToString(sum[:6])
}

// apiDocument describes the API as API Gateway imports it.
func (st *stack) apiDocument() map[string]any {
	paths := map[string]any{}
	for _, f := range manifest.All {
		for _, route := range f.Routes {
			paths[route] = map[string]any{"x-amazon-apigateway-any-method": st.method(route, f)}
		}
	}
	return map[string]any{
		"openapi": "3.0.1", "info": map[string]any{"title": *st.StackName(), "version": "1"},
		"paths": paths, "x-amazon-apigateway-gateway-responses": st.gatewayAnswers(),
	}
}

// method is any method of a route. It asks for no credential: either of two
// headers is allowed, and the function looks, see shared/auth.
func (st *stack) method(route string, f manifest.Function) map[string]any {
	uri := fmt.Sprintf("arn:%s:apigateway:%s:lambda:path/2015-03-31/functions/%s/invocations", *st.Partition(), *st.Region(), *st.functions[f.Name].FunctionArn())
	m := map[string]any{
		"responses":                       map[string]any{},
		"x-amazon-apigateway-integration": map[string]any{"type": "aws_proxy", "httpMethod": "POST", "uri": uri, "passthroughBehavior": "when_no_match"},
	}
	var parameters []any
	for _, part := range strings.Split(route, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			parameters = append(parameters, map[string]any{"name": strings.TrimRight(name, "+}"), "in": "path", "required": true, "schema": map[string]any{"type": "string"}})
		}
	}
	if parameters != nil {
		m["parameters"] = parameters
	}
	return m
}

// letCall allows this API, and no other, to call f.
func (st *stack) letCall(f manifest.Function) {
	awslambda.NewCfnPermission(st.Stack, s(title(f.Name)+"Calls"), &awslambda.CfnPermissionProps{
		Action: s("lambda:InvokeFunction"), Principal: s("apigateway.amazonaws.com"), FunctionName: st.functions[f.Name].FunctionArn(),
		SourceArn: st.arn("execute-api", *st.apiID+"/*"),
	})
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

func (st *stack) addAPIStage(d awsapigateway.CfnDeployment) {
	group := awslogs.NewLogGroup(st.Stack, s("AccessLogs"), &awslogs.LogGroupProps{Retention: awslogs.RetentionDays(days(st.LogDays)), RemovalPolicy: st.keep()})
	st.stage = awsapigateway.NewCfnStage(st.Stack, s("Stage"), &awsapigateway.CfnStageProps{
		RestApiId: st.apiID, DeploymentId: d.Ref(), StageName: &st.Settings.Stage, TracingEnabled: yes,
		AccessLogSetting: &awsapigateway.CfnStage_AccessLogSettingProperty{DestinationArn: group.LogGroupArn(), Format: accessLog()},
		MethodSettings: []any{&awsapigateway.CfnStage_MethodSettingProperty{
			HttpMethod: s("*"), ResourcePath: s("/*"), MetricsEnabled: &st.Detailed, DataTraceEnabled: no, LoggingLevel: s("ERROR"),
			ThrottlingRateLimit: &st.Rate, ThrottlingBurstLimit: &st.Burst,
		}},
	})
	st.addSampling()
	if st.APILogRole {
		st.stage.AddDependency(st.addLogRole())
	}
}

// addSampling says which share of the requests X-Ray follows, into functions and
// what they call. Without it AWS follows one a second and a twentieth of the
// others, which for a few builds are nearly all.
func (st *stack) addSampling() {
	awsxray.NewCfnSamplingRule(st.Stack, s("Sampling"), &awsxray.CfnSamplingRuleProps{SamplingRule: &awsxray.CfnSamplingRule_SamplingRuleProperty{
		RuleName: st.StackName(), Priority: n(1000), Version: n(1), FixedRate: &st.Traced, ReservoirSize: n(0),
		ServiceType: s("AWS::ApiGateway::Stage"), ServiceName: s(*st.StackName() + "/" + st.Settings.Stage),
		Host: s("*"), HttpMethod: s("*"), UrlPath: s("*"), ResourceArn: s("*"),
	}})
}

// addLogRole sets the role with which API Gateway writes logs. There is one for
// an account and region: every stage sets it, and none takes it away.
func (st *stack) addLogRole() awsapigateway.CfnAccount {
	role := awsiam.NewRole(st.Stack, s("ApiLogRole"), &awsiam.RoleProps{
		AssumedBy:       awsiam.NewServicePrincipal(s("apigateway.amazonaws.com"), nil),
		Description:     s("Lets API Gateway write logs"),
		ManagedPolicies: &[]awsiam.IManagedPolicy{awsiam.ManagedPolicy_FromAwsManagedPolicyName(s("service-role/AmazonAPIGatewayPushToCloudWatchLogs"))},
	})
	role.ApplyRemovalPolicy(awscdk.RemovalPolicy_RETAIN)
	account := awsapigateway.NewCfnAccount(st.Stack, s("ApiAccount"), &awsapigateway.CfnAccountProps{CloudWatchRoleArn: role.RoleArn()})
	account.ApplyRemovalPolicy(awscdk.RemovalPolicy_RETAIN, nil)
	return account
}

// answers are what API Gateway itself answers with, by the kinds of problem
// that clients know.
var answers = []struct{ kind, code string }{
	{"DEFAULT_4XX", "refused"}, {"DEFAULT_5XX", "internal"}, {"THROTTLED", "unavailable"}, {"QUOTA_EXCEEDED", "unavailable"},
	{"REQUEST_TOO_LARGE", "too_large"}, {"INTEGRATION_TIMEOUT", "unavailable"}, {"WAF_FILTERED", "forbidden"},
}

// gatewayAnswers gives them the shape of all other answers, and lets the pages
// of the settings read them: a browser hides what it may not read, so a throttled
// page would see "network error".
func (st *stack) gatewayAnswers() map[string]any {
	out := map[string]any{}
	for _, g := range answers {
		body := fmt.Sprintf(`{"detail":$context.error.messageString,"code":"%s","request_id":"$context.requestId"}`, g.code)
		answer := map[string]any{"responseTemplates": map[string]any{"application/json": body}}
		if origin := st.origin(); origin != "" {
			answer["responseParameters"] = map[string]any{
				"gatewayresponse.header.Access-Control-Allow-Origin": origin, "gatewayresponse.header.Vary": "'Origin'",
			}
		}
		out[g.kind] = answer
	}
	return out
}

// origin is whom the answers of API Gateway itself allow to read them. It cannot
// choose from a list: for several origins it is the caller's own, whoever that
// is, which shows no more than that the API refuses.
func (st *stack) origin() string {
	switch {
	case st.Origins == "":
		return ""
	case strings.Contains(st.Origins, ","):
		return "method.request.header.Origin"
	default:
		return "'" + st.Origins + "'"
	}
}
