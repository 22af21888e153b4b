package catalogue

import "bldst/shared/resource"

// An OSDistribution is a family of OS versions.
type OSDistribution struct{ Dated }

// OSDistributions are found by id or name.
var OSDistributions = Kind[OSDistribution, *OSDistribution]{
	Resource: resource.Resource[OSDistribution, *OSDistribution]{
		Name: "os-distribution", Plural: "os-distributions", Label: "OS Distribution", Tag: "OS Distributions",
		Example: OSDistribution{Dated{Name: "ubuntu", DisplayName: "Ubuntu"}},
		Request: map[string]any{"name": "ubuntu", "display_name": "Ubuntu"},
	},
	Unique: func(v *OSDistribution) []string { return v.names() },
	Sort:   func(v *OSDistribution) string { return v.Name },
}
