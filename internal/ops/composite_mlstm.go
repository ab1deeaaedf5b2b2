package ops

// MLSTMEntry is what an mLSTM layer of the paper's architecture computes before its
// cell (figure 11), without the cell's q, k and v: c = SiLU(conv(x)) and, from [q k v],
// the pre-activations i~ and f~ of the gates, where q and k are block-diagonal maps of
// c and v is one of x. It reads x, the weight conv and the bias of the convolution,
// the window if there is one, the weights wq, wk and wv of the maps, wi and bi, wf and
// bf, and the resets if there are any. It writes c, the new window, i~ and f~.
type MLSTMEntry struct {
	Conv Conv
	Map  Headwise // each of the maps; it has no bias
	NH   int
}

func (m MLSTMEntry) Name() string   { return "mLSTM entry" }
func (m MLSTMEntry) Kind() Kind     { return Compute }
func (m MLSTMEntry) MulAdds() int64 { return muladds(m.Stages()) }

// Gates returns the projection to the gates.
func (m MLSTMEntry) Gates() MLSTMGates {
	return MLSTMGates{N: m.Conv.B * m.Conv.T, NH: m.NH, Widths: [3]int{m.Conv.D, m.Conv.D, m.Conv.D}}
}

// renamed returns args under the given names.
func renamed(args []Arg, names ...string) (list []Arg) {
	for k, a := range args {
		a.Name = names[k]
		list = append(list, a)
	}
	return list
}

// conv returns the operands of the convolution but the resets.
func (m MLSTMEntry) conv() []Arg {
	return renamed(m.Conv.operands(), "x", "conv", "bias", "window")
}

// maps returns the weights of the maps.
func (m MLSTMEntry) maps() []Arg { return mapWeights(m.Map) }

func mapWeights(h Headwise) []Arg {
	w := h.Inputs()[1]
	return renamed([]Arg{w, w, w}, "wq", "wk", "wv")
}

func (m MLSTMEntry) reset(in []Arg) []Arg {
	return when(m.Conv.Resets, in, ints("resets", m.Conv.B*m.Conv.T))
}

func (m MLSTMEntry) Inputs() []Arg {
	return m.reset(append(append(m.conv(), m.maps()...), m.Gates().Inputs()[3:]...))
}

func (m MLSTMEntry) Outputs() []Arg {
	return append(renamed(m.Conv.Outputs(), "c", "next window"), m.Gates().Outputs()...)
}

// Stages computes the results one after the other.
func (m MLSTMEntry) Stages() []Stage {
	return append(m.projected(), Stage{m.Gates(), names(m.Gates().Inputs()), []string{"i", "f"}})
}

// projected are the stages up to q, k and v.
func (m MLSTMEntry) projected() []Stage {
	return append([]Stage{{m.Conv, names(m.reset(m.conv())), []string{"c", "next window"}}}, mapped(m.Map)...)
}

// mapped are the stages from c and x to q, k and v.
func mapped(h Headwise) []Stage {
	return []Stage{{h, []string{"c", "wq"}, []string{"q"}}, {h, []string{"c", "wk"}, []string{"k"}}, {h, []string{"x", "wv"}, []string{"v"}}}
}

// MLSTMEntryGrad is the derivative of MLSTMEntry: it reads x, conv, bias, the window,
// wq, wk, wv, wi and wf, the gradients of q, k, v, i~ and f~, the gradient of c that
// comes from other readers, and the resets.
type MLSTMEntryGrad struct{ MLSTMEntry }

func (m MLSTMEntryGrad) Name() string   { return "mLSTM entry'" }
func (m MLSTMEntryGrad) MulAdds() int64 { return muladds(m.Stages()) }

func (m MLSTMEntryGrad) gates() MLSTMGatesGrad {
	return MLSTMGatesGrad{MLSTMGates: m.Gates(), Has: [2]bool{true, true}}
}

func (m MLSTMEntryGrad) Inputs() []Arg {
	g := m.Gates()
	in := append(append(m.conv(), m.maps()...), g.Inputs()[3], g.Inputs()[5])
	in = append(in, grads(append(g.Inputs()[:3], g.Outputs()...))...)
	return m.reset(append(in, Arg{Name: "dc", Shape: Shape{m.Conv.B * m.Conv.T, m.Conv.D}}))
}

func (m MLSTMEntryGrad) Outputs() []Arg {
	return grads(append(append(m.conv(), m.maps()...), m.Gates().Inputs()[3:]...))
}

// Stages computes c, q, k and v again, and then goes back through them.
func (m MLSTMEntryGrad) Stages() []Stage {
	stages := append(m.projected(), Stage{m.gates(), []string{"q", "k", "v", "wi", "wf", "di", "df"},
		[]string{"dq of gates", "dk of gates", "dv of gates", "dwi", "dbi", "dwf", "dbf"}})
	for _, p := range [][2]string{{"q", "c"}, {"k", "c"}, {"v", "x"}} {
		y, x := p[0], p[1]
		stages = append(stages,
			m.sum("sum of d"+y, "d"+y+" of gates", "d"+y),
			Stage{HeadwiseGrad{m.Map}, []string{x, "w" + y, "sum of d" + y}, []string{"d" + x + " of " + y, "dw" + y}})
	}
	conv := ConvGrad{Conv: m.Conv, Has: [2]bool{true, false}}
	in := append(names(m.conv()), "sum of dc")
	if m.Conv.Resets {
		in = append(in, "resets")
	}
	return append(stages, m.sum("sum of dc", "dc of q", "dc of k", "dc"),
		Stage{conv, in, append([]string{"dx of conv"}, names(grads(m.conv()))[1:]...)},
		m.sum("dx", "dx of conv", "dx of v"))
}

