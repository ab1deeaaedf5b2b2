package dot

import (
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// Marshal returns a graph in the DOT language. It returns an error that names
// the option if an option does not fit the graph.
func Marshal(g *gorgonia.ExprGraph, opts ...Option) ([]byte, error) {
	o := &options{}
	for _, opt := range opts {
		opt(o)
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	if g == nil {
		return nil, errors.New("dot: the graph is nil")
	}
	vs := read(g, o)
	if o.forwardOnly {
		vs = forwardPart(vs)
	}
	place(vs)
	if o.elide {
		hide(vs)
	}
	p, err := newPage(vs, o)
	if err != nil {
		return nil, err
	}
	return p.write(), nil
}

// forwardPart returns the vertices that are not of the backward pass.
func forwardPart(vs []*vertex) []*vertex {
	moved := make(map[int]int, len(vs))
	var kept []*vertex
	for i, v := range vs {
		if !v.backward {
			moved[i] = len(kept)
			kept = append(kept, v)
		}
	}
	renumber := func(of []int) (to []int) {
		for _, k := range of {
			if at, ok := moved[k]; ok {
				to = append(to, at)
			}
		}
		return to
	}
	for _, v := range kept {
		v.in, v.out = renumber(v.in), renumber(v.out)
	}
	return kept
}

// hide omits nodes that compute nothing, except the results of a graph and
// nodes that have been named.
func hide(vs []*vertex) {
	for _, v := range vs {
		if v.trivial() {
			v.hidden = v.kind == constant || len(v.in) > 0 && (len(v.out) > 0 || v.name == "")
		}
	}
	for _, v := range vs {
		v.hidden = v.hidden || v.countsPieces(vs)
	}
}

// countsPieces reports whether v is a sum of trivial operations in the backward
// pass: Gorgonia adds up whatever flows into a value, also the gradients of the
// pieces that it was taken apart into, which stand for themselves.
func (v *vertex) countsPieces(vs []*vertex) bool {
	if !v.backward || v.kind != operation || v.label != "+" || v.name != "" {
		return false
	}
	for _, k := range v.in {
		_, says := vs[k].node.Op().(interface{ Trivial() bool })
		if !(says && vs[k].hidden) && !vs[k].countsPieces(vs) {
			return false
		}
	}
	return true
}
