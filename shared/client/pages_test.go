package client

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestListFollowsTheLinks(t *testing.T) {
	t.Parallel()
	for name, link := range map[string]string{
		"relative to the request":           `<?cursor=c2&limit=3>; rel="next"`,
		"absolute path with the stage":      `</dev/builds?cursor=c2&limit=3>; rel=next`,
		"absolute path without the stage":   `</builds?cursor=c2&limit=3>; title="a, <b>"; rel="prev next"`,
		"whole URL without the stage":       `<ORIGIN/builds?cursor=c2&limit=3>; rel="next"`,
		"second of several links in a list": `</x>; rel="first", <?cursor=c2&limit=3>; rel="next"`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := func(w http.ResponseWriter, r *http.Request) {
				answer(200, `[1,2]`, "Link", strings.ReplaceAll(link, "ORIGIN", "http://"+r.Host))(w, r)
			}
			s, log := serve(t, first, answer(200, `[3,4]`))
			c, _ := newClient(t, Options{BaseURL: s.URL + "/dev", APIKey: "k"})
			items, more, err := c.List(t.Context(), "/builds", nil, 3)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff([]json.RawMessage{[]byte("1"), []byte("2"), []byte("3")}, items); d != "" {
				t.Error(d)
			}
			if !more {
				t.Error("more = false, want true: the fourth item was left out")
			}
			want := []string{"/dev/builds?limit=3", "/dev/builds?cursor=c2&limit=3"}
			if d := cmp.Diff(want, uris(*log)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestListOfAll(t *testing.T) {
	t.Parallel()
	s, log := serve(t, answer(200, `[]`, "Link", `<?cursor=2>; rel="next"`), answer(200, `[{"a":1.10}]`))
	c, _ := newClient(t, Options{BaseURL: s.URL})
	items, more, err := c.List(t.Context(), "/x", nil, 0)
	if err != nil || more || len(items) != 1 || string(items[0]) != `{"a":1.10}` {
		t.Errorf("items %s, more %v, err %v; want the one item as it was sent", items, more, err)
	}
	if d := cmp.Diff([]string{"/x", "/x?cursor=2"}, uris(*log)); d != "" {
		t.Error(d)
	}
}

func TestListAsksForAtMostAPage(t *testing.T) {
	t.Parallel()
	s, log := serve(t, answer(200, `[1]`))
	c, _ := newClient(t, Options{BaseURL: s.URL})
	if _, more, err := c.List(t.Context(), "/x", nil, 5000); err != nil || more {
		t.Errorf("more %v, err %v", more, err)
	}
	if d := cmp.Diff([]string{"/x?limit=1000"}, uris(*log)); d != "" {
		t.Error(d)
	}
}

func TestListRefusesLinksThatLeadAstray(t *testing.T) {
	t.Parallel()
	other, otherLog := serve(t, answer(200, `[]`))
	for name, test := range map[string]struct{ link, want string }{
		"another host":  {`<` + other.URL + `/x?cursor=2>; rel="next"`, "leads to another host"},
		"the same page": {`<?>; rel="next"`, "leads to the same page"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := serve(t, answer(200, `[1]`, "Link", test.link))
			c, _ := newClient(t, Options{BaseURL: s.URL, APIKey: "secret"})
			_, _, err := c.List(t.Context(), "/x", nil, 0)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("err = %v, want %q", err, test.want)
			}
			if len(*otherLog) != 0 {
				t.Errorf("another host was called: %+v", *otherLog)
			}
		})
	}
}

func uris(log []seen) []string {
	var out []string
	for _, s := range log {
		out = append(out, s.URI)
	}
	return out
}
