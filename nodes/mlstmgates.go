package nodes

import (
	"fmt"

	"github.com/gorgonia-xlstm/xlstm/internal/kernels"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
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
	gate := tensor.Shape{s.N, s.NH}
	l := layout{gate, gate}
	packed, err := apply(spec{
		name: "mLSTM gates", attrs: fmt.Sprintf("%+v", s),
		run: kernelPair{mlstmGates[float32](s), mlstmGates[float64](s)},
		diff: func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
			return mlstmGatesDiff(s, l, in, grad)
		},
	}.packed(l), q, k, v, wi, bi, wf, bf)
	if err != nil {
		return nil, nil, err
	}
	gates, err := parts(packed)
	if err != nil {
		return nil, nil, err
	}
	return gates[0], gates[1], nil
}

func newMLSTMGates(q, k, v, wi, bi, wf, bf *gorgonia.Node) (s kernels.MLSTMGates, err error) {
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

// mlstmGatesParams makes a kernel's parameters of the slices wi, bi, wf and bf.
func mlstmGatesParams[F kernels.Float](wi, bi, wf, bf []F) kernels.MLSTMGatesParams[F] {
	return kernels.MLSTMGatesParams[F]{W: [2][]F{wi, wf}, B: [2][]F{bi, bf}}
}

func mlstmGates[F kernels.Float](s kernels.MLSTMGates) kernel[F] {
	return func(out [][]F, in []operand[F]) error {
		x := [3][]F{in[0].data, in[1].data, in[2].data}
		p := mlstmGatesParams(in[3].data, in[4].data, in[5].data, in[6].data)
		kernels.MLSTMGatesForward(s, x, p, [2][]F{out[0], out[1]})
		return nil
	}
}

func mlstmGatesDiff(s kernels.MLSTMGates, l layout, in gorgonia.Nodes, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	dys, err := unput(l, grad)
	if err != nil {
		return nil, err
	}
	some, has := present(dys)
	var lg layout
	for _, n := range in {
		lg = append(lg, n.Shape())
	}
	run := kernelPair{mlstmGatesBackward[float32](s, has), mlstmGatesBackward[float64](s, has)}
	reads := gorgonia.Nodes{in[0], in[1], in[2], in[3], in[5]}
	return packedGrads("mLSTM gates'", fmt.Sprintf("%+v %v", s, has), lg, run, join(reads, some...)...)
}

func mlstmGatesBackward[F kernels.Float](s kernels.MLSTMGates, has []bool) kernel[F] {
	return func(out [][]F, in []operand[F]) error {
		x := [3][]F{in[0].data, in[1].data, in[2].data}
		p := mlstmGatesParams(in[3].data, nil, in[4].data, nil)
		dys := spread(in[5:], has)
		grads := mlstmGatesParams(out[3], out[4], out[5], out[6])
		kernels.MLSTMGatesBackward(s, x, p, [2][]F{dys[0], dys[1]}, [3][]F{out[0], out[1], out[2]}, grads)
		return nil
	}
}
