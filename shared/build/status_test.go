package build_test

import (
	"reflect"
	"strings"
	"testing"

	"bldst/shared/build"
)

func TestTheDocumentNamesEveryStatus(t *testing.T) {
	t.Parallel()
	var want []string
	for _, s := range build.Statuses {
		want = append(want, string(s))
	}
	for _, v := range []any{build.View{}, build.StateView{}} {
		f, _ := reflect.TypeOf(v).FieldByName("Status")
		if got := f.Tag.Get("enum"); got != strings.Join(want, ",") {
			t.Errorf("%T has enum:%q, want %q; change its tag in view.go", v, got, strings.Join(want, ","))
		}
	}
}
