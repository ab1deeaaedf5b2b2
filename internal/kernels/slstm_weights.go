package kernels

import (
	"github.com/gorgonia-xlstm/xlstm/blas"
	"github.com/gorgonia-xlstm/xlstm/internal/vec"
	gblas "gonum.org/v1/gonum/blas"
)

// slstmWeights are weights of a head's gates, each [DH,DH], laid out for products.
type slstmWeights[F Float] struct{ gates [4]blas.Packed[F] }

var slstmWeightsPools = newPools[slstmWeights[float32], slstmWeights[float64]]()

// newSLSTMWeights lays weights or their transposes out; they are to be released.
func newSLSTMWeights[F Float](s SLSTM, transposed bool, w [4][]F) *slstmWeights[F] {
	p := poolOf[F](slstmWeightsPools).Get().(*slstmWeights[F])
	for k := range p.gates {
		p.gates[k].Pack(trans(transposed), s.DH, s.DH, w[k], s.DH)
	}
	return p
}

func (p *slstmWeights[F]) release() { poolOf[F](slstmWeightsPools).Put(p) }

// slstmRecurrent is R of a head, laid out for the products of a scan. A single sequence
// reads all of it at every step, which takes longer than the arithmetic if it exceeds the
// first-level cache. Every other step therefore begins where the one before has ended.
type slstmRecurrent[F Float] struct {
	r     blas.Packed[F]
	cells [slstmRows]vec.SLSTM[F] // of the sequences on the way forward
}

var slstmRecurrentPools = newPools[slstmRecurrent[float32], slstmRecurrent[float64]]()

// newSLSTMRecurrent lays R of head h out, Rᵀ for the way forward; it is to be released.
func newSLSTMRecurrent[F Float](s SLSTM, forward bool, r []F, h int) *slstmRecurrent[F] {
	p := poolOf[F](slstmRecurrentPools).Get().(*slstmRecurrent[F])
	if rh := slstmR(s, r, h); forward {
		p.r.Pack(gblas.Trans, s.DH, 4*s.DH, rh, s.DH)
	} else {
		p.r.PackInSteps(gblas.NoTrans, 4*s.DH, s.DH, s.DH, rh, s.DH)
	}
	return p
}

func (p *slstmRecurrent[F]) release() {
	clear(p.cells[:]) // which would keep others' memory alive
	poolOf[F](slstmRecurrentPools).Put(p)
}

// multiply computes the products of rows with R, or Rᵀ, at step t. On the way forward the
// rows are outputs, and the results of the gates follow each other; on the way back it is
// the other way round, and the products of the gates are added in their order.
func (p *slstmRecurrent[F]) multiply(t, rows int, a []F, lda int, c []F, ldc int) {
	if t%2 == 0 {
		p.r.Gemm(gblas.NoTrans, rows, 1, a, lda, 0, c, ldc)
	} else {
		p.r.GemmReversed(gblas.NoTrans, rows, 1, a, lda, 0, c, ldc)
	}
}
