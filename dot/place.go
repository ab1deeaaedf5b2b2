package dot

import "gorgonia.org/gorgonia"

// place puts every vertex into a box. A name with dots says which; an operation
// without a name goes where it is needed.
func place(vs []*vertex) {
	scopes := make(map[string]bool)
	for _, v := range vs {
		if p := parent(v.name); p != "" {
			for _, box := range levels(p) {
				scopes[box] = true
			}
		}
	}
	placed := make([]bool, len(vs))
	for i, v := range vs {
		if v.name == "" || v.kind == constant || v.backward {
			continue
		}
		// An operation of a layer has the layer's name, a value has its own.
		if v.kind == operation && scopes[v.name] {
			v.home = v.name
		} else {
			v.home = parent(v.name)
		}
		placed[i] = true
	}
	placeByReaders(vs, placed)
	placeByInputs(vs, placed)
	placeBackward(vs)
	placeConstants(vs)
}

// placeByReaders places operations without a name in the box that holds all of
// the named ones that they work for, as far as there are any.
func placeByReaders(vs []*vertex, placed []bool) {
	for i := len(vs) - 1; i >= 0; i-- {
		v := vs[i]
		if placed[i] || v.kind != operation || v.backward {
			continue
		}
		for _, k := range v.out {
			if !placed[k] || vs[k].backward {
				continue
			}
			if v.home = common(v.home, vs[k].home); !placed[i] {
				v.home = vs[k].home
			}
			placed[i] = true
		}
		scope, ok := parameterScope(vs, v)
		if both := common(v.home, scope); ok && placed[i] && (v.home == "" || both != v.home && both != scope) {
			v.home = scope
		}
	}
}

// placeByInputs places the operations that are left with their parameters, or
// with what they read.
func placeByInputs(vs []*vertex, placed []bool) {
	for i, v := range vs {
		if placed[i] || v.kind != operation || v.backward {
			continue
		}
		if scope, ok := parameterScope(vs, v); ok {
			v.home = scope
			continue
		}
		v.home = commonHome(vs, v.in, func(u *vertex) bool { return u.kind != constant })
	}
}

// parameterScope returns the box of the parameters that v reads.
func parameterScope(vs []*vertex, v *vertex) (string, bool) {
	scope := commonHome(vs, v.in, func(u *vertex) bool { return u.kind == parameter })
	return scope, scope != ""
}

// commonHome returns the box that holds the given vertices that count.
func commonHome(vs []*vertex, of []int, counts func(*vertex) bool) string {
	home, first := "", true
	for _, k := range of {
		switch {
		case !counts(vs[k]):
		case first:
			home, first = vs[k].home, false
		default:
			home = common(home, vs[k].home)
		}
	}
	return home
}

// placeBackward places the nodes of the backward pass with the operations that
// they differentiate: what reads a parameter, or is the gradient of one, belongs
// where the parameter is, and what reads the gradient of an operation's result
// belongs to that operation.
func placeBackward(vs []*vertex) {
	index := make(map[*gorgonia.Node]int, len(vs))
	for i, v := range vs {
		index[v.node] = i
	}
	differentiated := func(v *vertex) (of []int) {
		for _, n := range v.node.DerivOf() {
			if k, ok := index[n]; ok {
				of = append(of, k)
			}
		}
		return of
	}
	all := func(*vertex) bool { return true }
	placed := make([]bool, len(vs))
	for i, v := range vs {
		if !v.backward || v.kind != operation {
			continue
		}
		var params, inputs, results, seeds []int
		for _, k := range append(differentiated(v), v.in...) {
			if vs[k].kind == parameter {
				params = append(params, k)
			}
		}
		for _, k := range v.in {
			switch u := vs[k]; {
			case u.backward && u.kind == operation:
				inputs, results = append(inputs, k), append(results, differentiated(u)...)
			case u.kind == constant:
				seeds = append(seeds, differentiated(u)...)
			}
		}
		for _, of := range [][]int{params, results, seeds, differentiated(v), inputs} {
			if len(of) > 0 {
				v.home, placed[i] = commonHome(vs, of, all), true
				break
			}
		}
	}
	for i := len(vs) - 1; i >= 0; i-- {
		if v := vs[i]; v.backward && v.kind == operation && !placed[i] {
			v.home = commonHome(vs, v.out, all)
		}
	}
}

// placeConstants places constants with their readers.
func placeConstants(vs []*vertex) {
	for _, v := range vs {
		if v.kind == constant {
			v.home = commonHome(vs, v.out, func(*vertex) bool { return true })
		}
	}
}
