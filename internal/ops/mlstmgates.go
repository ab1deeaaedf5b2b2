package ops

// MLSTMGates projects [q k v], of N rows and of the given widths, to the
// pre-activations of the input and the forget gate of NH heads: inputs q, k and v
// [N,Widths[0…2]], wi [NH,ΣWidths], bi [NH], wf [NH,ΣWidths], bf [NH], results i~
// and f~ [N,NH].
type MLSTMGates struct {
	computing
	N, NH  int
	Widths [3]int
}

func (g MLSTMGates) Name() string   { return "mLSTM gates" }
func (g MLSTMGates) MulAdds() int64 { return 2 * product(g.N, g.NH, sum(g.Widths[:])) }
func (g MLSTMGates) Inputs() []Arg {
	w := sum(g.Widths[:])
	return []Arg{floats("q", g.N, g.Widths[0]), floats("k", g.N, g.Widths[1]), floats("v", g.N, g.Widths[2]),
		floats("wi", g.NH, w), floats("bi", g.NH), floats("wf", g.NH, w), floats("bf", g.NH)}
}
func (g MLSTMGates) Outputs() []Arg { return []Arg{floats("i", g.N, g.NH), floats("f", g.N, g.NH)} }

// MLSTMGatesGrad is the derivative of MLSTMGates: it reads q, k, v, wi, wf and
// the existing gradients of i~ and f~.
type MLSTMGatesGrad struct {
	MLSTMGates
	Has [2]bool
}

func (g MLSTMGatesGrad) Name() string   { return "mLSTM gates'" }
func (g MLSTMGatesGrad) MulAdds() int64 { return 2 * g.MLSTMGates.MulAdds() }
func (g MLSTMGatesGrad) Outputs() []Arg { return grads(g.MLSTMGates.Inputs()) }
func (g MLSTMGatesGrad) Inputs() []Arg {
	in := g.MLSTMGates.Inputs()
	return gradsOf([]Arg{in[0], in[1], in[2], in[3], in[5]}, g.Has[:], g.MLSTMGates.Outputs())
}
