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
