// Package render makes pictures of graphs in the DOT language, such as those of
// package dot, with Graphviz inside the process: nothing needs to be installed.
//
//	data, err := dot.Marshal(graph, dot.Depth(2), dot.Elide())
//	picture, err := render.SVG(data)
//
// Other graphs are drawn as well, as far as shapes and text go: pictures in nodes
// are left out, and what a label aligns to the left is centred.
//
// Graphviz comes as WebAssembly, which is compiled when a program that imports
// this package starts: about a second the first time, a twentieth of that later,
// when the result is found in the folder for temporary files. Programs that draw
// now and then do better to run a program of their own for it, as train graph runs
// dot/draw.
package render
