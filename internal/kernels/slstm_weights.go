package kernels

import (
	"github.com/gorgonia-xlstm/xlstm/blas"
	"github.com/gorgonia-xlstm/xlstm/internal/vec"
	gblas "gonum.org/v1/gonum/blas"
)

// slstmGatesR returns R of each gate of head h, [DH,DH].
func slstmGatesR[F Float](s SLSTM, r []F, h int) (w [4][]F) {
	w[0], w[1], w[2], w[3] = split4(slstmR(s, r, h))
	return w
}

// slstmWeights are weights of a head's gates, each [DH,DH], laid out for products. A single
// sequence reads all of R at every step, which takes longer than the arithmetic if R exceeds
// the first-level cache. Every other step therefore begins with the gate with which the one
// before has ended.
type slstmWeights[F Float] struct {
	gates [4]blas.Packed[F]
	later []F // products that are added later, [rows,4·DH]
}

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

// slstmGate is the i-th gate to be taken at step t.
func slstmGate(t, i int) int {
	if t%2 == 0 {
		return i
	}
	return 3 - i
}

// forward computes y·Rᵀ of rows of y, which are ldy apart, at step t. The results of the
// gates follow each other, and those of the rows are ldc apart.
func (p *slstmWeights[F]) forward(t, rows int, y []F, ldy int, pre []F, ldc int) {
	_, dh := p.gates[0].Dims()
	for i := range p.gates {
		k := slstmGate(t, i)
		p.gates[k].Gemm(gblas.NoTrans, rows, 1, y, ldy, 0, pre[k*dh:], ldc)
	}
}

// back computes the products of gradients of the gates with R, which are added in the
// gates' order, in the same layout. The way depends on the step alone, and not on the
// number of rows, since portable products with and without a sum to add to round
// differently.
func (p *slstmWeights[F]) back(t, rows int, pre []F, ldc int, gy []F, ldy int) {
	_, dh := p.gates[0].Dims()
	if slstmGate(t, 0) == 0 {
		for k := range p.gates {
			p.gates[k].Gemm(gblas.NoTrans, rows, 1, pre[k*dh:], ldc, F(min(k, 1)), gy, ldy)
		}
		return
	}
	if len(p.later) < 4*rows*dh {
		p.later = make([]F, 4*rows*dh)
	}
	for k := 3; k > 0; k-- {
		p.gates[k].Gemm(gblas.NoTrans, rows, 1, pre[k*dh:], ldc, 0, p.later[k*dh:], 4*dh)
	}
	p.gates[0].Gemm(gblas.NoTrans, rows, 1, pre, ldc, 0, gy, ldy)
	for i := range rows {
		sum, row := gy[i*ldy:][:dh], p.later[i*4*dh:]
		for k := 1; k < 4; k++ {
			vec.Add(sum, sum, row[k*dh:(k+1)*dh])
		}
	}
}
