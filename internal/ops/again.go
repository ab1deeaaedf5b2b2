package ops

// LinearGradAgain is the derivative of z = y·Wᵀ, where y is computed again by an
// operation, and of that operation: it reads the inputs of the operation, W and dz, and
// writes the gradients of those inputs and of W. A device so computes y in the pass
// that reads dy.
type LinearGradAgain struct {
	computing
	Inner Op     // a Gated or a GatedNorm
	Map   Linear // of one result and without a bias
}

const (
	againWeight = "weights of the map"
	againUp     = "gradient of the map"
)

// grad returns the derivative of Inner, which reads the inputs of Inner and dy; nil if
// Inner is no operation for LinearGradAgain.
func (l LinearGradAgain) grad() Op {
	switch op := l.Inner.(type) {
	case Gated:
		return GatedGrad(op)
	case GatedNorm:
		return GatedNormGrad{op}
	}
	return nil
}

// Fits reports whether the operation is one for LinearGradAgain with the map.
func (l LinearGradAgain) Fits() bool {
	return l.grad() != nil && len(l.Map.Outs) == 1 && !l.Map.Bias
}

func (l LinearGradAgain) Name() string   { return "linear' of " + l.Inner.Name() }
func (l LinearGradAgain) MulAdds() int64 { return muladds(l.Stages()) }
func (l LinearGradAgain) Inputs() []Arg {
	in := l.Inner.Inputs()
	w, z := l.Map.Inputs()[1], l.Map.Outputs()[0]
	return append(in[:len(in):len(in)], Arg{Name: againWeight, Shape: w.Shape}, Arg{Name: againUp, Shape: z.Shape})
}
func (l LinearGradAgain) Outputs() []Arg {
	return append(l.grad().Outputs(), Arg{Name: "d" + againWeight, Shape: l.Map.Inputs()[1].Shape})
}
func (l LinearGradAgain) Stages() []Stage {
	in := names(l.Inner.Inputs())
	return []Stage{
		{l.Inner, in, []string{"y"}},
		{LinearGrad{Linear: l.Map, Has: []bool{true}}, []string{"y", againWeight, againUp}, []string{"dy", "d" + againWeight}},
		{l.grad(), append(in[:len(in):len(in)], "dy"), names(l.grad().Outputs())},
	}
}

// LinearsGradAgain is the derivative of Linears of a norm's result, which is computed
// again, and of that norm, to whose dx more is added: it reads the inputs of the norm,
// those of the derivative of Linears but the first, and more. It writes what NormGradAdd
// writes, and the gradients of the maps' weights and biases. A device so computes the
// norm's result in the pass of the norm's derivative.
type LinearsGradAgain struct {
	LinearsGrad
	Norm Norm
}

func (l LinearsGradAgain) Name() string   { return l.LinearsGrad.Name() + " of " + l.Norm.Name() }
func (l LinearsGradAgain) MulAdds() int64 { return l.LinearsGrad.MulAdds() }
func (l LinearsGradAgain) add() NormGradAdd {
	return NormGradAdd{Norm: l.Norm}
}
func (l LinearsGradAgain) Inputs() []Arg {
	norm, more := l.Norm.Inputs(), l.add().Inputs()
	in := append(norm[:len(norm):len(norm)], l.LinearsGrad.Inputs()[1:]...)
	return append(in, more[len(more)-1])
}
func (l LinearsGradAgain) Outputs() []Arg {
	return append(l.add().Outputs(), l.LinearsGrad.Outputs()[1:]...)
}
func (l LinearsGradAgain) Stages() []Stage {
	norm, grad := names(l.Norm.Inputs()), names(l.add().Inputs())
	grad[len(norm)] = "dy of the norm"
	return []Stage{
		{l.Norm, norm, []string{"y of the norm"}},
		{l.LinearsGrad, append([]string{"y of the norm"}, names(l.LinearsGrad.Inputs()[1:])...), append([]string{"dy of the norm"}, names(l.LinearsGrad.Outputs()[1:])...)},
		{l.add(), grad, names(l.add().Outputs())},
	}
}
