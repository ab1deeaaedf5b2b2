package nodes

import (
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"gorgonia.org/gorgonia"
)

// SkipGate returns (h + skip⊙c)⊙SiLU(z), the output stage of the mLSTM layer
// (paper, figure 11): h is the normalised output of the cell, c the output of
// the convolution, z the other half of the up-projection, all (N, D); skip (D).
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
	return apply(spec{op: ops.SkipGate{N: n, D: d}, diff: func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		return gradients(ops.SkipGateGrad{N: n, D: d}, join(in, grad)...)
	}}, h, c, skip, z)
}
