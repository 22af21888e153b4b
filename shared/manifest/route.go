package manifest

import "strings"

// A Router finds the resource of a path as API Gateway does: names go before
// {id}, {id} before {proxy+}, and the longest match wins.
type Router struct{ root node }

// A Target is where a path leads.
type Target struct {
	Function string
	Resource string   // "/builds/{id}/{proxy+}"
	names    []string // of the parameters, in order
}

type node struct {
	static map[string]*node
	param  *node
	target *Target // of the path that ends here
	greedy *Target // of everything below
}

// NewRouter returns a router for functions.
func NewRouter(functions []Function) *Router {
	r := &Router{}
	for _, f := range functions {
		for _, route := range f.Routes {
			r.add(f.Name, route)
		}
	}
	return r
}

func (r *Router) add(function, route string) {
	t := &Target{Function: function, Resource: route}
	n := &r.root
	for _, s := range segments(route) {
		if s == "{proxy+}" {
			t.names = append(t.names, "proxy")
			n.greedy = t
			return
		}
		n = n.child(s, t)
	}
	n.target = t
}

func (n *node) child(segment string, t *Target) *node {
	if segment[0] == '{' {
		t.names = append(t.names, strings.Trim(segment, "{}"))
		if n.param == nil {
			n.param = &node{}
		}
		return n.param
	}
	if n.static == nil {
		n.static = map[string]*node{}
	}
	if n.static[segment] == nil {
		n.static[segment] = &node{}
	}
	return n.static[segment]
}

// Find returns where the path leads, nil when nowhere, and the values of its
// parameters in the order of Target.Names. The path is encoded, and so are the
// values. A slash at its end does not count.
func (r *Router) Find(path string) (*Target, []string) {
	return r.root.find(strings.TrimPrefix(path, "/"), nil)
}

// Names returns the names of the parameters in t.Resource.
func (t *Target) Names() []string { return t.names }

func (n *node) find(path string, values []string) (*Target, []string) {
	if path == "" {
		return n.target, values
	}
	segment, rest, _ := strings.Cut(path, "/")
	if next := n.static[segment]; next != nil {
		if t, v := next.find(rest, values); t != nil {
			return t, v
		}
	}
	if n.param != nil && segment != "" {
		if t, v := n.param.find(rest, append(values, segment)); t != nil {
			return t, v
		}
	}
	if n.greedy != nil {
		return n.greedy, append(values, path)
	}
	return nil, nil
}

func segments(path string) []string {
	if path == "/" {
		return nil
	}
	return strings.Split(strings.TrimPrefix(path, "/"), "/")
}
