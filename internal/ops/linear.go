package ops

import "fmt"

// Linear is y = x·Wᵀ + b with the result split into column blocks: x [Rows,In],
// W [ΣOuts,In], b [ΣOuts] if Bias is set, and a result [Rows,Outs[o]] for each
// o.
type Linear struct {
	computing
	Rows, In int
	Outs     []int
	Bias     bool
}

func (l Linear) Name() string   { return "linear" }
func (l Linear) MulAdds() int64 { return product(l.Rows, l.In, sum(l.Outs)) }
func (l Linear) Inputs() []Arg {
	in := []Arg{floats("x", l.Rows, l.In), floats("w", sum(l.Outs), l.In)}
	return when(l.Bias, in, floats("b", sum(l.Outs)))
}
func (l Linear) Outputs() (out []Arg) {
	for o, width := range l.Outs {
		out = append(out, floats(fmt.Sprintf("y%d", o), l.Rows, width))
	}
	return out
}

// LinearBlock is a result of a Linear: its number, its width, and its first row
// in the weight.
type LinearBlock struct{ Out, Width, Row int }

// Blocks returns the blocks of the weight's rows, one for each result.
func (l Linear) Blocks() (all []LinearBlock) {
	row := 0
	for o, width := range l.Outs {
		all = append(all, LinearBlock{o, width, row})
		row += width
	}
	return all
}

// LinearGrad is the derivative of Linear: it reads x, w and the existing
// gradients of its results, and writes dx = dy·W, dw = dyᵀ·x and db, the column
// sums of dy.
type LinearGrad struct {
	Linear
	Has []bool
}

func (l LinearGrad) Name() string { return "linear'" }
func (l LinearGrad) MulAdds() int64 {
	used := 0
	for o, has := range l.Has {
		if has {
			used += l.Outs[o]
		}
	}
	return 2 * product(l.Rows, l.In, used)
}
func (l LinearGrad) Inputs() []Arg  { return gradsOf(l.Linear.Inputs()[:2], l.Has, l.Linear.Outputs()) }
func (l LinearGrad) Outputs() []Arg { return grads(l.Linear.Inputs()) }

func sum(xs []int) (n int) {
	for _, x := range xs {
		n += x
	}
	return n
}

// AddBias adds b[Lo:Lo+D] to every row of x [N,D]: the part of one gate in a
// bias [Size] for several gates.
type AddBias struct {
	elementary
	N, D, Lo, Size int
}

func (b AddBias) Name() string   { return "+b" }
func (b AddBias) Inputs() []Arg  { return []Arg{floats("x", b.N, b.D), floats("b", b.Size)} }
func (b AddBias) Outputs() []Arg { return []Arg{floats("y", b.N, b.D)} }

// AddBiasGrad writes the column sums of dy [N,D] to the window of db [Size] that
// begins at Lo, and zeros elsewhere. The gradient of x is dy itself.
type AddBiasGrad struct {
	elementary
	N, D, Lo, Size int
}

func (b AddBiasGrad) Name() string   { return "+b'" }
func (b AddBiasGrad) Inputs() []Arg  { return []Arg{floats("dy", b.N, b.D)} }
func (b AddBiasGrad) Outputs() []Arg { return []Arg{floats("db", b.Size)} }
