package xlstm

import (
	"math"

	"gorgonia.org/gorgonia"
)

// FirstNonFinite names the first node, in the order of computation, whose value
// after the last run is NaN or infinite; empty if there is none. It looks at
// every value of the graph: call it when something is wrong.
func (p *Program) FirstNonFinite() string {
	sorted, err := gorgonia.Sort(p.graph)
	if err != nil {
		return ""
	}
	for i := len(sorted) - 1; i >= 0; i-- {
		if n := sorted[i]; n.Value() != nil && !finite(n.Value()) {
			return n.Name()
		}
	}
	return ""
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
