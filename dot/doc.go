// Package dot writes Gorgonia graphs in the DOT language, as readable drawings.
//
//	data, err := dot.Marshal(graph, dot.Depth(2), dot.Elide())
//
// A name that contains dots is a path: the node stack.blocks.0.norm.weight is
// drawn in the box norm, in the box blocks.0, in the box stack. Operations
// without a name are drawn next to the operations that they belong to. A graph
// of thousands of nodes fits on a page when its boxes are folded (Depth, Open,
// Only) and operations that compute nothing are omitted (Elide).
//
// The same graph always gives the same bytes. Any graph can be written: the
// package uses only Gorgonia's own information about the nodes. Package
// dot/render draws the result without an installed Graphviz.
package dot
