package ops

// SLSTM is a scan of the sLSTM cell (paper, section 2.2) over T steps:
//
//	g~ = x_g + R_g·y + b_g                       g in i, f, z, o; R per head
//	m' = max(log σ(f~) + m, i~)                  i~ alone where n = 0
//	i' = exp(i~ − m');  f' = exp(log σ(f~) + m − m')
//	c' = f'·c + i'·tanh(z~);  n' = f'·n + i'
//	y' = σ(o~)·c'/n'
//
// With D = NH·DH, inputs are x_i, x_f, x_z and x_o [B·T,D], R [NH,4·DH,DH] (head,
// then gate and output, then input), b [4·D], gate by gate; with State the old
// state [4,B,D], y, c, n and m, zeros without it; with Resets the integers resets
// [B·T]: the state is zero before a step where they are not 0. Results are y
// [B·T,D], the new state, which may lie in the memory of the old one, and the
// tape, what the backward scan needs of every step, in an order of the device's
// own.
type SLSTM struct {
	computing
	B, T, NH, DH int
	// Clip bounds the gradient that flows back into y of the step before; +∞ for
	// no bound, 0 to cut it.
	Clip          float64
	State, Resets bool
}

func (s SLSTM) Name() string { return "sLSTM" }

// MulAdds counts the recurrent product of every step.
func (s SLSTM) MulAdds() int64 { return 4 * product(s.B, s.T, s.NH, s.DH, s.DH) }

// operands are the inputs but the resets.
func (s SLSTM) operands() (in []Arg) {
	d := s.NH * s.DH
	for _, gate := range []string{"i", "f", "z", "o"} {
		in = append(in, floats(gate, s.B*s.T, d))
	}
	in = append(in, floats("r", s.NH, 4*s.DH, s.DH), floats("b", 4*d))
	return when(s.State, in, floats("state", 4, s.B, d))
}

func (s SLSTM) Inputs() []Arg { return when(s.Resets, s.operands(), ints("resets", s.B*s.T)) }
func (s SLSTM) Outputs() []Arg {
	d := s.NH * s.DH
	return []Arg{floats("y", s.B*s.T, d), floats("next state", 4, s.B, d), floats("tape", 7*s.B*s.T*d)}
}

// SLSTMGrad is the derivative of SLSTM: it reads R, all results, the old state if
// there is one, the gradients that there are of y and of the new state, and the
// resets.
type SLSTMGrad struct {
	SLSTM
	Has [2]bool
}

func (s SLSTMGrad) Name() string   { return "sLSTM'" }
func (s SLSTMGrad) MulAdds() int64 { return 2 * s.SLSTM.MulAdds() }
func (s SLSTMGrad) Outputs() []Arg { return grads(s.operands()) }
func (s SLSTMGrad) Inputs() []Arg {
	x, results := s.operands(), s.SLSTM.Outputs()
	in := append([]Arg{x[4]}, results...)
	in = append(in, x[6:]...)
	return when(s.Resets, gradsOf(in, s.Has[:], results), ints("resets", s.B*s.T))
}
