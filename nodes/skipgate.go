package nodes

import (
	"github.com/gorgonia-xlstm/xlstm/internal/kernels"
	"gorgonia.org/gorgonia"
)

// SkipGate returns (h + skip⊙c)⊙SiLU(z), the way out of the mLSTM layer (paper,
// figure 11): h the normalised cell output, c what the convolution gave, z the
// other half of the up-projection, all (N, D); skip (D).
func SkipGate(h, c, skip, z *gorgonia.Node) (*gorgonia.Node, error) {
	if err := sameShape("SkipGate", h, c, z); err != nil {
		return nil, err
	}
	if err := wantShape("SkipGate", "h", h, -1, -1); err != nil {
		return nil, err
	}
	n, d := h.Shape()[0], h.Shape()[1]
	if err := wantShape("SkipGate", "skip", skip, d); err != nil {
		return nil, err
	}
	l := layout{h.Shape(), h.Shape(), skip.Shape(), h.Shape()}
	return apply(spec{
		name: "skip·gate", shape: h.Shape(),
		run: kernelPair{skipGate[float32](n, d), skipGate[float64](n, d)},
		diff: func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
			run := kernelPair{skipGateBackward[float32](n, d), skipGateBackward[float64](n, d)}
			return packedGrads("skip·gate'", "", l, run, join(in, grad)...)
		},
	}, h, c, skip, z)
}

func skipGate[F kernels.Float](n, d int) kernel[F] {
	return func(out [][]F, in []operand[F]) error {
		kernels.SkipGate(n, d, in[0].data, in[1].data, in[2].data, in[3].data, out[0])
		return nil
	}
}

func skipGateBackward[F kernels.Float](n, d int) kernel[F] {
	return func(out [][]F, in []operand[F]) error {
		kernels.SkipGateGrad(n, d, in[0].data, in[1].data, in[2].data, in[3].data, in[4].data,
			out[0], out[1], out[2], out[3])
		return nil
	}
}
