package catalogue

import (
	"context"
	"fmt"

	"bldst/shared/problem"
	"bldst/shared/resource"
)

// An OSVersion is one release of an operating system.
type OSVersion struct {
	resource.Meta
	Name           string  `json:"name" required:"true" minLength:"1" maxLength:"50" pattern:"\\S" patternDescription:"more than blanks" example:"Red Hat Enterprise Linux"`
	Version        string  `json:"version" maxLength:"50" example:"9.3" doc:"Default: major_version.minor_version."`
	DisplayName    *string `json:"display_name" maxLength:"100"`
	OSFamily       *string `json:"os_family" maxLength:"50"`
	MajorVersion   *int    `json:"major_version" minimum:"0" maximum:"1000000"`
	MinorVersion   *int    `json:"minor_version" minimum:"0" maximum:"1000000"`
	DistributionID *string `json:"os_distribution_id" maxLength:"200"`
}

// OSVersions are unique by name and version together; many releases share a
// name.
var OSVersions = Kind[OSVersion, *OSVersion]{
	Resource: resource.Resource[OSVersion, *OSVersion]{
		Name: "os-version", Plural: "os-versions", Label: "OS version", Tag: "OS Versions",
		Example: osVersion("rhel-9.3", "Red Hat Enterprise Linux", "9.3"),
		Request: map[string]any{"name": "Red Hat Enterprise Linux", "version": "9.3"},
		Check:   func(_ context.Context, v *OSVersion) error { return v.complete() },
	},
	SlugID: true,
	Slug:   (*OSVersion).full,
	Unique: func(v *OSVersion) []string { return []string{v.Name + "@" + v.Version} },
	Shared: func(v *OSVersion) []string { return []string{v.Name, v.Name + " " + v.Version, v.full()} },
	Sort:   func(v *OSVersion) string { return v.Name + " " + v.Version },
	Base: []OSVersion{
		osVersion("rhel-8.8", "Red Hat Enterprise Linux", "8.8"),
		osVersion("rhel-9.2", "Red Hat Enterprise Linux", "9.2"),
		osVersion("ubuntu-20.04", "Ubuntu", "20.04"),
		osVersion("ubuntu-22.04", "Ubuntu", "22.04"),
	},
	Dev: []OSVersion{
		osVersion("rhel-8.9", "Red Hat Enterprise Linux", "8.9"),
		osVersion("rhel-9.3", "Red Hat Enterprise Linux", "9.3"),
		osVersion("ubuntu-22.10", "Ubuntu", "22.10"),
		osVersion("ubuntu-23.04", "Ubuntu", "23.04"),
		osVersion("centos-7", "CentOS", "7.9"),
		osVersion("sles-15", "SUSE Linux Enterprise Server", "15.4"),
	},
}

func (v *OSVersion) full() string { return v.Name + "-" + v.Version }

// complete makes the version of the numbers when it is not given.
func (v *OSVersion) complete() error {
	if v.Version != "" {
		return nil
	}
	if v.MajorVersion == nil || v.MinorVersion == nil {
		return problem.Missing("version")
	}
	v.Version = fmt.Sprintf("%d.%d", *v.MajorVersion, *v.MinorVersion)
	return nil
}

func osVersion(id, name, version string) OSVersion {
	return OSVersion{Meta: named(id), Name: name, Version: version}
}
