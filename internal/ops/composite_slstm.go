package ops

// SLSTMMapped is an SLSTM whose gates are block-diagonal maps, a block per head: the
// input and the forget gate of c, the others of x. It reads c, x, the weights wi, wf, wz
// and wo of the maps, and the inputs of SLSTM except the gates.
type SLSTMMapped struct {
	SLSTM
	Map Headwise // each of the maps; it has no bias
}

// slstmMaps are the weights of the maps.
var slstmMaps = []string{"wi", "wf", "wz", "wo"}

func (m SLSTMMapped) Name() string   { return "sLSTM of maps" }
func (m SLSTMMapped) MulAdds() int64 { return muladds(m.Stages()) }

// mapped are c, x and the weights.
func (m SLSTMMapped) mapped() []Arg {
	x, w := m.Map.Inputs()[0], m.Map.Inputs()[1]
	return renamed([]Arg{x, x, w, w, w, w}, append([]string{"c", "x"}, slstmMaps...)...)
}

func (m SLSTMMapped) Inputs() []Arg { return append(m.mapped(), m.SLSTM.Inputs()[4:]...) }

func (m SLSTMMapped) Stages() (stages []Stage) {
	for k, gate := range names(m.SLSTM.Inputs()[:4]) {
		stages = append(stages, Stage{m.Map, []string{slstmSource(k), slstmMaps[k]}, []string{gate}})
	}
	return append(stages, Stage{m.SLSTM, names(m.SLSTM.Inputs()), names(m.SLSTM.Outputs())})
}

// slstmSource is what gate k is a map of.
func slstmSource(k int) string { return [2]string{"c", "x"}[k/2] }

// SLSTMMappedGrad is the derivative of SLSTMMapped: it reads c, x and the weights of the
// maps, and the inputs of SLSTMGrad.
type SLSTMMappedGrad struct {
	SLSTMGrad
	Map Headwise
}

func (m SLSTMMappedGrad) forward() SLSTMMapped {
	return SLSTMMapped{SLSTM: m.SLSTM, Map: m.Map}
}

func (m SLSTMMappedGrad) Name() string   { return "sLSTM of maps'" }
func (m SLSTMMappedGrad) MulAdds() int64 { return muladds(m.Stages()) }
func (m SLSTMMappedGrad) Inputs() []Arg {
	return append(m.forward().mapped(), m.SLSTMGrad.Inputs()...)
}

func (m SLSTMMappedGrad) Outputs() []Arg {
	return append(grads(m.forward().mapped()), m.SLSTMGrad.Outputs()[4:]...)
}

// Stages goes back through the cell and then through the maps.
func (m SLSTMMappedGrad) Stages() []Stage {
	cell := names(m.SLSTMGrad.Outputs())
	stages := []Stage{{m.SLSTMGrad, names(m.SLSTMGrad.Inputs()), cell}}
	var dx [2][]string
	for k, gate := range cell[:4] {
		from := slstmSource(k)
		part := "d" + from + " of " + gate
		dx[k/2] = append(dx[k/2], part)
		stages = append(stages, Stage{HeadwiseGrad{m.Map}, []string{from, slstmMaps[k], gate}, []string{part, "d" + slstmMaps[k]}})
	}
	for k, parts := range dx {
		sum := ForkGrad{N: 2, Shape: m.Map.Inputs()[0].Shape}
		stages = append(stages, Stage{sum, parts, []string{"d" + slstmSource(2*k)}})
	}
	return stages
}
