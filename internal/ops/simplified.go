package ops

// Simplified is a scan over T steps of the simplified cell that articles present
// as xLSTM:
//
//	g~ = x_g + R_g·h                             g in i, f, o, g
//	i = exp(LN_i(i~));  f = σ(LN_f(f~));  o = σ(o~);  g = tanh(g~)
//	C' = f·C + i·(g·M)
//	h' = o·tanh(C')
//
// with the layer norms LN(a) = γ·(a−μ)/√(var+Eps) + β over all units. Inputs are x
// [B·T,4·H], the gates' input parts in the order i, f, o, g, the recurrent weight r
// [4·H,H] in the same order, norms [4·H], γ_i, β_i, γ_f and β_f, and m [H,H],
// input first; with State the old state [2,B,H], h and C, zeros without it; with
// Resets the integers resets [B·T]: the state is zero before a step where they are
// not 0. Results are h [B·T,H], the new state, which may lie in the memory of the
// old one, and the tape, what the backward scan needs of every step, in an order of
// the device's own.
type Simplified struct {
	computing
	B, T, H       int
	Eps           float64
	State, Resets bool
}

func (s Simplified) Name() string { return "simplified" }

// MulAdds counts the two products of every step.
func (s Simplified) MulAdds() int64 { return 5 * product(s.B, s.T, s.H, s.H) }

// operands are the inputs but the resets.
func (s Simplified) operands() []Arg {
	in := []Arg{floats("x", s.B*s.T, 4*s.H), floats("r", 4*s.H, s.H), floats("norms", 4*s.H), floats("m", s.H, s.H)}
	return when(s.State, in, floats("state", 2, s.B, s.H))
}

func (s Simplified) Inputs() []Arg { return when(s.Resets, s.operands(), ints("resets", s.B*s.T)) }
func (s Simplified) Outputs() []Arg {
	return []Arg{floats("h", s.B*s.T, s.H), floats("next state", 2, s.B, s.H), floats("tape", 8*s.B*s.T*s.H)}
}

// SimplifiedGrad is the derivative of Simplified: it reads r, norms and m, all
// results, the old state if there is one, the gradients that there are of h and of
// the new state, and the resets.
type SimplifiedGrad struct {
	Simplified
	Has [2]bool
}

func (s SimplifiedGrad) Name() string   { return "simplified'" }
func (s SimplifiedGrad) MulAdds() int64 { return 2 * s.Simplified.MulAdds() }
func (s SimplifiedGrad) Outputs() []Arg { return grads(s.operands()) }
func (s SimplifiedGrad) Inputs() []Arg {
	x, results := s.operands(), s.Simplified.Outputs()
	in := append(append([]Arg{}, x[1:4]...), results...)
	in = append(in, x[4:]...)
	return when(s.Resets, gradsOf(in, s.Has[:], results), ints("resets", s.B*s.T))
}
