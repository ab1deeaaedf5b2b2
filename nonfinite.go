package xlstm

import (
	"fmt"
	"strings"

	"github.com/gorgonia-xlstm/xlstm/internal/floats"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"gorgonia.org/gorgonia"
)

// FirstNonFinite returns the name of the first node, in the order of
// computation, whose value in the last run is NaN or infinite, or "" if there
// is none. A node without a name is described by its operation and the named
// nodes that it reads.
//
// Most values of a run have been overwritten when it ends, so FirstNonFinite
// repeats the run and checks every value when it is computed: call it only when
// something is wrong, and before the parameters change. A program that carries
// a state and has no gradients starts the repetition from the final state of
// the run.
func (p *Program) FirstNonFinite() string {
	if !p.hasRun() {
		return ""
	}
	if p.remote != nil {
		return p.remote.firstNonFinite()
	}
	sorted, err := gorgonia.Sort(p.graph)
	if err != nil {
		return ""
	}
	bad := make(map[*gorgonia.Node]bool)
	look := func(n *gorgonia.Node, v gorgonia.Value) { bad[n] = v != nil && !finite(v) }
	for _, n := range sorted {
		look(n, n.Value())
	}
	if p.memory != nil {
		p.memory.Watch(look)
		defer p.memory.Watch(nil)
		if err := p.run(nil); err != nil {
			return ""
		}
	}
	for i := len(sorted) - 1; i >= 0; i-- {
		if n := sorted[i]; bad[n] {
			return nameOf(n)
		}
	}
	return ""
}

// nameOf returns a node's name, or what it is made of. A piece of a result that
// has several goes by the operation that computes them all.
func nameOf(n *gorgonia.Node) string {
	if named(n) {
		return n.Name()
	}
	if from := n.Graph().From(n.ID()); n.Op().String() == "part" && from.Next() {
		n = from.Node().(*gorgonia.Node)
	}
	return described(n)
}

// named reports whether a node has a name of its own, not one made of its
// operation and its inputs.
func named(n *gorgonia.Node) bool { return !strings.HasSuffix(n.Name(), ")") }

func described(n *gorgonia.Node) string {
	var reads []string
	for from := n.Graph().From(n.ID()); from.Next(); {
		if in := from.Node().(*gorgonia.Node); named(in) {
			reads = append(reads, in.Name())
		}
	}
	return fmt.Sprintf("%v of %s", n.Op(), strings.Join(reads, ", "))
}

func finite(v gorgonia.Value) bool { return floats.Of(v.Data()).All(numbers.Finite) }
