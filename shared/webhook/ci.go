package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"bldst/shared/build"
	"bldst/shared/problem"
)

// A Notice is what a CI itself says of one of its jobs, in its own webhook.
type Notice struct {
	Platform string      // as jobs name it: github-actions, gitlab-ci, codebuild ...
	Places   []Place     // by which the job may have been registered; the first two are its own, the others those of its run
	Name     string      // of the job, "" when the notice is about all jobs of a run
	Run      string      // the id of the job, and which try of it
	Word     string      // how it is going, in the CI's word
	Reason   string      // why it failed, in the CI's words
	Class    build.Class // of the failure, when the CI's word tells
	URL      string
}

// A Place is where a job is registered: its address, or its id in a CI.
type Place struct{ URL, Platform, ID string }

// Told is what became of a notice for one build.
type Told struct {
	BuildID string          `json:"build_id"`
	JobID   string          `json:"job_id,omitempty"`
	Job     build.JobStatus `json:"job_status,omitempty"`
	Status  build.Status    `json:"status" doc:"Of the build."`
	Failed  bool            `json:"failed" doc:"This notice failed the build."`
	Known   bool            `json:"known" doc:"It was told before; this changed nothing."`
}

// Change says what n changes of a job and of its build: the status of the job,
// and a failure when the job has died while its build was being worked on in
// the job's attempt. That a job succeeded completes nothing: only who did the
// work knows what was done. It reports whether the build failed; a nil entry
// means that nothing changed, as when the CI sends a notice again.
func (n Notice) Change(j *build.Job, b *build.Build, rules build.Rules, now time.Time) (*build.Entry, bool, error) {
	m, known := build.ParseWord(n.Word)
	if !known || !n.mine(j) {
		return nil, false, nil
	}
	moved := j.CompletedAt == nil && j.Status != m.Job
	if moved {
		if err := (build.JobPatch{Status: n.Word}).Apply(j, now); err != nil {
			return nil, false, err
		}
	}
	died := m.Job == build.JobFailed || m.Job == build.JobAborted && !m.Skips
	switch {
	case died && j.Attempt == b.Attempt && (b.Status == build.Pending || b.Status == build.InProgress):
		e, err := b.Fail(n.failure(j), rules, now)
		return &e, true, err
	case moved:
		e, err := build.NewEntry(build.JobChanged, j)
		return &e, false, err
	}
	return nil, false, nil
}

// mine reports whether n is about j. What is said of one job of a run is not
// said of the run, nor of its other jobs.
func (n Notice) mine(j *build.Job) bool {
	if n.Name == "" || strings.EqualFold(n.Name, j.Name) || strings.HasPrefix(n.Name, j.Name+" (") {
		return true
	}
	for _, own := range PlacesOf(j) {
		if own != "" && (own == n.Places[0].At() || own == n.Places[1].At()) {
			return true
		}
	}
	return false
}

// PlacesOf returns the keys by which j is found, "" for what it does not say.
func PlacesOf(j *build.Job) [2]string {
	var at [2]string
	if j.URL != nil {
		at[0] = Place{URL: *j.URL}.At()
	}
	if j.JobID != nil {
		at[1] = Place{Platform: j.Platform, ID: *j.JobID}.At()
	}
	return at
}

// failure returns the failure of the build whose job has died.
func (n Notice) failure(j *build.Job) build.FailureIn {
	class := n.Class
	m, _ := build.ParseWord(n.Word)
	switch {
	case class != "":
	case m.Job == build.JobAborted: // a build that was to be cancelled is cancelled, whatever the class
		class = build.Transient
	case m.Class != "":
		class = m.Class
	default:
		class, _ = build.Classify(build.Signs{Message: n.Reason})
	}
	message := "The job " + j.Name + " of " + n.Platform + " ended as " + n.Word + " before the build did."
	if n.Reason != "" {
		message += " " + n.Reason
	}
	details, _ := json.Marshal(map[string]any{"job_url": n.URL, "run": n.Run, "told_by": n.Platform}) // of texts
	return build.FailureIn{ErrorMessage: clip(message, 4000), Component: n.Platform, FailureClass: string(class), FailureType: "ci_job", ErrorDetails: details}
}

func clip(s string, n int) string { return strings.ToValidUTF8(s[:min(len(s), n)], "") }

// ends are the parts of addresses that lead from a run to one of its tries or
// jobs, and to pages about it.
var ends = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(/[^/]+/[^/]+/actions/runs/\d+)(/.*)?$`)
})

// At returns the keys by which a job is found: of its address, without what
// differs between two ways to write it, and of its id in its CI. It is "" for
// what was not given.
func (p Place) At() string {
	if p.URL == "" {
		if p.ID == "" {
			return ""
		}
		return "id#" + family(p.Platform) + "#" + p.ID
	}
	u, err := url.Parse(p.URL)
	if err != nil || u.Host == "" {
		return ""
	}
	path := strings.TrimRight(u.EscapedPath(), "/")
	if m := ends().FindStringSubmatch(path); m != nil {
		path = m[1]
	}
	return "url#" + strings.ToLower(u.Host) + path
}

// family returns the CI a platform is, however it is written.
func family(platform string) string {
	platform = strings.ToLower(platform)
	joined := strings.NewReplacer("-", "", "_", "", " ", "").Replace(platform)
	for _, f := range []string{"github", "gitlab", "imagebuilder", "codebuild"} {
		if strings.Contains(joined, f) {
			return f
		}
	}
	return platform
}

// A Jobs finds jobs by what their CI calls them.
type Jobs interface {
	// Tell lets n change every job that is registered at one of its places,
	// with its build, each in one transaction.
	Tell(ctx context.Context, n Notice) ([]Told, error)
}

// signedByGitHub checks X-Hub-Signature-256, the HMAC of the body.
func signedByGitHub(secrets []string, header string, body []byte) error {
	got, err := hex.DecodeString(strings.TrimPrefix(header, "sha256="))
	for _, s := range secrets {
		h := hmac.New(sha256.New, []byte(s))
		h.Write(body)
		if err == nil && s != "" && hmac.Equal(got, h.Sum(nil)) {
			return nil
		}
	}
	return refused(secrets, "X-Hub-Signature-256 does not fit: give GitHub the secret of WEBHOOK_SECRET")
}

// signedByGitLab checks X-Gitlab-Token, the secret itself.
func signedByGitLab(secrets []string, header string) error {
	for _, s := range secrets {
		if s != "" && subtle.ConstantTimeCompare([]byte(s), []byte(header)) == 1 {
			return nil
		}
	}
	return refused(secrets, "X-Gitlab-Token does not fit: give GitLab the secret of WEBHOOK_SECRET")
}

func refused(secrets []string, why string) error {
	if len(secrets) == 0 {
		return problem.New(problem.Unauthorized, "No secret for webhooks is configured here; set WEBHOOK_SECRET.")
	}
	return problem.New(problem.Unauthorized, "The webhook is refused: %s.", why)
}

func read(body []byte, doc any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	if err := d.Decode(doc); err != nil {
		return &problem.Problem{Kind: problem.Invalid, Fields: []problem.Field{{Loc: []any{"body"}, Type: "json_invalid",
			Msg: "Not the JSON of this event; the content type of the webhook must be application/json: " + err.Error()}}}
	}
	return nil
}
