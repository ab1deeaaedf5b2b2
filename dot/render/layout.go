package render

import (
	"bytes"
	"context"
	"sync"

	"github.com/goccy/go-graphviz"
	"github.com/pkg/errors"
)

// engine is there once in a process and does one thing at a time.
var engine sync.Mutex

// layout returns the picture that Graphviz draws, as SVG.
func layout(dot []byte) (svg []byte, err error) {
	engine.Lock()
	defer engine.Unlock()
	ctx := context.Background()
	graph, err := graphviz.ParseBytes(dot)
	if err != nil {
		return nil, errors.Wrap(err, "render: this is not DOT")
	}
	if graph == nil {
		return nil, errors.New("render: there is no graph in the DOT")
	}
	defer graph.Close()
	gv, err := graphviz.New(ctx)
	if err != nil {
		return nil, errors.Wrap(err, "render: starting Graphviz")
	}
	defer gv.Close()
	var out bytes.Buffer
	if err := gv.Render(ctx, graph, graphviz.SVG, &out); err != nil {
		return nil, errors.Wrap(err, "render: laying the graph out")
	}
	return out.Bytes(), nil
}
