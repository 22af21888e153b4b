package build

import "bldst/shared/failure"

// A Class says what kind of failure it is, which decides what happens next.
// The rules are in package failure.
type Class = failure.Class

// The classes.
const (
	Transient   = failure.Transient
	Persistent  = failure.Persistent
	Quota       = failure.Quota
	Stalled     = failure.Stalled
	TimedOut    = failure.TimedOut
	Aborted     = failure.Aborted
	NothingDone = failure.NothingDone
	Unknown     = failure.Unknown
)

// Classes lists every class.
var Classes = failure.Classes

// Signs are what a failure says of itself.
type Signs = failure.Signs

// Classify returns the class of a failure and the reason; see
// failure.Classify.
func Classify(s Signs) (Class, string) { return failure.Classify(s) }

// ClassOf returns the class of a failure.
func ClassOf(s Signs) Class {
	c, _ := failure.Classify(s)
	return c
}
