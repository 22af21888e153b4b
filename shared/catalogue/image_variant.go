package catalogue

import "bldst/shared/resource"

// An ImageVariant is a flavour of an image type.
type ImageVariant struct{ Dated }

// ImageVariants are found by id or name.
var ImageVariants = Kind[ImageVariant, *ImageVariant]{
	Resource: resource.Resource[ImageVariant, *ImageVariant]{
		Name: "image-variant", Plural: "image-variants", Label: "Image Variant", Tag: "Image Variants",
		Example: ImageVariant{Dated{Name: "hardened", DisplayName: "Hardened Image"}},
		Request: map[string]any{"name": "hardened", "display_name": "Hardened Image"},
	},
	Unique: func(v *ImageVariant) []string { return v.names() },
	Sort:   func(v *ImageVariant) string { return v.Name },
}
