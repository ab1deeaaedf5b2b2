package dot

import (
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// Option says what Marshal shows of a graph.
type Option func(*options)

type options struct {
	depth       int
	open        []string
	only        string
	forwardOnly bool
	elide       bool
	params      gorgonia.Nodes
	value       func(name string) string
	operation   func(n *gorgonia.Node) string
}

// Depth folds every box that is nested n deep or deeper into one node, which says
// what is in it and how many parameters it has. A box around a single operation,
// such as a linear layer, is folded wherever it is. Without Depth nothing is
// folded.
func Depth(n int) Option { return func(o *options) { o.depth = n } }

// Open unfolds boxes that Depth would fold: the ones at these paths, what is
// around them and what is in them. A path may be shortened to its end, as long as
// one box alone has it: blocks.0 for stack.blocks.0.
func Open(paths ...string) Option {
	return func(o *options) { o.open = append(o.open, paths...) }
}

// Only shows one box, unfolded, and what flows into it and out of it. The path
// is as for Open.
func Only(path string) Option { return func(o *options) { o.only = path } }

// ForwardOnly leaves out the nodes that gorgonia.Grad added.
func ForwardOnly() Option { return func(o *options) { o.forwardOnly = true } }

// Elide leaves out what computes nothing: constants that are scalars, which their
// readers then show, reshaping, and operations that say so by a method
// Trivial() bool, such as the views of package nodes. Edges lead through them. Of
// what the backward pass reads of the forward pass it shows what comes from the
// part that is differentiated.
func Elide() Option { return func(o *options) { o.elide = true } }

// Parameters says which inputs are parameters. Without it, those are that hold a
// value of floats or have a gradient.
func Parameters(nodes ...*gorgonia.Node) Option {
	return func(o *options) { o.params = append(gorgonia.Nodes{}, nodes...) }
}

// Notation says how values and operations are written. value returns what edges
// show that carry the node of that name, operation what a node of an operation
// shows; either may be nil, or return "" for names and operations that it does
// not know.
func Notation(value func(name string) string, operation func(n *gorgonia.Node) string) Option {
	return func(o *options) { o.value, o.operation = value, operation }
}

func (o *options) check() error {
	if o.depth < 0 {
		return errors.Errorf("dot: a depth of %d; it must be at least 0, which folds nothing", o.depth)
	}
	if o.only != "" && len(o.open) > 0 {
		return errors.New("dot: Only shows its box unfolded already; leave Open out")
	}
	return nil
}

func (o *options) symbol(name string) string {
	if o.value == nil || name == "" {
		return ""
	}
	return o.value(name)
}
