// Package render draws graphs in the DOT language, such as those of package
// dot, with Graphviz inside the process: nothing needs to be installed.
//
//	data, err := dot.Marshal(graph, dot.Depth(2), dot.Elide())
//	picture, err := render.SVG(data)
//
// Other graphs are drawn too, with two limits: images in nodes are omitted, and
// left-aligned text in labels is centred.
//
// Graphviz is included as WebAssembly, which is compiled when the first graph
// is drawn. This takes about a second the first time and a twentieth of that in
// later processes, which find the compiled code in the user's cache folder. In
// a program that draws nothing, the only cost is its size, about six megabytes.
package render
