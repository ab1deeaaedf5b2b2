package dot

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// kind is what a node is to a reader.
type kind int

const (
	operation kind = iota
	parameter
	input
	constant
)

// vertex is a node of a graph, as it is drawn.
type vertex struct {
	node     *gorgonia.Node
	kind     kind
	name     string // as given by the user, "" if none was
	in, out  []int  // indices of the vertices that it reads and that read it
	backward bool
	home     string // the box that it is in
	hidden   bool   // edges lead through it
	label    string // what an operation is called
}

// read returns the nodes of a graph in the order in which they were added, which
// makes everything that follows the same each time.
func read(g *gorgonia.ExprGraph, o *options) []*vertex {
	nodes := g.AllNodes()
	index := make(map[*gorgonia.Node]int, len(nodes))
	for i, n := range nodes {
		index[n] = i
	}
	vs := make([]*vertex, len(nodes))
	for i, n := range nodes {
		v := &vertex{node: n, name: givenName(n), kind: kindOf(n, o)}
		if v.kind == operation {
			v.label = opLabel(n, o)
		}
		for _, c := range children(g, n) {
			if k, ok := index[c]; ok { // the graph may be a part of another one
				v.in = append(v.in, k)
			}
		}
		vs[i] = v
	}
	for i, v := range vs {
		for _, k := range v.in {
			vs[k].out = append(vs[k].out, i)
		}
	}
	markBackward(vs, index)
	return vs
}

// children returns what a node reads, in order.
func children(g *gorgonia.ExprGraph, n *gorgonia.Node) (ns gorgonia.Nodes) {
	it := g.From(n.ID())
	for it != nil && it.Next() {
		ns = append(ns, it.Node().(*gorgonia.Node))
	}
	return ns
}

// givenName returns the name that the user gave to a node. Gorgonia makes one up
// for nodes without; an input that has none keeps "".
func givenName(n *gorgonia.Node) string {
	made := fmt.Sprintf("%s(", n.Op())
	for i, c := range children(n.Graph(), n) {
		if i > 0 {
			made += ", "
		}
		made += fmt.Sprintf("%%%x", c.ID())
	}
	if name := n.Name(); name != made+")" {
		return name
	}
	return ""
}

// valued is a constant's operation.
type valued interface{ Value() gorgonia.Value }

func kindOf(n *gorgonia.Node, o *options) kind {
	if n.Op() != nil {
		if _, ok := n.Op().(valued); ok {
			return constant
		}
		return operation
	}
	if o.params != nil {
		if slices.Contains(o.params, n) {
			return parameter
		}
		return input
	}
	dt, err := dtype(n)
	floats := err == nil && (dt == tensor.Float32 || dt == tensor.Float64)
	if floats && n.Value() != nil || n.Deriv() != nil {
		return parameter
	}
	return input
}

// dtype is Node.Dtype without its panic on types that are not settled.
func dtype(n *gorgonia.Node) (dt tensor.Dtype, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	return n.Dtype(), nil
}

// shapeText returns a shape as 2×3, with the element type unless it is float32.
func shapeText(n *gorgonia.Node) string {
	var axes []string
	for _, d := range n.Shape() {
		axes = append(axes, strconv.Itoa(d))
	}
	text := strings.Join(axes, "×")
	switch dt, err := dtype(n); {
	case err != nil:
		return text
	case text == "":
		text = "scalar"
		fallthrough
	default:
		if dt != tensor.Float32 {
			text += " " + dt.String()
		}
	}
	return text
}

// opLabel returns how an operation is written.
func opLabel(n *gorgonia.Node, o *options) string {
	if o.operation != nil {
		if s := o.operation(n); s != "" {
			return s
		}
	}
	s := n.Op().String()
	// Gorgonia's element-wise operations say whether a comparison gives numbers.
	s = strings.TrimSuffix(strings.TrimSuffix(s, " true"), " false")
	if pretty, ok := gorgoniaOps[s]; ok {
		return pretty
	}
	return s
}

// gorgoniaOps is how Gorgonia's own operations are written where their name reads
// less well.
var gorgoniaOps = map[string]string{
	"-": "−", "neg": "−x", "abs": "|x|", "inv": "1/x", "square": "x²", "cube": "x³", "sqrt": "√x", "invSqrt": "1/√x", "sigmoid": "σ",
}

// trivial reports whether a node computes nothing.
func (v *vertex) trivial() bool {
	switch v.kind {
	case constant:
		return v.node.IsScalar()
	case operation:
		t, ok := v.node.Op().(interface{ Trivial() bool })
		return ok && t.Trivial() || fmt.Sprintf("%T", v.node.Op()) == "*gorgonia.reshapeOp"
	}
	return false
}

// result reports whether v only hands a result of the graph on.
func (v *vertex) result() bool { return v.kind == operation && v.trivial() && len(v.out) == 0 }

// constantText returns the value of a constant, if it is short.
func constantText(n *gorgonia.Node) string {
	if v := n.Op().(valued).Value(); v != nil && n.IsScalar() {
		switch x := v.Data().(type) {
		case float32:
			return strconv.FormatFloat(float64(x), 'g', 4, 32)
		case float64:
			return strconv.FormatFloat(x, 'g', 4, 64)
		default:
			return fmt.Sprint(x)
		}
	}
	return "constant"
}
