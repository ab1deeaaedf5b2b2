package ops

// EmbeddedLinear is Linear of the rows of an embedding: it reads ids [Rows],
// table [V,In], and the weight and the bias, if any, of the map. A device that
// has it can map the V rows of the table instead of the Rows that are looked up.
type EmbeddedLinear struct {
	Linear
	V int
}

func (e EmbeddedLinear) Name() string   { return "linear of embedding" }
func (e EmbeddedLinear) MulAdds() int64 { return product(e.V, e.In, sum(e.Outs)) }
func (e EmbeddedLinear) Inputs() []Arg {
	return append([]Arg{ints("ids", e.Rows), floats("table", e.V, e.In)}, e.Linear.Inputs()[1:]...)
}

// lookup is the embedding that the map reads.
func (e EmbeddedLinear) lookup() Stage {
	return Stage{Embedding{N: e.Rows, V: e.V, D: e.In}, []string{"ids", "table"}, []string{"x"}}
}

func (e EmbeddedLinear) Stages() []Stage {
	return []Stage{e.lookup(), {e.Linear, names(e.Linear.Inputs()), names(e.Outputs())}}
}

// EmbeddedLinearGrad is the derivative of EmbeddedLinear: it reads ids, the table,
// the weight and the gradients of all results, and writes those of the table, the
// weight and the bias, if any.
type EmbeddedLinearGrad struct{ EmbeddedLinear }

func (e EmbeddedLinearGrad) Name() string   { return e.EmbeddedLinear.Name() + "'" }
func (e EmbeddedLinearGrad) MulAdds() int64 { return 2 * e.EmbeddedLinear.MulAdds() }
func (e EmbeddedLinearGrad) grad() LinearGrad {
	has := make([]bool, len(e.Outs))
	for o := range has {
		has[o] = true
	}
	return LinearGrad{Linear: e.Linear, Has: has}
}
func (e EmbeddedLinearGrad) Inputs() []Arg {
	return append(e.EmbeddedLinear.Inputs()[:2], e.grad().Inputs()[1:]...)
}
func (e EmbeddedLinearGrad) Outputs() []Arg { return grads(e.EmbeddedLinear.Inputs()) }
func (e EmbeddedLinearGrad) Stages() []Stage {
	g := e.grad()
	return []Stage{
		e.lookup(),
		{g, names(g.Inputs()), names(g.Outputs())},
		{EmbeddingGrad{N: e.Rows, V: e.V, D: e.In}, []string{"ids", "dx"}, []string{"dtable"}},
	}
}
