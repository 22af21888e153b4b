package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// An IntOrString is a number or a word: older callers send a state as its
// number, as the number in quotes, or as its name. The zero value is absent.
type IntOrString struct {
	Int  *int
	Word string
}

// IsSet reports whether there is a number or a word.
func (v IntOrString) IsSet() bool { return v.Int != nil || v.Word != "" }

// UnmarshalJSON accepts a whole number, a string, or null. A string of digits
// is a number.
func (v *IntOrString) UnmarshalJSON(b []byte) error {
	*v = IntOrString{}
	b = bytes.TrimSpace(b)
	if len(b) > 0 && b[0] == '"' {
		if err := json.Unmarshal(b, &v.Word); err != nil {
			return err
		}
		v.Word = strings.TrimSpace(v.Word)
		if n, err := strconv.Atoi(v.Word); err == nil {
			v.Int, v.Word = &n, ""
		}
		return nil
	}
	if string(b) == "null" {
		return nil
	}
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil || f != float64(int(f)) {
		return fmt.Errorf("expected a whole number or a name")
	}
	n := int(f)
	v.Int = &n
	return nil
}

// MarshalJSON writes what UnmarshalJSON reads.
func (v IntOrString) MarshalJSON() ([]byte, error) {
	if v.Int != nil {
		return json.Marshal(*v.Int)
	}
	if v.Word != "" {
		return json.Marshal(v.Word)
	}
	return []byte("null"), nil
}

// Schema implements huma.SchemaProvider.
func (IntOrString) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{OneOf: []*huma.Schema{{Type: huma.TypeInteger}, {Type: huma.TypeString, MaxLength: ptr(100)}}}
}

func ptr[T any](v T) *T { return &v }
