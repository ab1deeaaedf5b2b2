package main

import (
	"context"

	"github.com/gorgonia-xlstm/xlstm/dot/render"
	"github.com/pkg/errors"
)

// pngScale makes two dots of one, for today's screens.
const pngScale = 2

// picture draws a graph in the DOT language as svg or png. A large graph can take
// minutes; an interrupt does not wait for it.
func picture(ctx context.Context, graph []byte, format string) ([]byte, error) {
	type drawn struct {
		data []byte
		err  error
	}
	done := make(chan drawn, 1)
	go func() {
		var d drawn
		if format == "png" {
			d.data, d.err = render.PNG(graph, pngScale)
		} else {
			d.data, d.err = render.SVG(graph)
		}
		done <- d
	}()
	select {
	case <-ctx.Done():
		return nil, errors.New("interrupted while drawing")
	case d := <-done:
		return d.data, d.err
	}
}
