package ops

import "fmt"

// Composite is an operation that stands for several others, which a device may
// then compute in fewer passes over memory. Plans for such devices contain
// composites; graphs do not.
type Composite interface {
	Op
	// Stages returns the operations that the composite stands for, in order.
	Stages() []Stage
}

// Stage is an operation of a Composite with the names of its operands: those of
// the composite's inputs and outputs, and any others for results in between.
type Stage struct {
	Op      Op
	In, Out []string
}

// muladds adds up the multiply-adds of stages.
func muladds(stages []Stage) (n int64) {
	for _, s := range stages {
		n += s.Op.MulAdds()
	}
	return n
}

// AddNorm is sum = a + b, y = Norm(sum): a residual connection and the norm of
// the next branch.
type AddNorm struct{ Norm }

func (n AddNorm) Name() string { return "+norm" }
func (n AddNorm) Inputs() []Arg {
	return append([]Arg{floats("a", n.N, n.Width), floats("b", n.N, n.Width)}, n.Norm.Inputs()[1:]...)
}
func (n AddNorm) Outputs() []Arg {
	return []Arg{floats("sum", n.N, n.Width), floats("y", n.N, n.Width)}
}
func (n AddNorm) Stages() []Stage {
	return []Stage{
		{Add{Shape: Shape{n.N, n.Width}}, []string{"a", "b"}, []string{"sum"}},
		{n.Norm, ifs(n.Weight, []string{"sum"}, "w"), []string{"y"}},
	}
}

// NormGradAdd is NormGrad with more added to dx: it reads the inputs of NormGrad
// and more.
type NormGradAdd struct{ Norm }

func (n NormGradAdd) Name() string { return "norm'+" }
func (n NormGradAdd) Inputs() []Arg {
	return append(NormGrad(n).Inputs(), floats("more", n.N, n.Width))
}
func (n NormGradAdd) Outputs() []Arg { return grads(n.Norm.Inputs()) }
func (n NormGradAdd) Stages() []Stage {
	return []Stage{
		{NormGrad(n), append(ifs(n.Weight, []string{"x"}, "w"), "dy"), ifs(n.Weight, []string{"dnorm"}, "dw")},
		{ForkGrad{N: 2, Shape: Shape{n.N, n.Width}}, []string{"more", "dnorm"}, []string{"dx"}},
	}
}

// GatedNorm is y = Fn(g)⊙Norm(x), the exit of the xLSTM-7B architecture's cell:
// it reads g and the inputs of Norm.
type GatedNorm struct {
	Norm
	Fn Activation
}

func (n GatedNorm) Name() string { return string(n.Fn) + "⊙norm" }
func (n GatedNorm) Inputs() []Arg {
	return append([]Arg{floats("g", n.N, n.Width)}, n.Norm.Inputs()...)
}
func (n GatedNorm) Stages() []Stage {
	return []Stage{
		{n.Norm, ifs(n.Weight, []string{"x"}, "w"), []string{"u"}},
		{Gated{Fn: n.Fn, Shape: Shape{n.N, n.Width}}, []string{"g", "u"}, []string{"y"}},
	}
}

// GatedNormGrad is the derivative of GatedNorm: it reads its inputs and dy.
type GatedNormGrad struct{ GatedNorm }

func (n GatedNormGrad) Name() string { return n.GatedNorm.Name() + "'" }
func (n GatedNormGrad) Inputs() []Arg {
	return append(n.GatedNorm.Inputs(), floats("dy", n.N, n.Width))
}
func (n GatedNormGrad) Outputs() []Arg { return grads(n.GatedNorm.Inputs()) }
func (n GatedNormGrad) Stages() []Stage {
	return []Stage{
		n.GatedNorm.Stages()[0],
		{GatedGrad{Fn: n.Fn, Shape: Shape{n.N, n.Width}}, []string{"g", "u", "dy"}, []string{"dg", "du"}},
		{NormGrad{n.Norm}, append(ifs(n.Weight, []string{"x"}, "w"), "du"), ifs(n.Weight, []string{"dx"}, "dw")},
	}
}

// ifs appends a name if it is there.
func ifs(has bool, to []string, name string) []string {
	if has {
		return append(to, name)
	}
	return to
}

// Linears are several Linear maps of one input: it reads x, and the weight and
// the bias, if any, of each map.
type Linears struct {
	computing
	Maps []Linear // of the same Rows and In
}

func (l Linears) Name() string   { return "linears" }
func (l Linears) MulAdds() int64 { return muladds(l.Stages()) }

// operand is the name of an operand of map k.
func (l Linears) operand(k int, name string) string { return fmt.Sprintf("%s of map %d", name, k) }

// of returns operands of map k under names of their own.
func (l Linears) of(k int, args []Arg) (named []Arg) {
	for _, a := range args {
		a.Name = l.operand(k, a.Name)
		named = append(named, a)
	}
	return named
}

func (l Linears) Inputs() []Arg {
	in := l.Maps[0].Inputs()[:1]
	for k, m := range l.Maps {
		in = append(in, l.of(k, m.Inputs()[1:])...)
	}
	return in
}

func (l Linears) Outputs() (out []Arg) {
	for k, m := range l.Maps {
		out = append(out, l.of(k, m.Outputs())...)
	}
	return out
}

func (l Linears) Stages() (stages []Stage) {
	for k, m := range l.Maps {
		stages = append(stages, Stage{m, append([]string{"x"}, names(l.of(k, m.Inputs()[1:]))...), names(l.of(k, m.Outputs()))})
	}
	return stages
}

