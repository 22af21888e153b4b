package api

import (
	"reflect"

	"github.com/danielgtaylor/huma/v2"
)

// An Optional is a parameter that may be absent, which its zero value does not
// tell.
type Optional[T any] struct {
	Value T
	IsSet bool
}

// Receiver implements huma.ParamWrapper.
func (o *Optional[T]) Receiver() reflect.Value { return reflect.ValueOf(o).Elem().Field(0) }

// OnParamSet implements huma.ParamReactor.
func (o *Optional[T]) OnParamSet(isSet bool, _ any) { o.IsSet = isSet }

// Schema implements huma.SchemaProvider.
func (o Optional[T]) Schema(r huma.Registry) *huma.Schema {
	return huma.SchemaFromType(r, reflect.TypeFor[T]())
}

// Get returns the value, nil when it is absent.
func (o Optional[T]) Get() *T {
	if !o.IsSet {
		return nil
	}
	return &o.Value
}
