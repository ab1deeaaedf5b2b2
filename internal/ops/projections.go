package ops

// Projections are the inputs of an mLSTM cell of the paper's architecture: q and k
// by head-wise maps of c, v by one of x, and the gates i~ and f~ of all three. The
// maps have the same shape and no bias. It reads c, x, the weights of the maps and
// those of the gates.
type Projections struct {
	computing
	Map   Headwise
	Gates MLSTMGates
}

func (p Projections) Name() string   { return "q, k, v and gates" }
func (p Projections) MulAdds() int64 { return muladds(p.Stages()) }

// rows returns an operand of the width of the maps.
func (p Projections) rows(name string) Arg { return floats(name, p.Map.N, p.Map.Heads*p.Map.In) }

// maps returns the weights of the maps.
func (p Projections) maps() (args []Arg) {
	for _, name := range []string{"wq", "wk", "wv"} {
		args = append(args, floats(name, p.Map.Inputs()[1].Shape...))
	}
	return args
}

func (p Projections) Inputs() []Arg {
	return append(append([]Arg{p.rows("c"), p.rows("x")}, p.maps()...), p.Gates.Inputs()[3:]...)
}
func (p Projections) Outputs() []Arg {
	return append(p.Gates.Inputs()[:3], p.Gates.Outputs()...)
}
func (p Projections) Stages() []Stage {
	return []Stage{
		{p.Map, []string{"c", "wq"}, []string{"q"}},
		{p.Map, []string{"c", "wk"}, []string{"k"}},
		{p.Map, []string{"x", "wv"}, []string{"v"}},
		{p.Gates, names(p.Gates.Inputs()), names(p.Gates.Outputs())},
	}
}

// ProjectionsGrad is the derivative of Projections: it reads c, x, the weights of the
// maps, q, k, v, the weights of the gates, and the gradients of q, k and v by way of
// the cell and of both gates. It writes the gradients of the inputs of Projections.
type ProjectionsGrad struct{ Projections }

func (p ProjectionsGrad) Name() string   { return p.Projections.Name() + "'" }
func (p ProjectionsGrad) MulAdds() int64 { return muladds(p.Stages()) }
func (p ProjectionsGrad) Outputs() []Arg { return grads(p.Projections.Inputs()) }
func (p ProjectionsGrad) Inputs() []Arg {
	in := append(append([]Arg{p.rows("c"), p.rows("x")}, p.maps()...), p.gates().Inputs()[:5]...)
	return append(append(in, grads(p.Gates.Inputs()[:3])...), p.gates().Inputs()[5:]...)
}
func (p ProjectionsGrad) gates() MLSTMGatesGrad {
	return MLSTMGatesGrad{MLSTMGates: p.Gates, Has: [2]bool{true, true}}
}
func (p ProjectionsGrad) Stages() []Stage {
	g, m := p.gates(), HeadwiseGrad{p.Map}
	both := ForkGrad{N: 2, Shape: p.rows("c").Shape}
	return []Stage{
		{g, names(g.Inputs()), append([]string{"dq of gates", "dk of gates", "dv of gates"}, names(g.Outputs()[3:])...)},
		{both, []string{"dq", "dq of gates"}, []string{"all dq"}},
		{both, []string{"dk", "dk of gates"}, []string{"all dk"}},
		{both, []string{"dv", "dv of gates"}, []string{"all dv"}},
		{m, []string{"c", "wq", "all dq"}, []string{"dc of q", "dwq"}},
		{m, []string{"c", "wk", "all dk"}, []string{"dc of k", "dwk"}},
		{m, []string{"x", "wv", "all dv"}, []string{"dx", "dwv"}},
		{both, []string{"dc of q", "dc of k"}, []string{"dc"}},
	}
}
