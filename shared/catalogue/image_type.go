package catalogue

import "bldst/shared/resource"

// An ImageType is a purpose of images: a plain system, a database server.
type ImageType struct {
	resource.Meta
	Name        string  `json:"name" required:"true" minLength:"1" maxLength:"50" pattern:"\\S" patternDescription:"more than blanks" example:"base"`
	Description *string `json:"description" maxLength:"500"`
	DisplayName *string `json:"display_name" maxLength:"100"`
	VariantID   *string `json:"image_variant_id" maxLength:"200"`
}

// ImageTypes are found by id or name. The development data has two of one
// name, which no caller can make.
var ImageTypes = Kind[ImageType, *ImageType]{
	Resource: resource.Resource[ImageType, *ImageType]{
		Name: "image-type", Plural: "image-types", Label: "Image type", Tag: "Image Types",
		Example: imageType("base", "Base Image", "Basic OS installation"),
		Request: map[string]any{"name": "Base Image", "description": "Basic OS installation"},
	},
	SlugID: true,
	Unique: func(t *ImageType) []string {
		if t.ID == twin || t.ID == "hana" {
			return nil
		}
		return []string{t.Name}
	},
	Shared: func(t *ImageType) []string { return []string{t.Name} },
	Sort:   func(t *ImageType) string { return t.Name },
	Base: []ImageType{
		imageType("base", "Base Image", "Basic OS installation"),
		imageType("hana", "Database Server", "Database server optimized image"),
		imageType("appserver", "Application Server", "Application server image"),
		imageType("openvpn", "OpenVPN", "VPN server image"),
	},
	Dev: []ImageType{
		imageType("webserver", "Web Server", "Web server image"),
		imageType(twin, "Database Server", "Database server image"),
		imageType("cache", "Cache Server", "Cache server image"),
		imageType("monitoring", "Monitoring", "Monitoring image"),
		imageType("security", "Security Tools", "Security tools image"),
	},
}

// twin is the id of the row that shares its name with hana.
const twin = "database"

func imageType(id, name, description string) ImageType {
	return ImageType{Meta: named(id), Name: name, Description: ptr(description)}
}
