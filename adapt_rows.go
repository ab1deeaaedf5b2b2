package xlstm

import (
	"github.com/gorgonia-xlstm/xlstm/internal/floats"
	"github.com/pkg/errors"
	"gorgonia.org/tensor"
)

// shapeOf returns the shape of a tensor, nil for none.
func shapeOf(t *tensor.Dense) tensor.Shape {
	if t == nil {
		return nil
	}
	return t.Shape()
}

// sameButRows reports whether two shapes are the same, or differ in their rows as
// two vocabularies do, of which the first is smaller.
func sameButRows(a, b tensor.Shape, vocabA, vocabB int) bool {
	if len(a) != len(b) || len(a) == 0 || !a[1:].Eq(b[1:]) {
		return a.Eq(b)
	}
	return a[0] == b[0] || a[0] == vocabA && b[0] == vocabB && vocabA < vocabB
}

// copyRows copies the rows of a tensor to the first of another, and their mean to
// the rest.
func copyRows(to, from *tensor.Dense) error {
	src, dst := floats.Of(from.Data()), floats.Of(to.Data())
	n, width := src.Len(), src.Len()/max(1, from.Shape()[0])
	if n > dst.Len() || !dst.Cut(0, n).Copy(src) {
		return errors.Errorf("%d numbers do not fit where there are %d", n, dst.Len())
	}
	if n == dst.Len() {
		return nil
	}
	mean := make([]float64, width)
	for i := range n {
		mean[i%width] += src.At(i) / float64(n/width)
	}
	for at := n; at < dst.Len(); at += width {
		dst.Cut(at, at+width).Write(mean)
	}
	return nil
}
