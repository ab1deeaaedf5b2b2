package ops

// LossAndGrad is the CrossEntropy of logits, or, with a Cap, of SoftCap(logits), and its
// derivative in one: it reads logits, targets and dloss, and writes the loss and
// dlogits, the latter perhaps to the memory of the logits.
type LossAndGrad struct {
	CrossEntropy
	Cap float64 // 0 for none
}

func (l LossAndGrad) Name() string  { return "loss, loss'" }
func (l LossAndGrad) Inputs() []Arg { return CrossEntropyGrad{N: l.N, V: l.V}.Inputs() }
func (l LossAndGrad) Outputs() []Arg {
	return append(l.CrossEntropy.Outputs(), CrossEntropyGrad{N: l.N, V: l.V}.Outputs()...)
}
func (l LossAndGrad) Stages() []Stage {
	in, loss, grad := []string{"logits", "targets"}, []string{"loss"}, []string{"dlogits"}
	back := []string{"logits", "targets", "dloss"}
	if l.Cap == 0 {
		return []Stage{{l.CrossEntropy, in, loss}, {CrossEntropyGrad{N: l.N, V: l.V}, back, grad}}
	}
	capped := CappedCrossEntropy(l)
	return []Stage{{capped, in, loss}, {CappedCrossEntropyGrad{capped}, back, grad}}
}
