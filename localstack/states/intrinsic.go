package states

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// An expression is what stands behind a field whose name ends in ".$": a path,
// or a call of an intrinsic function whose arguments are expressions.
type expression struct {
	text    string
	path    *path        // a path
	literal value        // a constant argument
	call    *function    // a function
	args    []expression // its arguments
}

// A scope is what an expression may look at.
type scope struct {
	input   value
	context func() value
	uuid    func() string
}

// A function is one intrinsic function; most of -1 means any number of arguments.
type function struct {
	least, most int
	run         func(s scope, args []value) (value, error)
}

var functions = map[string]*function{
	"States.Format":         {1, -1, format},
	"States.StringToJson":   {1, 1, stringToJSON},
	"States.JsonToString":   {1, 1, func(_ scope, a []value) (value, error) { return string(encode(a[0])), nil }},
	"States.Array":          {0, -1, func(_ scope, a []value) (value, error) { return a, nil }},
	"States.ArrayPartition": {2, 2, arrayPartition},
	"States.ArrayContains":  {2, 2, arrayContains},
	"States.ArrayRange":     {3, 3, arrayRange},
	"States.ArrayGetItem":   {2, 2, arrayGetItem},
	"States.ArrayLength":    {1, 1, arrayLength},
	"States.ArrayUnique":    {1, 1, arrayUnique},
	"States.Base64Encode":   {1, 1, base64Encode},
	"States.Base64Decode":   {1, 1, base64Decode},
	"States.Hash":           {2, 2, hashOf},
	"States.JsonMerge":      {3, 3, jsonMerge},
	"States.MathRandom":     {2, 3, mathRandom},
	"States.MathAdd":        {2, 2, mathAdd},
	"States.StringSplit":    {2, 2, stringSplit},
	"States.UUID":           {0, 0, func(s scope, _ []value) (value, error) { return s.uuid(), nil }},
}

// eval returns the value of x in s. Where a path leads nowhere the error is a
// *missing.
func (x expression) eval(s scope) (value, error) {
	switch {
	case x.path != nil:
		return s.read(*x.path)
	case x.call == nil:
		return x.literal, nil
	}
	args := make([]value, len(x.args))
	for i, a := range x.args {
		v, err := a.eval(s)
		if err != nil {
			return nil, err
		}
		args[i] = v
	}
	v, err := x.call.run(s, args)
	if err != nil {
		return nil, fmt.Errorf("the function '%s' had the error: %w", x.text, err)
	}
	return v, nil
}

// missing says which path led nowhere.
type missing struct {
	path string
	in   value
}

func (m *missing) Error() string {
	return fmt.Sprintf("the JSONPath '%s' could not be found in the input '%s'", m.path, encode(m.in))
}

func (s scope) read(p path) (value, error) {
	doc := s.input
	if p.context {
		doc = s.context()
	}
	v, err := p.read(doc)
	if err != nil {
		return nil, &missing{p.text, doc}
	}
	return v, nil
}

// parseExpression reads a path or a call.
func parseExpression(text string) (expression, error) {
	if strings.HasPrefix(text, "$") {
		p, err := parsePath(text)
		return expression{text: text, path: &p}, err
	}
	if !strings.HasPrefix(text, "States.") {
		return expression{}, fmt.Errorf("%q is neither a JSONPath nor an intrinsic function", text)
	}
	r := &reader{rest: text}
	x, err := r.expression()
	if err == nil && strings.TrimSpace(r.rest) != "" {
		err = fmt.Errorf("unexpected %q", r.rest)
	}
	if err != nil {
		return x, fmt.Errorf("%q: %w", text, err)
	}
	return x, nil
}

// A reader reads the text of a call from left to right.
type reader struct{ rest string }

func (r *reader) expression() (expression, error) {
	r.rest = strings.TrimLeft(r.rest, " ")
	switch {
	case r.rest == "":
		return expression{}, errors.New("it ends too early")
	case r.rest[0] == '\'':
		return r.quoted()
	case r.rest[0] == '$':
		word := r.word(",)")
		p, err := parsePath(word)
		return expression{text: word, path: &p}, err
	case strings.HasPrefix(r.rest, "States."):
		return r.function()
	}
	word := r.word(",)")
	v, err := decode([]byte(word))
	if err != nil {
		return expression{}, fmt.Errorf("argument %q is neither a string in single quotes, a number, true, false, null, a JSONPath nor a function", word)
	}
	return expression{text: word, literal: v}, nil
}

