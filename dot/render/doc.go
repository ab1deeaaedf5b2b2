// Package render makes pictures of graphs in the DOT language, such as those of
// package dot, with Graphviz inside the process: nothing needs to be installed.
//
//	data, err := dot.Marshal(graph, dot.Depth(2), dot.Elide())
//	picture, err := render.SVG(data)
//
// Other graphs are drawn as well, as far as shapes and text go: pictures in nodes
// are left out, and what a label aligns to the left is centred.
//
// Graphviz comes as WebAssembly, which is compiled when the first graph is drawn:
// about a second the first time, a twentieth of that in later processes, which
// find the result in the user's folder for caches. A program that draws nothing
// pays nothing but its size, some six megabytes.
package render
