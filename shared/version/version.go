// Package version holds the one version of the product: of the command line,
// of the API and its document, and of the tag a release has (vNumber).
package version

// Number is the version, as semantic versioning has it.
const Number = "1.0.0"
