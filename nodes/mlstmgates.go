package nodes

import (
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"gorgonia.org/gorgonia"
)

// MLSTMGates returns the pre-activations of the mLSTM's input and forget gates,
// i~ = [q k v]·Wiᵀ + bi and f~ = [q k v]·Wfᵀ + bf, in one pass over q, k and v:
// q and k (N, NH·DQK), v (N, NH·DHV), wi and wf (NH, NH·(2·DQK+DHV)), bi and bf
// (NH), i~ and f~ (N, NH).
func MLSTMGates(q, k, v, wi, bi, wf, bf *gorgonia.Node) (i, f *gorgonia.Node, err error) {
	s, err := newMLSTMGates(q, k, v, wi, bi, wf, bf)
	if err != nil {
		return nil, nil, err
	}
	gates, err := results(spec{op: s, diff: func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		return mlstmGatesDiff(s, in, grad)
	}}, q, k, v, wi, bi, wf, bf)
	if err != nil {
		return nil, nil, err
	}
	return gates[0], gates[1], nil
}

func newMLSTMGates(q, k, v, wi, bi, wf, bf *gorgonia.Node) (s ops.MLSTMGates, err error) {
	if err := firstError(wantShape("MLSTMGates", "q", q, -1, -1), sameShape("MLSTMGates", q, k), wantShape("MLSTMGates", "wi", wi, -1, -1)); err != nil {
		return s, err
	}
	s.N, s.NH = q.Shape()[0], wi.Shape()[0]
	if err := wantShape("MLSTMGates", "v", v, s.N, -1); err != nil {
		return s, err
	}
	s.Widths = [3]int{q.Shape()[1], k.Shape()[1], v.Shape()[1]}
	width := sum(s.Widths[:])
	return s, firstError(wantShape("MLSTMGates", "wi", wi, s.NH, width), wantShape("MLSTMGates", "wf", wf, s.NH, width),
		wantShape("MLSTMGates", "bi", bi, s.NH), wantShape("MLSTMGates", "bf", bf, s.NH))
}

func mlstmGatesDiff(s ops.MLSTMGates, in gorgonia.Nodes, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	dys, err := unput(2, grad)
	if err != nil {
		return nil, err
	}
	some, has := present(dys)
	reads := gorgonia.Nodes{in[0], in[1], in[2], in[3], in[5]}
	return gradients(ops.MLSTMGatesGrad{MLSTMGates: s, Has: [2]bool(has)}, join(reads, some...)...)
}
