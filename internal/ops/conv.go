package ops

// Conv is a causal depthwise convolution over time, separate for each channel,
//
//	y[t] = b + Σ_j w[j]·x[t−(K−1)+j],  j = 0 … K−1
//
// followed by SiLU if set: x and y [B·T,D], w [D,1,K], b [D]. Window adds the
// input window [B,K,D], the last K inputs before the first step, newest last,
// zeros without it; its oldest row is not read. The second result is the window
// after the last step, which may share the memory of the first. Resets adds the
// input resets [B·T]: where it is not 0, all inputs before that step are taken
// as zeros, also in the new window.
type Conv struct {
	computing
	B, T, D, K           int
	SiLU, Window, Resets bool
}

func (c Conv) Name() string {
	if c.SiLU {
		return "conv·silu"
	}
	return "conv"
}

func (c Conv) MulAdds() int64 { return product(c.B, c.T, c.D, c.K) }

// operands are the inputs but the resets.
func (c Conv) operands() []Arg {
	in := []Arg{floats("x", c.B*c.T, c.D), floats("w", c.D, 1, c.K), floats("b", c.D)}
	return when(c.Window, in, floats("window", c.B, c.K, c.D))
}
func (c Conv) Inputs() []Arg { return when(c.Resets, c.operands(), ints("resets", c.B*c.T)) }
func (c Conv) Outputs() []Arg {
	return []Arg{floats("y", c.B*c.T, c.D), floats("next window", c.B, c.K, c.D)}
}

// ConvGrad is the derivative of Conv: it reads the inputs of Conv except the
// resets, the existing gradients of y and of the new window, and the resets.
type ConvGrad struct {
	Conv
	Has [2]bool
}

func (c ConvGrad) Name() string { return "conv'" }

// MulAdds includes the recomputation of the values before the activation.
func (c ConvGrad) MulAdds() int64 { return 3 * c.Conv.MulAdds() }
func (c ConvGrad) Outputs() []Arg { return grads(c.operands()) }
func (c ConvGrad) Inputs() []Arg {
	return when(c.Resets, gradsOf(c.operands(), c.Has[:], c.Conv.Outputs()), ints("resets", c.B*c.T))
}
