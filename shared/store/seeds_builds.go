package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"bldst/shared/api"
	"bldst/shared/build"
	"bldst/shared/problem"
)

// A seedBuild is one build of the development data.
type seedBuild struct {
	platform, os, image string
	code                int
	status              build.Status
	message             string
	failure             *build.FailureIn
}

var seedBuilds = []seedBuild{
	{"aws-commercial", "rhel-8.8", "base", 100, build.Completed, "Build completed successfully", nil},
	{"aws-commercial", "ubuntu-20.04", "hana", 100, build.Completed, "Build completed successfully", nil},
	{"azure", "rhel-9.2", "appserver", 60, build.Failed, "", &build.FailureIn{ErrorMessage: "Application deployment failed: missing dependencies libssl, libcrypto",
		ErrorCode: "APP_DEPLOY_001", Component: "app-deployment", ErrorDetails: json.RawMessage(`{"missing":["libssl","libcrypto"]}`)}},
	{"gcp", "ubuntu-22.04", "base", 100, build.Completed, "Build completed successfully", nil},
	{"aws-govcloud", "rhel-8.8", "openvpn", 45, build.InProgress, "Build in progress", nil},
	{"aws-commercial", "ubuntu-20.04", "webserver", 100, build.Completed, "Build completed successfully", nil},
	{"azure", "rhel-9.2", "database", 55, build.Failed, "", &build.FailureIn{ErrorMessage: "Database installation failed: needs 16GB of memory, has 8GB",
		ErrorCode: "DB_INSTALL_001", Component: "database-setup", ErrorDetails: json.RawMessage(`{"required":"16GB","available":"8GB"}`)}},
	{"gcp", "ubuntu-22.04", "cache", 100, build.Completed, "Build completed successfully", nil},
	{"aws-commercial", "centos-7", "monitoring", 0, build.Pending, "Queued", nil},
	{"azure", "sles-15", "security", 30, build.Cancelled, "Cancelled by user", nil},
}

// SeedBuilds stores the builds of the development data, after the reference
// rows they name. Builds that exist are left alone.
func (s *Store) SeedBuilds(ctx context.Context) error {
	begin := s.now().Add(-time.Duration(len(seedBuilds)) * time.Hour)
	for i, sb := range seedBuilds {
		id := fmt.Sprintf("build-%03d", i+1)
		if _, err := s.Build(ctx, id, true); err == nil || !problem.Is(err, problem.NotFound) {
			if err != nil {
				return err
			}
			continue
		}
		if err := s.seedBuild(ctx, id, i, sb, begin.Add(time.Duration(i)*time.Hour)); err != nil {
			return fmt.Errorf("seed %s: %w", id, err)
		}
	}
	return nil
}

func (s *Store) seedBuild(ctx context.Context, id string, n int, sb seedBuild, at time.Time) error {
	ids := s.NewID
	past := &Store{Table: s.Table, Now: func() time.Time { return at }, NewID: func() string {
		given := id
		if given == "" {
			given = ids()
		}
		id = ""
		return given
	}}
	ref := id
	c, err := build.CreateIn{PlatformID: sb.platform, OSVersionID: sb.os, ImageTypeID: sb.image, BuildNumber: fmt.Sprintf("BUILD-2024-%03d", n+1),
		PipelineURL: fmt.Sprintf("https://pipeline.company.com/builds/%d", 12345+n), CreatedBy: "seed"}.Normalise()
	if err != nil {
		return err
	}
	if _, err := past.CreateBuild(ctx, c); err != nil {
		return err
	}
	for code := min(5, sb.code); code <= sb.code; code += 5 {
		status := build.Completed
		if code == sb.code {
			status = sb.status
		}
		if status == build.Failed {
			break
		}
		at = at.Add(2 * time.Minute)
		if err := past.seedReport(ctx, ref, code, status, sb.message); err != nil {
			return err
		}
	}
	if sb.failure == nil {
		return nil
	}
	at = at.Add(2 * time.Minute)
	in := *sb.failure
	in.StateCode = api.IntOrString{Int: &sb.code}
	_, _, err = past.ChangeBuild(ctx, ref, func(b *build.Build, rules build.Rules, now time.Time) (build.Entry, error) {
		return b.Fail(in, rules, now)
	})
	return err
}

func (s *Store) seedReport(ctx context.Context, ref string, code int, status build.Status, message string) error {
	if status == build.Completed && code != build.LastState {
		message = ""
	}
	_, _, err := s.ChangeBuild(ctx, ref, func(b *build.Build, rules build.Rules, now time.Time) (build.Entry, error) {
		r, err := build.ReportIn{StateCode: api.IntOrString{Int: &code}, Status: string(status), Message: message}.Normalise(b.Current, rules)
		if err != nil {
			return build.Entry{}, err
		}
		b.Cancelling = status == build.Cancelled // somebody asked for it
		e, err := b.Advance(r, rules, now)
		b.Deadline = nil // nobody works on it: it never takes too long
		return e, err
	})
	return err
}
