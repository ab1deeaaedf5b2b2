package nodes

import "strings"

// Trivial reports that the operation computes nothing: it is a view, takes numbers
// apart or puts them together. Whoever draws a graph may leave it out; see
// package dot.
func (o *op) Trivial() bool {
	switch o.name {
	case "put", "reshape", "pick", "pick'", "stack":
		return true
	}
	return o.view != nil || strings.HasPrefix(o.name, "t=")
}
