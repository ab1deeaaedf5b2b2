package nodes

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/device/cpu"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/gorgonia-xlstm/xlstm/internal/plan"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// planned is a graph as a plan. Copies and pieces are no operations of a plan but
// names of a value, and what Gorgonia adds up of puts is nothing at all.
type planned struct {
	plan.Plan
	sorted  gorgonia.Nodes               // in the order in which they run
	values  map[*gorgonia.Node][]plan.ID // what a node's value is, several if it is packed
	steps   gorgonia.Nodes               // the node of each step
	inputs  map[plan.ID]*gorgonia.Node   // whose values come from outside the plan
	nothing map[*gorgonia.Node]bool      // puts, and sums of them
	foreign *gorgonia.Node               // an operation of another package, if there is one
	trains  bool                         // the graph has gradients of inputs
}

// fuses reports whether the graph runs with composites: on a sequence, if there are
// gradients, for which most values are kept.
func (p *planned) fuses() bool { return p.trains && p.foreign == nil }

// device returns the CPU as it runs the graph.
func (p *planned) device() device.Device {
	if p.fuses() {
		return cpu.Fusing{}
	}
	return cpu.Device{}
}

// newPlanned goes through a graph in the order in which gorgonia.Compile lets it
// run. What Gorgonia's own operations read is kept, for they may hand it on as
// their results; so is the gradient of every input.
func newPlanned(g *gorgonia.ExprGraph) (*planned, error) {
	sorted, err := gorgonia.Sort(g)
	if err != nil {
		return nil, errors.Wrap(err, "nodes: ordering the graph")
	}
	slices.Reverse(sorted)
	p := &planned{
		sorted: sorted, values: make(map[*gorgonia.Node][]plan.ID), inputs: make(map[plan.ID]*gorgonia.Node), nothing: make(map[*gorgonia.Node]bool),
	}
	for _, n := range sorted {
		if err := p.add(n); err != nil {
			return nil, err
		}
	}
	for _, n := range sorted {
		if n.Op() == nil && n.Deriv() != nil {
			p.trains = true
			p.keep(n.Deriv())
		}
	}
	return p, nil
}

func (p *planned) add(n *gorgonia.Node) error {
	o, ours := n.Op().(*op)
	switch {
	case ours:
		return p.addOurs(n, o)
	case n.Op() == nil || isConstant(n):
		p.input(n)
	case isSum(n) && !slices.ContainsFunc(inputs(n), func(in *gorgonia.Node) bool { return !p.nothing[in] }):
		p.nothing[n] = true
	case p.addsUp(n):
		return p.addSum(n)
	default:
		p.foreign = n
		p.keep(inputs(n)...)
		if n.Type() != nil { // gorgonia.Read has no result
			p.input(n)
		}
	}
	return nil
}

// addsUp reports whether a node is Gorgonia's sum of two values of one shape, as it
// adds up the gradients of what several operations read.
func (p *planned) addsUp(n *gorgonia.Node) bool {
	in := inputs(n)
	if !isSum(n) || len(in) != 2 || len(n.Shape()) == 0 {
		return false
	}
	return !slices.ContainsFunc(in, func(x *gorgonia.Node) bool { return len(p.values[x]) != 1 || !x.Shape().Eq(n.Shape()) })
}

// addSum adds Gorgonia's sum of two values as an operation of the plan. On a tape
// machine Gorgonia computes it, and may write over one of the values or hand it on:
// they are kept.
func (p *planned) addSum(n *gorgonia.Node) error {
	in := inputs(n)
	p.keep(in...)
	out, err := p.Add(ops.Add{Shape: shapeOf(n)}, dtypeOf(n.Dtype()), p.values[in[0]][0], p.values[in[1]][0])
	if err != nil {
		return errors.Wrap(err, "nodes")
	}
	p.values[n] = out
	p.keep(n)
	p.steps = append(p.steps, n)
	return nil
}

// isConstant reports what gorgonia.NewConstant made.
func isConstant(n *gorgonia.Node) bool { return n.Op().Arity() == 0 && n.Type() != nil }

func (p *planned) input(n *gorgonia.Node) {
	id := p.Input(dtypeOf(n.Dtype()), shapeOf(n))
	p.values[n], p.inputs[id] = []plan.ID{id}, n
}

func (p *planned) addOurs(n *gorgonia.Node, o *op) error {
	switch view := o.op.(type) {
	case ops.Put:
		p.nothing[n] = true
		return nil
	case ops.Part:
		p.values[n] = p.values[child(n)][view.K : view.K+1]
		return nil
	case ops.Fork, ops.Branch:
		p.values[n] = p.values[child(n)]
		return nil
	}
	var reads []plan.ID
	for _, in := range inputs(n)[:o.args] {
		reads = append(reads, p.values[in]...)
	}
	out, err := p.Add(o.op, dtypeOf(n.Dtype()), reads...)
	if err != nil {
		return errors.Wrap(err, "nodes")
	}
	p.values[n] = out
	p.steps = append(p.steps, n)
	if len(n.Shape()) == 0 && !o.packed() {
		p.keep(n) // a single number takes no space, and is most often what one wants to see
	}
	return nil
}

// keep keeps the values of nodes.
func (p *planned) keep(ns ...*gorgonia.Node) {
	for _, n := range ns {
		p.Keep(p.values[n]...)
	}
}

// inputs returns the nodes that a node reads.
func inputs(n *gorgonia.Node) (ns gorgonia.Nodes) {
	for it := n.Graph().From(n.ID()); it.Next(); {
		ns = append(ns, it.Node().(*gorgonia.Node))
	}
	return ns
}