func (m MLSTMEntryGrad) sum(to string, from ...string) Stage {
	return Stage{ForkGrad{N: len(from), Shape: Shape{m.Conv.B * m.Conv.T, m.Conv.D}}, from, []string{to}}
}

// MLSTMExit is y = (Norm(h) + skip⊙c)⊙SiLU(z), what an mLSTM layer of the paper's
// architecture computes after its cell (figure 11): it reads h and the weight w of
// the norm, if it has one, c, skip and z.
type MLSTMExit struct{ Norm }

func (m MLSTMExit) Name() string   { return "mLSTM exit" }
func (m MLSTMExit) gate() SkipGate { return SkipGate{N: m.N, D: m.Width} }
func (m MLSTMExit) norm() []Arg {
	return renamed(m.Norm.Inputs(), "h", "w")
}
func (m MLSTMExit) Inputs() []Arg { return append(m.norm(), m.gate().Inputs()[1:]...) }
func (m MLSTMExit) Stages() []Stage {
	return []Stage{
		{m.Norm, names(m.norm()), []string{"normed"}},
		{m.gate(), []string{"normed", "c", "skip", "z"}, []string{"y"}},
	}
}

// MLSTMExitGrad is the derivative of MLSTMExit: it reads its inputs and dy.
type MLSTMExitGrad struct{ MLSTMExit }

func (m MLSTMExitGrad) Name() string { return "mLSTM exit'" }
func (m MLSTMExitGrad) Inputs() []Arg {
	return append(m.MLSTMExit.Inputs(), floats("dy", m.N, m.Width))
}
func (m MLSTMExitGrad) Outputs() []Arg { return grads(m.MLSTMExit.Inputs()) }
func (m MLSTMExitGrad) Stages() []Stage {
	return []Stage{
		m.MLSTMExit.Stages()[0],
		{SkipGateGrad(m.gate()), []string{"normed", "c", "skip", "z", "dy"}, []string{"dnormed", "dc", "dskip", "dz"}},
		{NormGrad{m.Norm}, append(names(m.norm()), "dnormed"), names(grads(m.norm()))},
	}
}

// MLSTMMapped is an MLSTM whose q and k are block-diagonal maps of c, and whose v is
// one of x: it reads c, x, the weights wq, wk and wv of the maps, and the inputs of
// MLSTM except q, k and v. An Alone one does not write the new memory, because nothing
// reads it.
type MLSTMMapped struct {
	MLSTM
	Map   Headwise // each of the maps; it has no bias
	Alone bool
}

func (m MLSTMMapped) Name() string   { return "mLSTM of maps" }
func (m MLSTMMapped) MulAdds() int64 { return muladds(m.Stages()) }

// mapped replaces q, k and v at the beginning of args.
func (m MLSTMMapped) mapped(args []Arg) []Arg {
	x := m.Map.Inputs()[0].Shape
	return append(append([]Arg{{Name: "c", Shape: x}, {Name: "x", Shape: x}}, mapWeights(m.Map)...), args[3:]...)
}

func (m MLSTMMapped) Inputs() []Arg { return m.mapped(m.MLSTM.Inputs()) }
func (m MLSTMMapped) Outputs() []Arg {
	if m.Alone {
		return m.spared()
	}
	return m.MLSTM.Outputs()
}
func (m MLSTMMapped) Stages() []Stage {
	return append(mapped(m.Map), Stage{m.MLSTM, names(m.MLSTM.Inputs()), names(m.MLSTM.Outputs())})
}

// MLSTMMappedGrad is MLSTMGrad with the inputs of MLSTMMapped in the place of q, k and
// v. It writes the gradients of q, k and v all the same.
type MLSTMMappedGrad struct {
	MLSTMGrad
	Map Headwise
}

func (m MLSTMMappedGrad) Name() string   { return "mLSTM of maps'" }
func (m MLSTMMappedGrad) MulAdds() int64 { return muladds(m.Stages()) }
func (m MLSTMMappedGrad) Inputs() []Arg {
	return MLSTMMapped{Map: m.Map}.mapped(m.MLSTMGrad.Inputs())
}
func (m MLSTMMappedGrad) Stages() []Stage {
	return append(mapped(m.Map), Stage{m.MLSTMGrad, names(m.MLSTMGrad.Inputs()), names(m.MLSTMGrad.Outputs())})
}

// MLSTMOutput is MLSTM without the new memory, which nothing reads.
type MLSTMOutput struct{ MLSTM }

func (m MLSTMOutput) Name() string   { return "mLSTM output" }
func (m MLSTMOutput) Outputs() []Arg { return m.spared() }
func (m MLSTMOutput) Stages() []Stage {
	return []Stage{{m.MLSTM, names(m.MLSTM.Inputs()), names(m.MLSTM.Outputs())}}
}
