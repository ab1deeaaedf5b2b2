package nodes

import "strings"

// Trivial reports that the operation computes nothing: it is a view, takes numbers
// apart or puts them together. Whoever draws a graph may leave it out; see
// package dot.
func (o *op) Trivial() bool {
	switch name := strings.TrimSuffix(o.name, "'"); name {
	case "part", "put", "fork", "reshape", "pick", "stack":
		return true
	default:
		return strings.HasPrefix(name, "t=")
	}
}
