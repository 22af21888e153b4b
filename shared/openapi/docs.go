// Package openapi holds the OpenAPI document of the API and the two pages that
// show it. Everything is embedded: they work without a network. The document
// is generated from the code, see gen; a test fails when it has drifted.
package openapi

import (
	"compress/gzip"
	"context"
	_ "embed"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"

	"bldst/shared/api"
	"bldst/shared/problem"

	redoc "github.com/mvrilo/go-redoc"
	swagger "github.com/swaggest/swgui/v5/static"
)

//go:generate go run ./gen openapi.json

// JSON is the document.
//
//go:embed openapi.json
var JSON []byte

// Docs adds the document and the pages to a. The pages name everything
// relative to themselves, so that they work behind a stage, a base path or a
// proxy.
func Docs(a *api.API) {
	for _, page := range []string{"openapi.json", "docs", "redoc"} {
		api.Handle(a, operation("/"+page), func(_ context.Context, in *pageIn) (*file, error) {
			return open(page, in.IfNoneMatch)
		})
	}
	for _, folder := range []string{"docs", "redoc"} {
		api.Handle(a, operation("/"+folder+"/{file}"), func(_ context.Context, in *fileIn) (*file, error) {
			return open(in.File, in.IfNoneMatch)
		})
	}
}

func operation(route string) api.Op {
	return api.Op{ID: "docs" + route, Method: http.MethodGet, Path: route, Tag: "default", Summary: "Documentation"}
}

type pageIn struct {
	IfNoneMatch string `header:"If-None-Match"`
}

type fileIn struct {
	File        string `path:"file"`
	IfNoneMatch string `header:"If-None-Match"`
}

type file struct {
	Status       int
	ContentType  string `header:"Content-Type"`
	CacheControl string `header:"Cache-Control"`
	Policy       string `header:"Content-Security-Policy"`
	Frames       string `header:"X-Frame-Options"`
	Referrer     string `header:"Referrer-Policy"`
	ETag         string `header:"ETag"`
	Body         []byte
}

// files are what is served, and how.
var files = map[string]struct {
	contentType string
	content     func() ([]byte, error)
}{
	"openapi.json":         {"application/json", func() ([]byte, error) { return JSON, nil }},
	"docs":                 {html, func() ([]byte, error) { return []byte(swaggerPage), nil }},
	"redoc":                {html, func() ([]byte, error) { return []byte(redocPage), nil }},
	"redoc.js":             {script, func() ([]byte, error) { return []byte(redoc.JavaScript), nil }},
	"swagger-ui.css":       {"text/css; charset=utf-8", unpack("swagger-ui.css.gz")},
	"swagger-ui-bundle.js": {script, unpack("swagger-ui-bundle.js.gz")},
}

const (
	html   = "text/html; charset=utf-8"
	script = "text/javascript; charset=utf-8"
)

// unpack returns the content of a compressed asset. It is sent as text: an API
// Gateway passes binary bodies only where it was told to expect them.
func unpack(name string) func() ([]byte, error) {
	return func() ([]byte, error) {
		f, err := swagger.FS.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return io.ReadAll(z)
	}
}

// policy lets the pages load what is served beside them, talk to this API, and
// nothing else: they hold the reader's credential. Their own scripts and the
// styles of the viewers are inline.
const policy = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; " +
	"connect-src 'self'; worker-src blob:; base-uri 'self'; form-action 'none'; frame-ancestors 'none'"

func open(name, ifNoneMatch string) (*file, error) {
	out, err := load(name, ifNoneMatch)
	if err == nil {
		out.CacheControl, out.Policy, out.Frames, out.Referrer = "no-cache", policy, "DENY", "no-referrer"
	}
	return out, err
}

func load(name, ifNoneMatch string) (*file, error) {
	f, ok := files[name]
	if !ok {
		return nil, problem.New(problem.NotFound, "No such page. See /docs and /redoc.")
	}
	body, err := f.content()
	if err != nil {
		return nil, err
	}
	tag := fmt.Sprintf("\"%08x\"", crc32.ChecksumIEEE(body))
	if ifNoneMatch == tag {
		return &file{Status: http.StatusNotModified, ContentType: f.contentType, ETag: tag}, nil
	}
	return &file{Status: http.StatusOK, ContentType: f.contentType, ETag: tag, Body: body}, nil
}
