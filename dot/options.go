package dot

import (
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// Option selects what Marshal shows of a graph.
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

// Depth folds every box at nesting depth n or deeper into one node, which lists
// its contents and the number of its parameters. A box around a single
// operation, such as a linear layer, is folded at any depth. Without Depth
// nothing is folded.
func Depth(n int) Option { return func(o *options) { o.depth = n } }

// Open unfolds boxes that Depth would fold: the boxes at these paths, the boxes
// around them and the boxes in them. The end of a path is enough if it is
// unique: blocks.0 for stack.blocks.0.
func Open(paths ...string) Option {
	return func(o *options) { o.open = append(o.open, paths...) }
}

// Only shows one box, unfolded, with its inputs and outputs. The path is as for
// Open.
func Only(path string) Option { return func(o *options) { o.only = path } }

// ForwardOnly omits the nodes that gorgonia.Grad added.
func ForwardOnly() Option { return func(o *options) { o.forwardOnly = true } }

// Elide omits nodes that compute nothing: scalar constants, which their readers
// then show, reshapes, and operations whose method Trivial() bool returns true,
// such as the views of package nodes. Edges pass through omitted nodes. Of the
// values of the forward pass that the backward pass reads, only those of the
// part that is differentiated are shown.
func Elide() Option { return func(o *options) { o.elide = true } }

// Parameters sets which inputs are parameters. Without it, the parameters are
// the inputs with a floating-point value or a gradient.
func Parameters(nodes ...*gorgonia.Node) Option {
	return func(o *options) { o.params = append(gorgonia.Nodes{}, nodes...) }
}

// Notation sets the labels of values and operations. value returns the label of
// the edges that carry the node of that name, and operation returns the label
// of an operation's node; either may be nil, or return "" for an unknown name
// or operation.
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
