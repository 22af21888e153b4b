package catalogue

import "bldst/shared/resource"

// A CloudProvider is who runs platforms.
type CloudProvider struct{ Dated }

// CloudProviders are found by id or name.
var CloudProviders = Kind[CloudProvider, *CloudProvider]{
	Resource: resource.Resource[CloudProvider, *CloudProvider]{
		Name: "cloud-provider", Plural: "cloud-providers", Label: "Cloud Provider", Tag: "Cloud Providers",
		Example: CloudProvider{Dated{Name: "aws", DisplayName: "Amazon Web Services"}},
		Request: map[string]any{"name": "aws", "display_name": "Amazon Web Services"},
	},
	Unique: func(v *CloudProvider) []string { return v.names() },
	Sort:   func(v *CloudProvider) string { return v.Name },
}