// word takes everything up to one of stop outside of brackets.
func (r *reader) word(stop string) string {
	end, quote := 0, byte(0)
	for ; end < len(r.rest); end++ {
		c := r.rest[end]
		if quote == 0 && strings.IndexByte(stop, c) >= 0 {
			break
		}
		switch {
		case quote == c:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
		}
	}
	word := r.rest[:end]
	r.rest = r.rest[end:]
	return strings.TrimSpace(word)
}

// quoted takes a string in single quotes. The escapes of braces are left to
// States.Format, as \{ and \}.
func (r *reader) quoted() (expression, error) {
	var b strings.Builder
	for i := 1; i < len(r.rest); i++ {
		switch c := r.rest[i]; {
		case c == '\'':
			text := r.rest[:i+1]
			r.rest = r.rest[i+1:]
			return expression{text: text, literal: b.String()}, nil
		case c == '\\' && i+1 < len(r.rest):
			if i++; r.rest[i] != '\'' && r.rest[i] != '\\' {
				b.WriteByte('\\')
			}
			b.WriteByte(r.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	return expression{}, errors.New("a string in single quotes does not end")
}

func (r *reader) function() (expression, error) {
	all := r.rest
	name := r.word("(")
	call, known := functions[name]
	if !known {
		return expression{}, fmt.Errorf("there is no function %s", name)
	}
	if r.rest == "" {
		return expression{}, fmt.Errorf("%s has no arguments", name)
	}
	r.rest = r.rest[1:]
	args, err := r.arguments()
	if err != nil {
		return expression{}, err
	}
	if len(args) < call.least || call.most >= 0 && len(args) > call.most {
		return expression{}, fmt.Errorf("%s does not take %d arguments", name, len(args))
	}
	return expression{text: all[:len(all)-len(r.rest)], call: call, args: args}, nil
}

func (r *reader) arguments() ([]expression, error) {
	var args []expression
	if r.rest = strings.TrimLeft(r.rest, " "); strings.HasPrefix(r.rest, ")") {
		r.rest = r.rest[1:]
		return nil, nil
	}
	for {
		x, err := r.expression()
		if err != nil {
			return nil, err
		}
		args = append(args, x)
		r.rest = strings.TrimLeft(r.rest, " ")
		switch {
		case strings.HasPrefix(r.rest, ","):
			r.rest = r.rest[1:]
		case strings.HasPrefix(r.rest, ")"):
			r.rest = r.rest[1:]
			return args, nil
		default:
			return nil, fmt.Errorf("a comma or ) is missing before %q", r.rest)
		}
	}
}

func format(_ scope, args []value) (value, error) {
	text, ok := args[0].(string)
	if !ok {
		return nil, errors.New("the template is not a string")
	}
	var b strings.Builder
	rest := args[1:]
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text) && (text[i+1] == '{' || text[i+1] == '}'):
			i++
			b.WriteByte(text[i])
		case strings.HasPrefix(text[i:], "{}"):
			if len(rest) == 0 {
				return nil, errors.New("there are more {} than values")
			}
			if err := writeFormatted(&b, rest[0]); err != nil {
				return nil, err
			}
			rest = rest[1:]
			i++
		default:
			b.WriteByte(text[i])
		}
	}
	if len(rest) > 0 {
		return nil, errors.New("there are more values than {}")
	}
	return b.String(), nil
}

func writeFormatted(b *strings.Builder, v value) error {
	switch v := v.(type) {
	case string:
		b.WriteString(v)
	case json.Number, bool, nil:
		b.Write(encode(v))
	default:
		return errors.New("only strings, numbers, booleans and null can be formatted")
	}
	return nil
}

func stringToJSON(_ scope, args []value) (value, error) {
	text, ok := args[0].(string)
	if !ok {
		return nil, errors.New("the argument is not a string")
	}
	if text == "" {
		return nil, nil
	}
	return decode([]byte(text))
}

func list(v value) ([]any, error) {
	l, ok := v.([]any)
	if !ok {
		return nil, errors.New("the argument is not an array")
	}
	return l, nil
}

func arrayPartition(_ scope, args []value) (value, error) {
	l, err := list(args[0])
	size, ok := whole(args[1])
	if err != nil || !ok || size < 1 {
		return nil, errors.New("needs an array and a positive integer")
	}
	parts := []any{}
	for part := range slices.Chunk(l, int(min(size, maxPayload))) {
		parts = append(parts, part)
	}
	return parts, nil
}

func arrayContains(_ scope, args []value) (value, error) {
	l, err := list(args[0])
	return slices.ContainsFunc(l, func(x any) bool { return same(x, args[1]) }), err
}

func same(a, b value) bool {
	x, xNumber := a.(json.Number)
	y, yNumber := b.(json.Number)
	if xNumber && yNumber {
		return compareNumbers(x, y) == 0
	}
	return bytes.Equal(encode(a), encode(b))
}

