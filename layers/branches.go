package layers

import (
	"math/rand/v2"

	"gorgonia.org/gorgonia"
)

// branch is one of several linear maps of one input; without bias it has none.
type branch struct {
	name         string
	width        int
	weight, bias Init
}

// branches are linear maps of one input. Each has parameters of its own, or all
// share one Linear that has them as blocks of rows.
type branches struct {
	s     Scope
	list  []branch
	maps  []*Linear // one if they are fused
	fused bool
}

// newBranches makes linear maps from in columns, all of them with or all of them
// without a bias. Fused, they are one parameter of the given name.
func newBranches(s Scope, fused bool, name string, in int, list ...branch) (*branches, error) {
	b := &branches{s: s, list: list, fused: fused}
	params := list
	if fused {
		params = []branch{stack(name, in, list)}
	}
	for _, m := range params {
		l, err := newLinear(s.Sub(m.name), in, m.width, m.weight, m.bias)
		if err != nil {
			return nil, err
		}
		b.maps = append(b.maps, l)
	}
	return b, nil
}

// stack returns one branch that has those of the list as blocks of rows.
func stack(name string, in int, list []branch) branch {
	all := branch{name: name}
	var widths, sizes []int
	var weights, biases []Init
	for _, b := range list {
		all.width += b.width
		widths, sizes = append(widths, b.width), append(sizes, b.width*in)
		weights, biases = append(weights, b.weight), append(biases, b.bias)
	}
	all.weight = inTurn(weights, sizes)
	if list[0].bias != nil {
		all.bias = inTurn(biases, widths)
	}
	return all
}

// inTurn initialises consecutive pieces of the given sizes, each its own way.
func inTurn(inits []Init, sizes []int) Init {
	return func(r *rand.Rand, values []float64) {
		for k, init := range inits {
			init(r, values[:sizes[k]])
			values = values[sizes[k]:]
		}
	}
}

// Fwd maps x (N, In), which is given once for each of the maps, to one (N, width)
// for each branch.
func (b *branches) Fwd(xs []*gorgonia.Node) (gorgonia.Nodes, error) {
	if b.fused {
		var widths []int
		for _, m := range b.list {
			widths = append(widths, m.width)
		}
		ys, err := b.maps[0].multiply(xs[0], b.maps[0].Bias, widths...)
		for k, y := range ys {
			b.s.Sub(b.list[k].name).label(y)
		}
		return ys, err
	}
	var ys gorgonia.Nodes
	for k, m := range b.maps {
		y, err := m.Fwd(xs[k])
		if err != nil {
			return nil, err
		}
		ys = append(ys, y)
	}
	return ys, nil
}
