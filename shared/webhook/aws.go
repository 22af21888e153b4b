package webhook

import (
	"context"
	"encoding/json"
	"strings"

	"bldst/shared/auth"
)

// What AWS says of builds, on a topic or on a bus. Sources: EC2 Image Builder
// User Guide, "EventBridge integration"; CodeBuild User Guide, "Build
// notifications input format reference"; CloudWatch User Guide, alarms on SNS.

// The events of EventBridge that are about jobs.
const (
	ImageBuilderSource = "aws.imagebuilder"
	ImageBuilderChange = "EC2 Image Builder Image State Change"
	codeBuildSource    = "aws.codebuild"
	codeBuildChange    = "CodeBuild Build State Change"
)

// A BusEvent is an event of EventBridge.
type BusEvent struct {
	Source    string          `json:"source"`
	Type      string          `json:"detail-type"`
	Resources []string        `json:"resources"`
	Detail    json.RawMessage `json:"detail"`
}

// Notice returns the notice in e; false when e says nothing of jobs.
func (e BusEvent) Notice() (Notice, bool, error) {
	switch {
	case e.Source == ImageBuilderSource && e.Type == ImageBuilderChange && len(e.Resources) > 0:
		return e.image()
	case e.Source == codeBuildSource && e.Type == codeBuildChange:
		return e.codeBuild()
	}
	return Notice{}, false, nil
}

// Take tells jobs what e says. An event may come twice and too late.
func Take(ctx context.Context, jobs Jobs, e BusEvent) error {
	n, about, err := e.Notice()
	if err != nil || !about {
		return err
	}
	_, err = jobs.Tell(auth.WithRequest(ctx, &auth.Request{Caller: &auth.Caller{Username: n.Platform, Credential: "webhook"}}), n)
	return err
}

// image returns what became of an image, which is a job by its ARN.
func (e BusEvent) image() (Notice, bool, error) {
	var d struct {
		State struct {
			Status string `json:"status"`
			Reason string `json:"reason"`
		} `json:"state"`
	}
	if err := read(e.Detail, &d); err != nil {
		return Notice{}, false, err
	}
	const platform = "image-builder"
	n := Notice{Platform: platform, Run: e.Resources[0], Word: d.State.Status, Reason: d.State.Reason}
	for _, arn := range e.Resources[:min(len(e.Resources), 5)] {
		n.Places = append(n.Places, Place{Platform: platform, ID: arn})
	}
	return n, true, nil
}

// codeBuild returns what became of a build of CodeBuild. Its ARN ends in the
// id that the build itself sees in CODEBUILD_BUILD_ID.
func (e BusEvent) codeBuild() (Notice, bool, error) {
	var d struct {
		Status string `json:"build-status"`
		ARN    string `json:"build-id"`
		More   struct {
			Logs struct {
				Link string `json:"deep-link"`
			} `json:"logs"`
			Phases []struct {
				Type    string   `json:"phase-type"`
				Status  string   `json:"phase-status"`
				Context []string `json:"phase-context"`
			} `json:"phases"`
		} `json:"additional-information"`
	}
	if err := read(e.Detail, &d); err != nil {
		return Notice{}, false, err
	}
	const platform = "codebuild"
	_, id, _ := strings.Cut(d.ARN, ":build/")
	n := Notice{Platform: platform, Run: d.ARN, Word: d.Status, URL: d.More.Logs.Link, Places: []Place{{Platform: platform, ID: d.ARN}, {Platform: platform, ID: id}}}
	for _, p := range d.More.Phases {
		if p.Status != "" && p.Status != "SUCCEEDED" {
			n.Reason = strings.TrimSpace("The phase " + p.Type + " ended as " + p.Status + ". " + strings.Join(p.Context, " "))
			break
		}
	}
	return n, true, nil
}

// An alarm is what CloudWatch says of one.
type alarm struct {
	Name    string `json:"AlarmName"`
	State   string `json:"NewStateValue"`
	Reason  string `json:"NewStateReason"`
	Trigger struct {
		Dimensions []struct {
			Name  string `json:"name"`
			Value string `json:"value"`
		} `json:"Dimensions"`
	} `json:"Trigger"`
}

// failure returns the failure of the build that a dimension of the alarm names;
// false when none does, or when it is not on.
func (a alarm) failure() (Failure, bool) {
	if a.Name == "" || a.State != "ALARM" {
		return Failure{}, false
	}
	for _, d := range a.Trigger.Dimensions {
		if name := strings.ToLower(d.Name); (name == "build_id" || name == "buildid") && d.Value != "" {
			return Failure{BuildID: d.Value, Reason: "The alarm " + a.Name + " is on. " + a.Reason, Code: "CLOUDWATCH_ALARM", Metadata: json.RawMessage(`{"ci_platform":"cloudwatch"}`)}, true
		}
	}
	return Failure{}, false
}

// A content is what is in a message, one of them.
type content struct {
	notice  *Notice
	failure *Failure
	warn    []string
}

// contentOf returns what a message says; nothing when it is about no build.
func contentOf(message []byte) (content, error) {
	var kind struct {
		BusEvent
		alarm
		Event   string          `json:"event"`
		BuildID json.RawMessage `json:"build_id"`
	}
	if json.Unmarshal(message, &kind) != nil {
		return content{}, nil // a text for people
	}
	n, about, err := kind.Notice()
	if err != nil || about {
		return content{notice: &n}, err
	}
	if f, about := kind.alarm.failure(); about {
		return content{failure: &f}, nil
	}
	if kind.Event == "build.failed" || kind.Event == "" && len(kind.BuildID) > 0 {
		f, warnings, err := parse(message)
		return content{failure: &f, warn: warnings}, err
	}
	return content{}, nil
}
