package states

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// A value is what encoding/json makes of a document, with every number kept as
// it was written (json.Number). Values are never changed in place.
type value = any

// object is a JSON object.
type object = map[string]any

// maxPayload is the most a state may take or give, in bytes.
const maxPayload = 262144

// decode reads one JSON document; numbers stay as written.
func decode(raw []byte) (value, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v value
	if err := d.Decode(&v); err != nil {
		return nil, jsonFault(raw, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON document")
	}
	return v, nil
}

// encode writes v without escaping what only HTML minds.
func encode(v value) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("encode a JSON value: %v", err)) // values come from decode
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// decodeStrict reads one JSON object, refusing a key that is there twice.
func decodeStrict(raw []byte) (value, error) {
	if !utf8.Valid(raw) {
		return nil, errors.New("not valid UTF-8")
	}
	v, err := decode(raw)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	return v, duplicates(d, "")
}

// A duplicate is a key that is twice in its object, with the way to it.
type duplicate string

func (d duplicate) Error() string { return string(d) + " is there twice" }

// ofState reports whether it is the name of a state of a definition.
func (d duplicate) ofState() bool {
	name, inStates := strings.CutPrefix(string(d), "States.")
	return inStates && !strings.Contains(name, ".")
}

// duplicates walks the next value of d and names the first key that is twice
// in its object.
func duplicates(d *json.Decoder, path string) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	open, nested := token.(json.Delim)
	if !nested {
		return nil
	}
	seen := map[string]bool{}
	for i := 0; d.More(); i++ {
		at := fmt.Sprintf("%s[%d]", path, i)
		if open == '{' {
			key, err := d.Token()
			if err != nil {
				return err
			}
			name := key.(string)
			if at = path + "." + name; seen[name] {
				return duplicate(at[1:])
			}
			seen[name] = true
		}
		if err := duplicates(d, at); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// whole returns n as an integer when it is one: 3, 3.0 and 3e0 are.
func whole(v value) (int64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	if i, err := n.Int64(); err == nil {
		return i, true
	}
	f, err := n.Float64()
	if err != nil || f != float64(int64(f)) || f > 1<<53 || f < -(1<<53) {
		return 0, false
	}
	return int64(f), true
}

// compareNumbers orders two numbers as AWS does, as double precision.
func compareNumbers(a, b json.Number) int {
	f, _ := a.Float64()
	g, _ := b.Float64()
	return cmp.Compare(f, g)
}
