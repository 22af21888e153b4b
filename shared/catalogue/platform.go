package catalogue

import "bldst/shared/resource"

// A Platform is a place where images are built: a cloud and a region of it.
type Platform struct {
	resource.Meta
	Name          string  `json:"name" required:"true" minLength:"1" maxLength:"50" pattern:"\\S" patternDescription:"more than blanks" example:"aws-commercial"`
	CloudProvider string  `json:"cloud_provider" required:"true" minLength:"1" maxLength:"50" pattern:"\\S" patternDescription:"more than blanks" example:"aws"`
	Region        *string `json:"region" maxLength:"50" example:"us-east-1"`
	DisplayName   *string `json:"display_name" maxLength:"100"`
}

// Platforms are found by id or name.
var Platforms = Kind[Platform, *Platform]{
	Resource: resource.Resource[Platform, *Platform]{
		Name: "platform", Plural: "platforms", Label: "Platform", Tag: "Platforms",
		Example: platform("aws-commercial", "AWS Commercial", "aws", "us-east-1"),
		Request: map[string]any{"name": "aws-commercial", "cloud_provider": "aws", "region": "us-east-1"},
	},
	SlugID: true,
	Unique: func(p *Platform) []string { return []string{p.Name} },
	Sort:   func(p *Platform) string { return p.Name },
	Base: []Platform{
		platform("aws-commercial", "AWS Commercial", "aws", "us-east-1"),
		platform("aws-govcloud", "AWS GovCloud", "aws", "us-gov-east-1"),
		platform("azure", "Azure Commercial", "azure", "eastus"),
		platform("gcp", "Google Cloud Platform", "gcp", "us-central1"),
		platform("openstack", "OpenStack", "openstack", "region1"),
	},
	Dev: []Platform{
		platform("aws-china", "AWS China", "aws", "cn-north-1"),
		platform("azure-gov", "Azure Government", "azure", "usgovvirginia"),
		platform("gcp-europe", "Google Cloud Europe", "gcp", "europe-west1"),
		platform("oci", "Oracle Cloud", "oci", "us-ashburn-1"),
	},
}

func platform(id, name, provider, region string) Platform {
	return Platform{Meta: named(id), Name: name, CloudProvider: provider, Region: ptr(region)}
}
