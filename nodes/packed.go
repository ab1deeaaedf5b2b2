package nodes

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// Format is how the numbers of a weight matrix are stored: as the elements of a
// graph, or packed in fewer bytes. Operations with packed weights have no
// derivative.
type Format = ops.Format

// The formats of weights; see docs/weights.md.
const (
	Float = ops.Float // the element type of the graph
	BF16  = ops.BF16  // two bytes
	Int8  = ops.Int8  // one byte, and a scale for every Group numbers of a row
	Int4  = ops.Int4  // half a byte, and the same scales
)

// Group is the number of consecutive numbers of a row of a packed matrix that
// have one scale. The width of a packed matrix is a multiple of it.
const Group = ops.Group

// Packed is a packed matrix in a graph.
type Packed struct {
	Format Format
	// Data has the rows of the matrix, (Out, bytes of a row) of dtype
	// tensor.Byte.
	Data *gorgonia.Node
	// Scales has their scales, (Out, bytes of a row's scales) of dtype
	// tensor.Byte; nil in BF16.
	Scales *gorgonia.Node
}

// inputs returns the nodes of the matrix.
func (p Packed) inputs() gorgonia.Nodes {
	if p.Scales == nil {
		return gorgonia.Nodes{p.Data}
	}
	return gorgonia.Nodes{p.Data, p.Scales}
}

// check reports a matrix that is not as its format has it.
func (p Packed) check(opName string, in int) error {
	if p.Format != BF16 && p.Format != Int8 && p.Format != Int4 {
		return errors.Errorf("nodes: %s: %v is not a format of packed weights", opName, p.Format)
	}
	if in < 1 || in%Group != 0 {
		return errors.Errorf("nodes: %s: a packed matrix has a multiple of %d columns, not %d", opName, Group, in)
	}
	return wantShape(opName, "w", p.Data, -1, p.Format.RowBytes(in))
}

// PackedLinearSplit returns y = x·Wᵀ + b like LinearSplit, for a packed w (ΣWidths, In):
// x (N, In) and b (ΣWidths), or nil, the results (N, Width), one for each of widths. It
// cannot be differentiated. Only float32 is fast.
func PackedLinearSplit(x *gorgonia.Node, w Packed, b *gorgonia.Node, widths ...int) ([]*gorgonia.Node, error) {
	s := ops.PackedLinear{Format: w.Format, Outs: slices.Clone(widths), Bias: b != nil}
	if err := wantShape("PackedLinearSplit", "x", x, -1, -1); err != nil {
		return nil, err
	}
	s.Rows, s.In = x.Shape()[0], x.Shape()[1]
	if err := w.check("PackedLinearSplit", s.In); err != nil {
		return nil, err
	}
	in := append(gorgonia.Nodes{x}, w.inputs()...)
	if b != nil {
		in = append(in, b)
	}
	return results(spec{op: s}, in...)
}

// PackedEmbedding returns row ids[r] of w, a packed matrix (V, D), for every r:
// ids (N) of dtype tensor.Int, result (N, D) in float32. It cannot be
// differentiated.
func PackedEmbedding(ids *gorgonia.Node, w Packed, d int) (*gorgonia.Node, error) {
	if err := firstError(wantShape("PackedEmbedding", "ids", ids, -1), wantInts("PackedEmbedding", "ids", ids), w.check("PackedEmbedding", d)); err != nil {
		return nil, err
	}
	s := ops.PackedEmbedding{Format: w.Format, N: ids.Shape()[0], V: w.Data.Shape()[0], D: d}
	return apply(spec{op: s}, append(gorgonia.Nodes{ids}, w.inputs()...)...)
}
