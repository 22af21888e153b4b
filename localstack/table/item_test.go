package table

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	port "bldst/shared/table"
)

func TestItemsSurviveTheirEncoding(t *testing.T) {
	t.Parallel()
	text := rapid.StringN(1, 20, 60)
	items := rapid.Custom(func(t *rapid.T) port.Item {
		it := port.Item{
			Key: port.Key{PK: "p", SK: "s"}, Rev: rapid.Int64().Draw(t, "rev"), Deleted: rapid.Bool().Draw(t, "deleted"),
			Expires: rapid.Int64Min(0).Draw(t, "expires"), Doc: rapid.SliceOfN(rapid.Byte(), 1, 50).Draw(t, "doc"),
		}
		for i := range it.Index {
			if rapid.Bool().Draw(t, "indexed") {
				it.Index[i] = port.IndexKey{PK: text.Draw(t, "pk"), SK: text.Draw(t, "sk")}
			}
		}
		return it
	})
	rapid.Check(t, func(t *rapid.T) {
		want := items.Draw(t, "item")
		got, err := decodeItem(want.Key, encodeItem(&want))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, *got); diff != "" {
			t.Fatalf("item (-want +got):\n%s", diff)
		}
	})
}

// FuzzItem decodes bytes from anywhere: it must not panic, and what it accepts
// must survive being encoded again.
func FuzzItem(f *testing.F) {
	full := port.Item{Rev: 300, Deleted: true, Expires: 9, Doc: []byte(`{}`), Index: [2]port.IndexKey{{PK: "a", SK: "b"}, {PK: "c", SK: "d"}}}
	f.Add(encodeItem(&full))
	f.Add(encodeItem(&port.Item{Doc: []byte(`1`)}))
	f.Add([]byte{1, 0xff, 0x80})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		it, err := decodeItem(port.Key{}, b)
		if err != nil {
			return
		}
		again, err := decodeItem(port.Key{}, encodeItem(it))
		if err != nil || !reflect.DeepEqual(it, again) {
			t.Fatalf("item is %+v after another turn, error %v; want %+v", again, err, it)
		}
	})
}

// FuzzChange is FuzzItem for the records of the log.
func FuzzChange(f *testing.F) {
	f.Add(encodeChange(change{key: []byte("p\x00s"), old: []byte("old"), new: []byte("new")}))
	f.Add([]byte{0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeChange(b)
		if err != nil {
			return
		}
		again, err := decodeChange(encodeChange(c))
		if err != nil || !bytes.Equal(c.key, again.key) || !bytes.Equal(c.old, again.old) || !bytes.Equal(c.new, again.new) {
			t.Fatalf("change is %q after another turn, error %v; want %q", again, err, c)
		}
	})
}
