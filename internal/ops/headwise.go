package ops

// Headwise is a block-diagonal linear map: Heads independent maps from In to Out
// columns, y[h·Out+o] = Σ_i W[h,o,i]·x[h·In+i] + b[h·Out+o]: x [N,Heads·In], b
// [Heads·Out] if Bias is set, y [N,Heads·Out].
//
// The weight is [Heads,Stride,In]; of each head's Stride rows the map uses Out,
// beginning at Row. A plain map has Row 0 and Stride Out; the recurrent kernel of
// the sLSTM holds four such maps, its gates, side by side.
type Headwise struct {
	computing
	N, Heads, In, Out, Row, Stride int
	Bias                           bool
}

func (h Headwise) Name() string   { return "headwise" }
func (h Headwise) MulAdds() int64 { return product(h.N, h.Heads, h.In, h.Out) }
func (h Headwise) Inputs() []Arg {
	in := []Arg{floats("x", h.N, h.Heads*h.In), floats("w", h.Heads, h.Stride, h.In)}
	return when(h.Bias, in, floats("b", h.Heads*h.Out))
}
func (h Headwise) Outputs() []Arg { return []Arg{floats("y", h.N, h.Heads*h.Out)} }

// HeadwiseGrad is the derivative of Headwise: it reads x, w and dy. Rows of dw
// that the map does not use become zero.
type HeadwiseGrad struct{ Headwise }

func (h HeadwiseGrad) Name() string   { return "headwise'" }
func (h HeadwiseGrad) MulAdds() int64 { return 2 * h.Headwise.MulAdds() }
func (h HeadwiseGrad) Outputs() []Arg { return grads(h.Headwise.Inputs()) }
func (h HeadwiseGrad) Inputs() []Arg {
	return append(h.Headwise.Inputs()[:2], floats("dy", h.N, h.Heads*h.Out))
}
