// Package dot writes Gorgonia graphs in the DOT language, for people to look at.
//
//	data, err := dot.Marshal(graph, dot.Depth(2), dot.Elide())
//
// Names that have dots in them are paths: the node stack.blocks.0.norm.weight is
// drawn in the box norm, in the box blocks.0, in the box stack. Operations without
// a name are drawn beside what they work for. A graph of thousands of nodes
// becomes a page when its boxes are folded (Depth, Open, Only) and when what
// computes nothing is left out (Elide).
//
// The same graph always gives the same bytes. Any graph can be written: nothing
// but Gorgonia is asked about the nodes. Package dot/render makes pictures of the
// result without an installed Graphviz.
package dot
