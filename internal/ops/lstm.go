package ops

// LSTM is a scan of the classic LSTM cell over T steps, as PyTorch's nn.LSTM
// computes one layer:
//
//	g~ = x_g + R_g·h + b_g                       g in i, f, g, o
//	c' = σ(f~)·c + σ(i~)·tanh(g~)
//	h' = σ(o~)·tanh(c')
//
// Inputs are x [B·T,4·H], the gates' input parts in the order i, f, g, o, the
// recurrent weight r [4·H,H] and the bias b [4·H] in the same order; with State
// the old state [2,B,H], h and c, zeros without it; with Resets the integers
// resets [B·T]: the state is zero before a step where they are not 0. Results
// are h [B·T,H], the new state, which may lie in the memory of the old one, and
// the tape, what the backward scan needs of every step, in an order of the
// device's own.
type LSTM struct {
	computing
	B, T, H       int
	State, Resets bool
}

func (s LSTM) Name() string { return "LSTM" }

// MulAdds counts the recurrent product of every step.
func (s LSTM) MulAdds() int64 { return 4 * product(s.B, s.T, s.H, s.H) }

// operands are the inputs but the resets.
func (s LSTM) operands() []Arg {
	in := []Arg{floats("x", s.B*s.T, 4*s.H), floats("r", 4*s.H, s.H), floats("b", 4*s.H)}
	return when(s.State, in, floats("state", 2, s.B, s.H))
}

func (s LSTM) Inputs() []Arg { return when(s.Resets, s.operands(), ints("resets", s.B*s.T)) }
func (s LSTM) Outputs() []Arg {
	return []Arg{floats("h", s.B*s.T, s.H), floats("next state", 2, s.B, s.H), floats("tape", 5*s.B*s.T*s.H)}
}

// LSTMGrad is the derivative of LSTM: it reads R, all results, the old state if
// there is one, the gradients that there are of h and of the new state, and the
// resets.
type LSTMGrad struct {
	LSTM
	Has [2]bool
}

func (s LSTMGrad) Name() string   { return "LSTM'" }
func (s LSTMGrad) MulAdds() int64 { return 2 * s.LSTM.MulAdds() }
func (s LSTMGrad) Outputs() []Arg { return grads(s.operands()) }
func (s LSTMGrad) Inputs() []Arg {
	x, results := s.operands(), s.LSTM.Outputs()
	in := append([]Arg{x[1]}, results...)
	in = append(in, x[3:]...)
	return when(s.Resets, gradsOf(in, s.Has[:], results), ints("resets", s.B*s.T))
}
