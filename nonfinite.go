package xlstm

import (
	"fmt"
	"math"
	"strings"

	"gorgonia.org/gorgonia"
)

// FirstNonFinite names the first node, in the order of computation, whose value
// after the last run is NaN or infinite; empty if there is none. A node that has
// no name is told by its operation and the named nodes that it reads. It looks at
// every value of the graph: call it when something is wrong.
func (p *Program) FirstNonFinite() string {
	sorted, err := gorgonia.Sort(p.graph)
	if err != nil {
		return ""
	}
	for i := len(sorted) - 1; i >= 0; i-- {
		n := sorted[i]
		if n.Value() == nil || finite(n.Value()) {
			continue
		}
		if named(n) {
			return n.Name()
		}
		// A result in several parts has its names at the parts.
		for to := p.graph.To(n.ID()); to.Next(); {
			if part := to.Node().(*gorgonia.Node); named(part) && part.Value() != nil && !finite(part.Value()) {
				return part.Name()
			}
		}
		return described(n)
	}
	return ""
}

// named says whether a node has a name of its own, not one made of its operation
// and its inputs.
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

func finite(v gorgonia.Value) bool {
	switch x := v.Data().(type) {
	case float32:
		return isFinite(float64(x))
	case float64:
		return isFinite(x)
	case []float32:
		for _, e := range x {
			if !isFinite(float64(e)) {
				return false
			}
		}
	case []float64:
		for _, e := range x {
			if !isFinite(e) {
				return false
			}
		}
	}
	return true
}

func isFinite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
