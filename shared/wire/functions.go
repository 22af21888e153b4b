package wire

import (
	"net/http"

	"bldst/shared/api"
	"bldst/shared/audit"
	"bldst/shared/auth"
	"bldst/shared/build"
	"bldst/shared/catalogue"
	"bldst/shared/dispatch"
	"bldst/shared/health"
	"bldst/shared/identity"
	"bldst/shared/project"
	"bldst/shared/store"
)

// The constructors, in the order of the manifest.

// Platforms serves platforms.
func Platforms(p Ports) http.Handler { return serve(p, noun(store.NounOf(catalogue.Platforms))) }

// OSVersions serves OS versions.
func OSVersions(p Ports) http.Handler { return serve(p, noun(store.NounOf(catalogue.OSVersions))) }

// ImageTypes serves image types.
func ImageTypes(p Ports) http.Handler { return serve(p, noun(store.NounOf(catalogue.ImageTypes))) }

// CloudProviders serves cloud providers.
func CloudProviders(p Ports) http.Handler {
	return serve(p, noun(store.NounOf(catalogue.CloudProviders)))
}

// OSDistributions serves OS distributions.
func OSDistributions(p Ports) http.Handler {
	return serve(p, noun(store.NounOf(catalogue.OSDistributions)))
}

// ImageVariants serves image variants.
func ImageVariants(p Ports) http.Handler {
	return serve(p, noun(store.NounOf(catalogue.ImageVariants)))
}

func noun(n store.Noun) part { return func(a *api.API, p Ports) { n.Mount(a, p.store()) } }

// Projects serves projects, the limits of their states, what each wants done
// about failures, and its CI.
func Projects(p Ports) http.Handler { return serve(p, projects) }

func projects(a *api.API, p Ports) {
	project.Mount(a, p.store().Projects())
	(&project.Service{Store: p.store()}).MountWindows(a)
	(&build.PolicyService{Store: p.store()}).MountPolicy(a)
	(&dispatch.Service{Store: p.store(), Allow: p.Outbound}).Mount(a)
}

// StateCodes serves the state codes of projects.
func StateCodes(p Ports) http.Handler { return serve(p, stateCodes) }

func stateCodes(a *api.API, p Ports) { (&project.Service{Store: p.store()}).MountCodes(a) }

// ResumableStates serves the resumable states of projects.
func ResumableStates(p Ports) http.Handler { return serve(p, resumableStates) }

func resumableStates(a *api.API, p Ports) { (&project.Service{Store: p.store()}).MountResumable(a) }

// Builds serves builds, their states, failures and history.
func Builds(p Ports) http.Handler { return serve(p, builds) }

func builds(a *api.API, p Ports) {
	s := p.store()
	(&build.Service{Store: s, Times: s, Now: p.Now}).Mount(a)
}

// Artifacts serves the artifacts of builds.
func Artifacts(p Ports) http.Handler { return serve(p, artifacts) }

func artifacts(a *api.API, p Ports) { (&build.ArtifactService{Store: p.store()}).Mount(a) }

// Files serves the files of artifacts.
func Files(p Ports) http.Handler { return serve(p, files) }

func files(a *api.API, p Ports) {
	s := p.store()
	(&build.FileService{Store: s, Reads: s, Bucket: p.Bucket, Now: p.Now}).Mount(a)
}

// Variables serves the variables of builds.
func Variables(p Ports) http.Handler { return serve(p, variables) }

func variables(a *api.API, p Ports) { (&build.VariableService{Store: p.store()}).Mount(a) }

// Resume serves resume plans and requests, heartbeats and cancellation, and the
// breakers of image lines.
func Resume(p Ports) http.Handler { return serve(p, resume) }

func resume(a *api.API, p Ports) {
	(&build.ResumeService{Store: p.store()}).Mount(a)
	(&build.PolicyService{Store: p.store()}).MountBreakers(a)
}

// Jobs serves the CI jobs of builds.
func Jobs(p Ports) http.Handler { return serve(p, jobs) }

func jobs(a *api.API, p Ports) { (&build.JobService{Store: p.store()}).Mount(a) }

// Users serves users and their API keys.
func Users(p Ports) http.Handler { return serve(p, users) }

func users(a *api.API, p Ports) { p.identity().MountUsers(a) }

// Auth serves the endpoints that answer with a JWT.
func Auth(p Ports) http.Handler { return serve(p, signIn) }

func signIn(a *api.API, p Ports) { p.identity().MountSignIn(a) }

func (p Ports) identity() *identity.Service {
	u := store.NewUsers(p.store())
	return &identity.Service{Users: u, Tokens: u, Attempts: u, Pause: p.SignInPause, Signer: p.Signer, Now: p.Now, NewID: p.NewID, NewKey: auth.NewKey, DevIDM: p.Development}
}

// Audit serves the audit trail.
func Audit(p Ports) http.Handler { return serveReading(p, trail) }

func trail(a *api.API, p Ports) { (&audit.Service{Trail: p.store()}).Mount(a) }

// Dashboard serves the counts of builds.
func Dashboard(p Ports) http.Handler { return serveReading(p, dashboard) }

func dashboard(a *api.API, p Ports) { (&build.Service{Store: p.store()}).MountDashboard(a) }

// Health serves /, /health, /ready, /status and every path nobody else serves.
func Health(p Ports) http.Handler {
	p = p.withDefaults()
	return Public(p, func(a *api.API) { healthy(a, p) })
}

func healthy(a *api.API, p Ports) {
	(&health.Service{Table: p.store(), Writable: p.Writable, Behind: p.Behind, Log: p.Log, Now: p.Now, Started: p.Now()}).Mount(a)
}

// A Function is a constructor with the name it has in the manifest.
type Function struct {
	Name    string
	Handler func(Ports) http.Handler
	mount   part
}

// Functions returns every function that serves HTTP but docs, whose pages are
// too large to be linked by accident: see Public. It is a function, not a
// variable, so that a binary that does not call it does not link them all.
func Functions() []Function {
	var out []Function
	for _, n := range store.Catalogue() {
		out = append(out, Function{n.Plural, func(p Ports) http.Handler { return serve(p, noun(n)) }, noun(n)})
	}
	return append(out, []Function{
		{"projects", Projects, projects},
		{"state-codes", StateCodes, stateCodes},
		{"resumable-states", ResumableStates, resumableStates},
		{"builds", Builds, builds},
		{"artifacts", Artifacts, artifacts},
		{"files", Files, files},
		{"variables", Variables, variables},
		{"resume", Resume, resume},
		{"jobs", Jobs, jobs},
		{"users", Users, users},
		{"auth", Auth, signIn},
		{"audit", Audit, trail},
		{"dashboard", Dashboard, dashboard},
		{"notifications", func(p Ports) http.Handler { return Notifications(p, nil) }, notifications},
		{"webhooks", func(p Ports) http.Handler { return Webhooks(p, nil) }, webhooks},
		{"metrics", Metrics, numbers},
		{"health", Health, healthy},
	}...)
}

// API returns an API with the endpoints of f that only describes them: there
// is nothing behind it.
func (f Function) API() *api.API {
	a := api.New(api.Options{})
	f.mount(a, Ports{}.withDefaults())
	return a
}

// Spec returns the OpenAPI document of every endpoint.
func Spec() ([]byte, error) {
	a := api.New(api.Options{})
	for _, f := range Functions() {
		f.mount(a, Ports{}.withDefaults())
	}
	return a.Spec()
}
