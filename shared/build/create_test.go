package build_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bldst/shared/build"
	"bldst/shared/problem"
)

func TestEveryGenerationOfANewBuild(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body string
		want build.Build
	}{
		"nothing at all": {`{}`, build.Build{ProjectID: "default"}},
		"the first": {`{"platform":"aws","os_version":"rhel-9.3","image_type":"base","build_id":"B1","pipeline_url":"https://ci","commit_hash":"abc"}`,
			build.Build{ProjectID: "default", PlatformID: "aws", OSVersionID: "rhel-9.3", ImageTypeID: "base", Number: "B1", PipelineURL: "https://ci", CommitHash: "abc"}},
		"the command line's": {`{"project_id":"p","platform_id":"a","os_version_id":"o","image_type_id":"i","build_number":"B1","created_by":"me","concourse_pipeline_url":"https://ci","concourse_job_name":"j"}`,
			build.Build{ProjectID: "p", PlatformID: "a", OSVersionID: "o", ImageTypeID: "i", Number: "B1", CreatedBy: "me", PipelineURL: "https://ci", JobName: "j"}},
		"the documented": {`{"project_id":"p","platform_id":"a","build_number":"B1","build_metadata":{"commit_sha":"abc"}}`,
			build.Build{ProjectID: "p", PlatformID: "a", Number: "B1", Metadata: json.RawMessage(`{"commit_sha":"abc"}`)}},
		"the routers'": {`{"project":"p","description":"d","metadata":{"a":1},"cloud_provider_id":"c","os_distribution_id":"d","image_variant_id":"v"}`,
			build.Build{ProjectID: "p", Description: "d", Metadata: json.RawMessage(`{"a":1}`), CloudProvider: "c", OSDistribution: "d", ImageVariant: "v"}},
		"the newer name goes first": {`{"project":"old","project_id":"new","platform":"old","platform_id":"new","build_id":"old","build_number":"new","metadata":{"o":1},"build_metadata":{"n":1}}`,
			build.Build{ProjectID: "new", PlatformID: "new", Number: "new", Metadata: json.RawMessage(`{"n":1}`)}},
		"null is absent": {`{"project_id":null,"build_metadata":null,"metadata":null,"build_number":null}`, build.Build{ProjectID: "default"}},
		"base and inputs": {`{"base":{"key":"rhel","digest":"sha256:1"},"inputs":{"ansible":"sha256:2"}}`,
			build.Build{ProjectID: "default", Base: &build.Base{Key: "rhel", Digest: "sha256:1"}, Inputs: map[string]string{"ansible": "sha256:2"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var in build.CreateIn
			if err := json.Unmarshal([]byte(c.body), &in); err != nil {
				t.Fatal(err)
			}
			got, err := in.Normalise()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got.Build); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNewBuildsThatAreRefused(t *testing.T) {
	t.Parallel()
	many := map[string]string{}
	for i := range build.MaxInputs + 1 {
		many[fmt.Sprint(i)] = "x"
	}
	for name, c := range map[string]struct {
		in   build.CreateIn
		want string
	}{
		"a number with a line break": {build.CreateIn{BuildNumber: "a\nb"}, "invalid build_number"},
		"too much metadata":          {build.CreateIn{Metadata: json.RawMessage(`"` + strings.Repeat("x", build.MaxMetadata) + `"`)}, "too_large"},
		"too many inputs":            {build.CreateIn{Inputs: many}, "invalid inputs"},
		"an input without a digest":  {build.CreateIn{Inputs: map[string]string{"a": ""}}, "invalid inputs"},
		"an input without a name":    {build.CreateIn{Inputs: map[string]string{"": "x"}}, "invalid inputs"},
	} {
		if _, err := c.in.Normalise(); refusal(err) != c.want {
			t.Errorf("%s: want %s, got %v", name, c.want, err)
		}
	}
}

func TestABuildWithoutANumberGetsOne(t *testing.T) {
	t.Parallel()
	var c build.Create
	c.Start("018d64e2-5a10-7c3e-9f52-1d2c3b4a5968", "ci", noon)
	if c.Number != "2026.03.04-3b4a5968" || c.CreatedBy != "ci" || c.Status != build.Pending || c.Attempt != 1 || c.Current != 0 || c.Rev != 1 {
		t.Errorf("%+v", c.Build)
	}
	c = build.Create{Build: build.Build{Number: "mine", CreatedBy: "me"}}
	if c.Start("id", "ci", noon); c.Number != "mine" || c.CreatedBy != "me" {
		t.Errorf("%+v", c.Build)
	}
}

func TestTheSameBuild(t *testing.T) {
	t.Parallel()
	have := &build.Build{ID: "b", Number: "n", ProjectID: "p", PlatformID: "a", OSVersionID: "o", ImageTypeID: "i"}
	for name, c := range map[string]struct {
		ask  build.Create
		same bool
	}{
		"all the same":                          {build.Create{Build: *have}, true},
		"what is not given does not matter":     {build.Create{Build: build.Build{PlatformID: "a"}}, true},
		"another platform":                      {build.Create{Build: build.Build{PlatformID: "x"}}, false},
		"another OS version":                    {build.Create{Build: build.Build{OSVersionID: "x"}}, false},
		"another image type":                    {build.Create{Build: build.Build{ImageTypeID: "x"}}, false},
		"another project":                       {build.Create{Build: build.Build{ProjectID: "x"}}, false},
		"the default project was not asked for": {build.Create{Build: build.Build{ProjectID: "x"}, NoProject: true}, true},
	} {
		if err := c.ask.Same(have); (err == nil) != c.same || err != nil && !problem.Is(err, problem.Conflict) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
