package render

import (
	"github.com/gorgonia-xlstm/xlstm/internal/graphviz"
	"github.com/pkg/errors"
)

// layout returns the picture that Graphviz draws, as SVG.
func layout(dot []byte) (svg []byte, err error) {
	svg, err = graphviz.SVG(dot)
	return svg, errors.Wrap(err, "render")
}

// sceneOf returns the picture that Graphviz draws.
func sceneOf(dot []byte) (*scene, error) {
	svg, err := layout(dot)
	if err != nil {
		return nil, err
	}
	return parse(svg)
}