func names(args []Arg) (list []string) {
	for _, a := range args {
		list = append(list, a.Name)
	}
	return list
}

// GatedLinears is y = Fn(g)⊙u of two linear maps of one input, the first half of a
// feed-forward layer: it reads the inputs of Linears and writes g, u and y, or, if it is
// Alone, y alone.
type GatedLinears struct {
	Linears // g and u, see Fits
	Fn      Activation
	Alone   bool
}

// Fits reports whether the maps are two, of one result each, which are of one width.
func (l GatedLinears) Fits() bool {
	return len(l.Maps) == 2 && len(l.Maps[0].Outs) == 1 && len(l.Maps[1].Outs) == 1 && l.Maps[0].Outs[0] == l.Maps[1].Outs[0]
}

// Gate returns the operation that gates u by g.
func (l GatedLinears) Gate() Gated {
	return Gated{Fn: l.Fn, Shape: Shape{l.Maps[0].Rows, l.Maps[0].Outs[0]}}
}

func (l GatedLinears) Name() string   { return l.Gate().Name() + l.Linears.Name() }
func (l GatedLinears) MulAdds() int64 { return muladds(l.Stages()) }
func (l GatedLinears) Outputs() []Arg {
	y := l.Gate().Outputs()
	if l.Alone {
		return y
	}
	return append(l.Linears.Outputs(), y...)
}
func (l GatedLinears) Stages() []Stage {
	gu := names(l.Linears.Outputs())
	return []Stage{{l.Linears, names(l.Inputs()), gu}, {l.Gate(), gu, names(l.Gate().Outputs())}}
}

// LinearsGrad is the derivative of Linears: it reads x, the weights, and the
// existing gradients of the results, and writes the sum of the maps' dx, and dw
// and db, if any, of each map.
type LinearsGrad struct {
	Linears
	Has [][]bool // of each map
}

func (l LinearsGrad) Name() string   { return "linears'" }
func (l LinearsGrad) MulAdds() int64 { return muladds(l.Stages()) }
func (l LinearsGrad) grad(k int) LinearGrad {
	return LinearGrad{Linear: l.Maps[k], Has: l.Has[k]}
}
func (l LinearsGrad) Inputs() []Arg {
	in := l.Maps[0].Inputs()[:1]
	for k, m := range l.Maps {
		in = append(in, l.of(k, m.Inputs()[1:2])...)
	}
	for k := range l.Maps {
		in = append(in, l.of(k, l.grad(k).Inputs()[2:])...)
	}
	return in
}

func (l LinearsGrad) Outputs() []Arg {
	out := l.grad(0).Outputs()[:1]
	for k := range l.Maps {
		out = append(out, l.of(k, l.grad(k).Outputs()[1:])...)
	}
	return out
}

func (l LinearsGrad) Stages() (stages []Stage) {
	sum := Stage{Op: ForkGrad{N: len(l.Maps), Shape: Shape{l.Maps[0].Rows, l.Maps[0].In}}, Out: []string{"dx"}}
	for k := range l.Maps {
		g, dx := l.grad(k), l.operand(k, "dx")
		sum.In = append(sum.In, dx)
		stages = append(stages, Stage{g, append([]string{"x"}, names(l.of(k, g.Inputs()[1:]))...), names(l.of(k, g.Outputs()))})
	}
	return append(stages, sum)
}

// CappedCrossEntropy is the CrossEntropy of SoftCap(logits): it reads logits
// and targets.
type CappedCrossEntropy struct {
	CrossEntropy
	Cap float64
}

func (c CappedCrossEntropy) Name() string { return "crossEntropy of softcap" }
func (c CappedCrossEntropy) capped() SoftCap {
	return SoftCap{Cap: c.Cap, Shape: Shape{c.N, c.V}}
}
func (c CappedCrossEntropy) Stages() []Stage {
	return []Stage{
		{c.capped(), []string{"logits"}, []string{"capped"}},
		{c.CrossEntropy, []string{"capped", "targets"}, []string{"loss"}},
	}
}

// CappedCrossEntropyGrad is the derivative of CappedCrossEntropy: it reads
// logits, targets and dloss. Like CrossEntropyGrad it may write dlogits to the
// memory of the logits.
type CappedCrossEntropyGrad struct{ CappedCrossEntropy }

func (c CappedCrossEntropyGrad) Name() string   { return c.CappedCrossEntropy.Name() + "'" }
func (c CappedCrossEntropyGrad) Inputs() []Arg  { return CrossEntropyGrad{N: c.N, V: c.V}.Inputs() }
func (c CappedCrossEntropyGrad) Outputs() []Arg { return CrossEntropyGrad{N: c.N, V: c.V}.Outputs() }
func (c CappedCrossEntropyGrad) Stages() []Stage {
	return []Stage{
		{c.capped(), []string{"logits"}, []string{"capped"}},
		{CrossEntropyGrad{N: c.N, V: c.V}, []string{"capped", "targets", "dloss"}, []string{"dcapped"}},
		{SoftCapGrad{Cap: c.Cap, Shape: Shape{c.N, c.V}}, []string{"capped", "dcapped"}, []string{"dlogits"}},
	}
}

// Over reports which result of an operation may share the memory of which
// input, if the input is of the same type and not read afterwards.
func Over(op Op) (out, in int, ok bool) {
	switch op.(type) {
	case CrossEntropyGrad, CappedCrossEntropyGrad:
		return 0, 0, true
	case LossAndGrad:
		return 1, 0, true
	}
	return 0, 0, false
}
