package ops

import "fmt"

// Format is how the numbers of a weight matrix are stored. See package weights
// for the layout of the bytes.
type Format int

const (
	// Float is the element type of the graph.
	Float Format = iota
	// BF16 is the upper half of a float32.
	BF16
	// Int8 and Int4 are whole numbers times a scale that a group of Group
	// numbers of a row has in common.
	Int8
	Int4
)

// Group is the number of consecutive numbers of a row that have one scale. A
// row of a packed matrix is a multiple of it, in every format.
const Group = 32

// scaleBytes is the size of a scale.
const scaleBytes = 2

func (f Format) String() string { return [...]string{"float32", "bf16", "int8", "int4"}[f] }

// RowBytes returns the bytes of a row of n numbers, without its scales.
func (f Format) RowBytes(n int) int {
	switch f {
	case BF16:
		return 2 * n
	case Int8:
		return n
	case Int4:
		return n / 2
	}
	return 4 * n
}

// ScaleBytes returns the bytes of the scales of n numbers.
func (f Format) ScaleBytes(n int) int {
	if f.Scaled() {
		return n / Group * scaleBytes
	}
	return 0
}

// Scaled reports whether groups have scales.
func (f Format) Scaled() bool { return f == Int8 || f == Int4 }

// matrix returns the operands of a packed matrix.
func (f Format) matrix(rows, columns int) []Arg {
	args := []Arg{bytes("w", rows, f.RowBytes(columns))}
	return when(f.Scaled(), args, bytes("scales", rows, f.ScaleBytes(columns)))
}

// PackedLinear is Linear with a packed weight: x [Rows,In], w and scales, and
// b [ΣOuts] if Bias is set. It has no derivative.
type PackedLinear struct {
	computing
	Format   Format
	Rows, In int
	Outs     []int
	Bias     bool
}

func (l PackedLinear) Name() string   { return "linear " + l.Format.String() }
func (l PackedLinear) MulAdds() int64 { return product(l.Rows, l.In, sum(l.Outs)) }
func (l PackedLinear) Inputs() []Arg {
	in := append([]Arg{floats("x", l.Rows, l.In)}, l.Format.matrix(sum(l.Outs), l.In)...)
	return when(l.Bias, in, floats("b", sum(l.Outs)))
}
func (l PackedLinear) Outputs() (out []Arg) {
	for o, width := range l.Outs {
		out = append(out, floats(fmt.Sprintf("y%d", o), l.Rows, width))
	}
	return out
}

// PackedEmbedding is Embedding with a packed matrix. It has no
// derivative.
type PackedEmbedding struct {
	elementary
	Format  Format
	N, V, D int
}

func (e PackedEmbedding) Name() string { return "embedding " + e.Format.String() }
func (e PackedEmbedding) Inputs() []Arg {
	return append([]Arg{ints("ids", e.N)}, e.Format.matrix(e.V, e.D)...)
}
func (e PackedEmbedding) Outputs() []Arg { return []Arg{floats("y", e.N, e.D)} }