func arrayRange(_ scope, args []value) (value, error) {
	first, ok1 := whole(args[0])
	last, ok2 := whole(args[1])
	by, ok3 := whole(args[2])
	if !ok1 || !ok2 || !ok3 || by == 0 {
		return nil, errors.New("needs three integers, the third not 0")
	}
	made := []any{}
	for n := first; by > 0 && n <= last || by < 0 && n >= last; n += by {
		if len(made) == 1000 {
			return nil, errors.New("more than 1000 elements")
		}
		made = append(made, number(n))
	}
	return made, nil
}

func number(n int64) json.Number { return json.Number(strconv.FormatInt(n, 10)) }

func arrayGetItem(_ scope, args []value) (value, error) {
	l, err := list(args[0])
	i, ok := whole(args[1])
	if err != nil || !ok || i < 0 || i >= int64(len(l)) {
		return nil, errors.New("needs an array and an index into it")
	}
	return l[i], nil
}

func arrayLength(_ scope, args []value) (value, error) {
	l, err := list(args[0])
	return number(int64(len(l))), err
}

func arrayUnique(_ scope, args []value) (value, error) {
	l, err := list(args[0])
	made := []any{}
	for _, x := range l {
		if !slices.ContainsFunc(made, func(y any) bool { return same(x, y) }) {
			made = append(made, x)
		}
	}
	return made, err
}

// longestText is the most the text functions take, in characters.
const longestText = 10000

func text(v value) (string, error) {
	s, ok := v.(string)
	if !ok || len(s) > longestText {
		return "", errors.New("needs a string of at most 10,000 characters")
	}
	return s, nil
}

func base64Encode(_ scope, args []value) (value, error) {
	s, err := text(args[0])
	return base64.StdEncoding.EncodeToString([]byte(s)), err
}

func base64Decode(_ scope, args []value) (value, error) {
	s, err := text(args[0])
	if err != nil {
		return nil, err
	}
	b, err := base64.StdEncoding.DecodeString(s)
	return string(b), err
}

var hashes = map[string]func() hash.Hash{
	"MD5": md5.New, "SHA-1": sha1.New, "SHA-256": sha256.New, "SHA-384": sha512.New384, "SHA-512": sha512.New,
}

func hashOf(_ scope, args []value) (value, error) {
	s, ok := args[0].(string)
	if !ok {
		s = string(encode(args[0]))
	}
	name, _ := args[1].(string)
	made, known := hashes[name]
	if !known || len(s) > longestText {
		return nil, errors.New("needs data of at most 10,000 characters and one of MD5, SHA-1, SHA-256, SHA-384, SHA-512")
	}
	h := made()
	h.Write([]byte(s))
	return hex.EncodeToString(h.Sum(nil)), nil
}

func jsonMerge(_ scope, args []value) (value, error) {
	a, ok1 := args[0].(object)
	b, ok2 := args[1].(object)
	if deep, ok3 := args[2].(bool); !ok1 || !ok2 || !ok3 || deep {
		return nil, errors.New("needs two objects and false (shallow)")
	}
	made := make(object, len(a)+len(b))
	for k, v := range a {
		made[k] = v
	}
	for k, v := range b {
		made[k] = v
	}
	return made, nil
}

func mathRandom(_ scope, args []value) (value, error) {
	start, ok1 := whole(args[0])
	end, ok2 := whole(args[1])
	if !ok1 || !ok2 || end <= start {
		return nil, errors.New("needs two integers, the first below the second")
	}
	draw := rand.Int64N
	if len(args) == 3 {
		seed, ok := whole(args[2])
		if !ok {
			return nil, errors.New("the seed is not an integer")
		}
		draw = rand.New(rand.NewPCG(uint64(seed), 0)).Int64N
	}
	return number(start + draw(end-start)), nil
}

func mathAdd(_ scope, args []value) (value, error) {
	a, ok1 := whole(args[0])
	b, ok2 := whole(args[1])
	if !ok1 || !ok2 || a > math.MaxInt32 || a < math.MinInt32 || b > math.MaxInt32 || b < math.MinInt32 {
		return nil, errors.New("needs two integers of 32 bits")
	}
	return number(a + b), nil
}

func stringSplit(_ scope, args []value) (value, error) {
	s, ok1 := args[0].(string)
	by, ok2 := args[1].(string)
	if !ok1 || !ok2 {
		return nil, errors.New("needs two strings")
	}
	made := []any{}
	for _, part := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(by, r) }) {
		made = append(made, part)
	}
	return made, nil
}
