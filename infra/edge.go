//go:build cdk

package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigateway"
	"github.com/aws/aws-cdk-go/awscdk/v2/awswafv2"
)

// perAddress is how many requests one address may make in five minutes, and
// largest the bytes of a body that the firewall lets through.
const perAddress, largest = 20_000, 1 << 20

// A guard is a rule of the firewall.
type guard struct {
	name      string
	statement *awswafv2.CfnWebACL_StatementProperty
	managed   bool // brings its own actions
}

// addFirewall adds the web application firewall when the settings ask for it.
// Without it the functions refuse what is too large, and API Gateway throttles.
func (st *stack) addFirewall() {
	if !st.Firewall {
		return
	}
	acl := awswafv2.NewCfnWebACL(st.Stack, s("Firewall"), &awswafv2.CfnWebACLProps{
		Scope: s("REGIONAL"), DefaultAction: &awswafv2.CfnWebACL_DefaultActionProperty{Allow: &awswafv2.CfnWebACL_AllowActionProperty{}},
		VisibilityConfig: visible(*st.StackName()), Rules: rules(),
	})
	awswafv2.NewCfnWebACLAssociation(st.Stack, s("FirewallAssociation"), &awswafv2.CfnWebACLAssociationProps{
		WebAclArn:   acl.AttrArn(),
		ResourceArn: s(fmt.Sprintf("arn:%s:apigateway:%s::/restapis/%s/stages/%s", *st.Partition(), *st.Region(), *st.apiID, *st.stage.Ref())),
	})
}

func guards() []guard {
	return []guard{
		{"one-address", &awswafv2.CfnWebACL_StatementProperty{RateBasedStatement: &awswafv2.CfnWebACL_RateBasedStatementProperty{AggregateKeyType: s("IP"), Limit: n(perAddress)}}, false},
		// A size constraint looks at a header's own length, and at no more than the
		// first 16 KB of a body; so the number in the header is read by a pattern.
		{"large-body", &awswafv2.CfnWebACL_StatementProperty{RegexMatchStatement: &awswafv2.CfnWebACL_RegexMatchStatementProperty{
			RegexString:         s(above(largest)),
			FieldToMatch:        &awswafv2.CfnWebACL_FieldToMatchProperty{SingleHeader: map[string]string{"Name": "content-length"}},
			TextTransformations: []any{&awswafv2.CfnWebACL_TextTransformationProperty{Priority: n(0), Type: s("NONE")}},
		}}, false},
		{"known-bad-inputs", &awswafv2.CfnWebACL_StatementProperty{ManagedRuleGroupStatement: &awswafv2.CfnWebACL_ManagedRuleGroupStatementProperty{
			VendorName: s("AWS"), Name: s("AWSManagedRulesKnownBadInputsRuleSet")}}, true},
	}
}

// above returns a pattern of the decimal numbers greater than n.
func above(n int) string {
	digits := strconv.Itoa(n)
	longer := fmt.Sprintf(`[1-9]\d{%d,}`, len(digits))
	out := []string{longer}
	for i, d := range digits {
		if d < '9' {
			out = append(out, fmt.Sprintf(`%s[%c-9]\d{%d}`, digits[:i], d+1, len(digits)-i-1))
		}
	}
	return `^0*(` + strings.Join(out, "|") + `)$`
}

func rules() []any {
	var out []any
	for i, g := range guards() {
		r := &awswafv2.CfnWebACL_RuleProperty{Name: &g.name, Priority: n(float64(i)), Statement: g.statement, VisibilityConfig: visible(g.name)}
		if g.managed {
			r.OverrideAction = &awswafv2.CfnWebACL_OverrideActionProperty{None: map[string]any{}}
		} else {
			r.Action = &awswafv2.CfnWebACL_RuleActionProperty{Block: &awswafv2.CfnWebACL_BlockActionProperty{}}
		}
		out = append(out, r)
	}
	return out
}

func visible(name string) *awswafv2.CfnWebACL_VisibilityConfigProperty {
	return &awswafv2.CfnWebACL_VisibilityConfigProperty{MetricName: &name, CloudWatchMetricsEnabled: yes, SampledRequestsEnabled: yes}
}

// addDomain puts a name of the customer's own before the API when the settings
// have one. Its zone may be anywhere: a CNAME leads the name to the output
// DomainTarget.
func (st *stack) addDomain() {
	if st.Domain == "" {
		return
	}
	d := awsapigateway.NewCfnDomainName(st.Stack, s("Domain"), &awsapigateway.CfnDomainNameProps{
		DomainName: &st.Domain, RegionalCertificateArn: &st.Cert, SecurityPolicy: s("TLS_1_2"),
		EndpointConfiguration: &awsapigateway.CfnDomainName_EndpointConfigurationProperty{Types: list("REGIONAL")},
	})
	awsapigateway.NewCfnBasePathMapping(st.Stack, s("DomainMapping"), &awsapigateway.CfnBasePathMappingProps{DomainName: d.Ref(), RestApiId: st.apiID, Stage: st.stage.Ref()})
	awscdk.NewCfnOutput(st.Stack, s("DomainTarget"), &awscdk.CfnOutputProps{Value: d.AttrRegionalDomainName()})
	st.apiURL = "https://" + st.Domain
}
