package dot

import "gorgonia.org/gorgonia"

// markBackward finds the nodes that gorgonia.Grad added. What has a gradient is
// forward, and what has a name without depending on a gradient, and what these
// are computed of. Of the rest, backward is what depends on a gradient, what
// only the backward pass reads, and what Grad left over: nodes without a name
// that were added between the first gradient and the last.
func markBackward(vs []*vertex, index map[*gorgonia.Node]int) {
	depends := make([]bool, len(vs)) // on a gradient
	for i, v := range vs {
		depends[i] = v.kind == operation && derivative(v, index)
		for _, k := range v.in {
			depends[i] = depends[i] || depends[k]
		}
	}
	forward := make([]bool, len(vs))
	var mark func(i int)
	mark = func(i int) {
		if forward[i] {
			return
		}
		forward[i] = true
		for _, k := range vs[i].in {
			mark(k)
		}
	}
	for i, v := range vs {
		if v.node.Deriv() != nil && len(v.node.DerivOf()) == 0 || v.name != "" && v.kind == operation && !depends[i] {
			mark(i)
		}
	}
	first, last := len(vs), -1
	for i, v := range vs {
		v.backward = depends[i] && !forward[i]
		if v.backward || v.kind == constant && derivative(v, index) {
			first, last = min(first, i), i
		}
	}
	for i := first; i <= last; i++ {
		v := vs[i]
		v.backward = v.backward || !forward[i] && v.name == "" && (v.kind == operation || v.kind == constant)
	}
	for i := len(vs) - 1; i >= 0; i-- {
		v := vs[i]
		if forward[i] || v.kind == parameter || v.kind == input || len(v.out) == 0 {
			continue
		}
		all := true
		for _, k := range v.out {
			all = all && vs[k].backward
		}
		v.backward = v.backward || all
	}
}

// derivative reports whether v is the gradient of a node of its graph.
func derivative(v *vertex, index map[*gorgonia.Node]int) bool {
	for _, of := range v.node.DerivOf() {
		if _, ok := index[of]; ok {
			return true
		}
	}
	return false
}
