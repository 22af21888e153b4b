package gateway

import (
	"encoding/base64"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"bldst/shared/manifest"
)

// A call is one request on its way to a function.
type call struct {
	r      *http.Request
	body   string
	target *manifest.Target
	values []string // of the path parameters, as they were sent
	id     string   // of the request
	at     time.Time
	stage  string
}

// account stands where an account number is expected.
const account = "000000000000"

// appendEvent appends the event in which a REST API hands c to a function
// (payload 1.0). The events are written by hand because encoding them by
// reflection would cost more than all the rest of a request; a test compares
// them with the types of aws-lambda-go.
func appendEvent(b []byte, c *call) []byte {
	path := c.r.URL.EscapedPath()
	b = appendString(append(b, `{"resource":`...), c.target.Resource)
	b = appendString(append(b, `,"path":`...), path)
	b = appendString(append(b, `,"httpMethod":`...), c.r.Method)
	b = appendHeaders(b, c.r)
	b = appendQuery(b, c.r.URL.RawQuery)
	b = appendParameters(append(b, `,"pathParameters":`...), c)
	b = append(b, `,"stageVariables":null`...)
	b = appendContext(append(b, `,"requestContext":`...), c, path)
	return append(appendBody(b, c.body), '}')
}

// appendHeaders appends the headers twice: the last value of each, and all.
// Host and the address of the caller are among them as on AWS.
func appendHeaders(b []byte, r *http.Request) []byte {
	forwarded, port := sourceIP(r), "443"
	if _, p, err := net.SplitHostPort(r.Host); err == nil {
		port = p
	}
	if before := r.Header.Get("X-Forwarded-For"); before != "" {
		forwarded = before + ", " + forwarded
	}
	added := [...][2]string{{"Host", r.Host}, {"X-Forwarded-For", forwarded}, {"X-Forwarded-Port", port}, {"X-Forwarded-Proto", "http"}}
	isAdded := func(name string) bool {
		return slices.ContainsFunc(added[:], func(h [2]string) bool { return h[0] == name })
	}
	one, all := append(b, `,"headers":{`...), make([]byte, 0, 1024)
	all = append(all, `},"multiValueHeaders":{`...)
	for _, h := range added {
		one = appendString(append(appendString(one, h[0]), ':'), h[1])
		all = appendStrings(append(appendString(all, h[0]), ':'), h[1:])
		one, all = append(one, ','), append(all, ',')
	}
	for name, values := range r.Header {
		if len(values) == 0 || isAdded(name) {
			continue
		}
		one = appendString(append(appendString(one, name), ':'), values[len(values)-1])
		all = appendStrings(append(appendString(all, name), ':'), values)
		one, all = append(one, ','), append(all, ',')
	}
	one = append(one[:len(one)-1], all[:len(all)-1]...)
	return append(one, '}')
}

// appendQuery appends the query twice, decoded; null when there is none.
func appendQuery(b []byte, raw string) []byte {
	query, _ := url.ParseQuery(raw) // what cannot be read is left out
	if len(query) == 0 {
		return append(b, `,"queryStringParameters":null,"multiValueQueryStringParameters":null`...)
	}
	b = append(b, `,"queryStringParameters":{`...)
	for name, values := range query {
		b = append(appendString(append(appendString(b, name), ':'), values[len(values)-1]), ',')
	}
	b = append(b[:len(b)-1], `},"multiValueQueryStringParameters":{`...)
	for name, values := range query {
		b = append(appendStrings(append(appendString(b, name), ':'), values), ',')
	}
	return append(b[:len(b)-1], '}')
}

func appendParameters(b []byte, c *call) []byte {
	if len(c.values) == 0 {
		return append(b, "null"...)
	}
	b = append(b, '{')
	for i, name := range c.target.Names() {
		value, err := url.PathUnescape(c.values[i])
		if err != nil {
			value = c.values[i]
		}
		b = append(appendString(append(appendString(b, name), ':'), value), ',')
	}
	return append(b[:len(b)-1], '}')
}

func appendContext(b []byte, c *call, path string) []byte {
	b = appendString(append(b, `{"accountId":"`+account+`","apiId":"local","resourceId":"local","protocol":"HTTP/1.1","resourcePath":`...), c.target.Resource)
	b = appendString(append(b, `,"httpMethod":`...), c.r.Method)
	b = appendString(append(b, `,"path":`...), path)
	b = appendString(append(b, `,"stage":`...), c.stage)
	b = appendString(append(b, `,"requestId":`...), c.id)
	b = appendString(append(b, `,"extendedRequestId":`...), c.id)
	b = appendString(append(b, `,"domainName":`...), c.r.Host)
	b = c.at.UTC().AppendFormat(append(b, `,"requestTime":"`...), "02/Jan/2006:15:04:05 -0700")
	b = strconv.AppendInt(append(b, `","requestTimeEpoch":`...), c.at.UnixMilli(), 10)
	b = appendString(append(b, `,"identity":{"sourceIp":`...), sourceIP(c.r))
	b = appendString(append(b, `,"userAgent":`...), c.r.UserAgent())
	return append(b, `}}`...)
}

// appendBody appends text as it is and everything else encoded.
func appendBody(b []byte, body string) []byte {
	switch {
	case len(body) == 0:
		return append(b, `,"body":null,"isBase64Encoded":false`...)
	case utf8.ValidString(body):
		return append(appendString(append(b, `,"body":`...), body), `,"isBase64Encoded":false`...)
	default:
		b = base64.StdEncoding.AppendEncode(append(b, `,"body":"`...), []byte(body))
		return append(b, `","isBase64Encoded":true`...)
	}
}

func sourceIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

func appendStrings(b []byte, values []string) []byte {
	b = append(b, '[')
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, v)
	}
	return append(b, ']')
}

// appendString appends s as a JSON string. Bytes that are not UTF-8 become the
// replacement character, as encoding/json does it.
func appendString(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				b = append(append(b, s[start:i]...), "\uFFFD"...)
				start = i + 1
			}
			i += size
			continue
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, `\n`...)
		default:
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
		i++
		start = i
	}
	return append(append(b, s[start:]...), '"')
}
