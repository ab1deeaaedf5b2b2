package ops

// Norm normalises each of Groups equal column blocks of every row of x [N,Width],
//
//	y = (x − μ)/√(var + Eps) · w
//
// Without Centered μ is taken as 0, also in var (RMSNorm). Weight adds the
// input w [Width], the factor of each column, 1 without it; with Residual it is
// 1+w. Groups is 1 for a layer norm, and NH for the norm after a cell.
type Norm struct {
	elementary
	N, Width, Groups           int
	Eps                        float64
	Centered, Residual, Weight bool
}

func (n Norm) Name() string {
	switch {
	case !n.Centered:
		return "rmsNorm"
	case n.Groups > 1:
		return "headNorm"
	}
	return "layerNorm"
}

func (n Norm) Outputs() []Arg { return []Arg{floats("y", n.N, n.Width)} }
func (n Norm) Inputs() []Arg {
	return when(n.Weight, []Arg{floats("x", n.N, n.Width)}, floats("w", n.Width))
}

// NormGrad is the derivative of Norm: it reads its inputs and dy.
type NormGrad struct{ Norm }

func (n NormGrad) Name() string   { return "norm'" }
func (n NormGrad) Inputs() []Arg  { return append(n.Norm.Inputs(), floats("dy", n.N, n.Width)) }
func (n NormGrad) Outputs() []Arg { return grads(n.Norm.Inputs()) }
