package nodes

import (
	"fmt"
	"math"

	"github.com/gorgonia-xlstm/xlstm/internal/kernels"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// SLSTMConfig describes an sLSTM cell.
type SLSTMConfig struct {
	Batch, NumHeads int
	// GradientClip bounds each element of the gradient that flows back through
	// the recurrence into the output of the step before; 0 means no bound.
	GradientClip float64
	// CutGradient lets no gradient through the recurrence at all.
	CutGradient bool
	// Resets (B·T integers, nil for none) are not 0 where a document begins: the
	// state is zero before such a step.
	Resets *gorgonia.Node
}

func (cfg SLSTMConfig) bound() float64 {
	switch {
	case cfg.CutGradient:
		return 0
	case cfg.GradientClip > 0:
		return cfg.GradientClip
	}
	return math.Inf(1)
}

// SLSTM scans an sLSTM cell over a sequence (paper, equations 8–17):
//
//	g~ = x_g + R_g·y + b_g                       g in i, f, z, o
//	m' = max(log σ(f~) + m, i~)
//	c' = f'·c + i'·tanh(z~);  n' = f'·n + i';  y' = σ(o~)·c'/n'
//
// with the stabilised exponential gates i' = exp(i~ − m') and
// f' = exp(log σ(f~) + m − m'). i, f, z, o (B·T, D) are the gates' inputs, R
// (NH, 4·DH, DH) the recurrent kernel, in each head gate by gate in the order i,
// f, z, o, bias (4·D) gate by gate. state (4, B, D) holds y, c, n, m; nil for
// zeros. It returns y (B·T, D) and the new state.
func SLSTM(cfg SLSTMConfig, i, f, z, o, r, bias, state *gorgonia.Node) (y, newState *gorgonia.Node, err error) {
	s, err := newSLSTM(cfg, i, f, z, o, r, bias, state)
	if err != nil {
		return nil, nil, err
	}
	in := gorgonia.Nodes{i, f, z, o, r, bias}
	if state != nil {
		in = append(in, state)
	}
	in = withResets(in, cfg.Resets)
	l := layout{i.Shape(), tensor.Shape{4, s.B, s.NH * s.DH}, tensor.Shape{s.TapeSize()}}
	packed, err := apply(spec{
		name: "sLSTM", attrs: fmt.Sprintf("%+v", s), ints: resetInput(in, cfg.Resets),
		run: kernelPair{slstmForward[float32](s), slstmForward[float64](s)},
		diff: func(in gorgonia.Nodes, out, grad *gorgonia.Node) (gorgonia.Nodes, error) {
			return slstmDiff(s, l, in, out, grad)
		},
	}.packed(l), in...)
	if err != nil {
		return nil, nil, err
	}
	if y, err = part(packed, 0); err != nil {
		return nil, nil, err
	}
	newState, err = part(packed, 1)
	return y, newState, err
}

func newSLSTM(cfg SLSTMConfig, i, f, z, o, r, bias, state *gorgonia.Node) (kernels.SLSTM, error) {
	var s kernels.SLSTM
	if err := firstError(sameShape("SLSTM", i, f, z, o), wantShape("SLSTM", "i", i, -1, -1), wantRows("SLSTM", i, cfg.Batch), wantHeads("SLSTM", i, cfg.NumHeads)); err != nil {
		return s, err
	}
	if !(cfg.GradientClip >= 0) {
		return s, errors.Errorf("nodes: SLSTM: a gradient clip of %v; it must be positive, or 0 for none", cfg.GradientClip)
	}
	rows, d := i.Shape()[0], i.Shape()[1]
	s = kernels.SLSTM{B: cfg.Batch, T: rows / cfg.Batch, NH: cfg.NumHeads, DH: d / cfg.NumHeads, Clip: cfg.bound()}
	if err := firstError(wantShape("SLSTM", "r", r, s.NH, 4*s.DH, s.DH), wantShape("SLSTM", "bias", bias, 4*d), wantResets("SLSTM", cfg.Resets, rows)); err != nil || state == nil {
		return s, err
	}
	return s, wantShape("SLSTM", "state", state, 4, s.B, d)
}

func slstmForward[F kernels.Float](s kernels.SLSTM) kernel[F] {
	return func(out [][]F, in []operand[F]) error {
		s := s
		in, s.Resets = takeResets(in)
		x := [4][]F{in[0].data, in[1].data, in[2].data, in[3].data}
		tape := kernels.SLSTMTapeOf(s, out[2])
		kernels.SLSTMForward(s, x, in[4].data, in[5].data, optional(in, 6, len(in) > 6), out[0], out[1], tape)
		return nil
	}
}

// slstmDiff adds the backward scan. It reads the kernel, the old state, both
// parts of the result, the tape, and the gradients.
func slstmDiff(s kernels.SLSTM, l layout, in gorgonia.Nodes, out, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	grads, err := unput(l, grad)
	if err != nil {
		return nil, err
	}
	some, has := present(grads[:2])
	in, resets := cutResets(in)
	results, err := parts(out)
	if err != nil {
		return nil, err
	}
	var lg layout
	for _, n := range in {
		lg = append(lg, n.Shape())
	}
	run := kernelPair{slstmBackward[float32](s, lg, has), slstmBackward[float64](s, lg, has)}
	reads := join(gorgonia.Nodes{in[4], results[0], results[1], results[2]}, in[6:]...)
	return resetGrads("sLSTM'", fmt.Sprintf("%+v %v", s, has), lg, run, resets, join(reads, some...)...)
}

func slstmBackward[F kernels.Float](s kernels.SLSTM, lg layout, has []bool) kernel[F] {
	return func(out [][]F, in []operand[F]) error {
		s := s
		in, s.Resets = takeResets(in)
		withState := len(lg) > 6
		rest := in[4:]
		grads := kernels.SLSTMGrads[F]{R: out[4], Bias: out[5]}
		for k := range grads.X {
			grads.X[k] = out[k]
		}
		if withState {
			grads.State = out[6]
			rest = rest[1:]
		}
		dys := spread(rest, has)
		tape := kernels.SLSTMTapeOf(s, in[3].data)
		kernels.SLSTMBackward(s, in[0].data, optional(in, 4, withState), in[1].data, in[2].data, tape, dys[0], dys[1], grads)
		return nil
	}
}
