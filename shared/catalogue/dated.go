package catalogue

import (
	"time"

	"bldst/shared/resource"
)

// A Dated row says with start_date and end_date what Meta says with
// created_at and deactivated_at, for the callers that know those names.
type Dated struct {
	resource.Meta
	Name        string     `json:"name" required:"true" minLength:"1" maxLength:"50" pattern:"\\S" patternDescription:"more than blanks" example:"aws"`
	DisplayName string     `json:"display_name" required:"true" minLength:"1" maxLength:"100" pattern:"\\S" patternDescription:"more than blanks" example:"Amazon Web Services"`
	Description *string    `json:"description" maxLength:"500"`
	StartDate   time.Time  `json:"start_date"`
	EndDate     *time.Time `json:"end_date" doc:"Null until it is deleted."`
}

// Fill implements resource.Filler.
func (d *Dated) Fill() { d.StartDate, d.EndDate = d.CreatedAt, d.DeactivatedAt }

func (d *Dated) names() []string { return []string{d.Name} }
