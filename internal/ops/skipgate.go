package ops

// SkipGate is y = (h + skip⊙c)⊙SiLU(z), the exit of the mLSTM layer (paper,
// figure 11): h, c, z, y [N,D], skip [D].
type SkipGate struct {
	elementary
	N, D int
}

func (s SkipGate) Name() string   { return "skip·gate" }
func (s SkipGate) Outputs() []Arg { return []Arg{floats("y", s.N, s.D)} }
func (s SkipGate) Inputs() []Arg {
	return []Arg{floats("h", s.N, s.D), floats("c", s.N, s.D), floats("skip", s.D), floats("z", s.N, s.D)}
}

// SkipGateGrad is the derivative of SkipGate: it reads its inputs and dy.
type SkipGateGrad struct {
	elementary
	N, D int
}

func (s SkipGateGrad) Name() string   { return "skip·gate'" }
func (s SkipGateGrad) Outputs() []Arg { return grads(SkipGate{N: s.N, D: s.D}.Inputs()) }
func (s SkipGateGrad) Inputs() []Arg {
	return append(SkipGate{N: s.N, D: s.D}.Inputs(), floats("dy", s.N, s.D))
}
