package ops

// Twin is an operation with its first result written twice, the second time as its
// last result, so that a device may store the two in different types.
type Twin struct{ Op }

func (t Twin) Name() string { return t.Op.Name() + "=" }

// String returns the identity of the operation, of which its fields alone do not tell
// the type; see Key.
func (t Twin) String() string { return "{" + Key(t.Op) + "}" }

func (t Twin) twin() Arg {
	of := t.Op.Outputs()[0]
	return Arg{Name: "twin of " + of.Name, Shape: of.Shape}
}
func (t Twin) Outputs() []Arg {
	out := t.Op.Outputs()
	return append(out[:len(out):len(out)], t.twin())
}
func (t Twin) Stages() []Stage {
	results, shape := names(t.Op.Outputs()), t.twin().Shape
	return []Stage{
		{t.Op, names(t.Op.Inputs()), results},
		{Reshape{From: shape, To: shape}, results[:1], []string{t.twin().Name}},
	}
}
