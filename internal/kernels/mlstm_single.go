package kernels

import (
	"math"

	"github.com/gorgonia-xlstm/xlstm/internal/vec"
)

// Generation consists of single steps. Most of their time goes into reading and
// writing the memory C, which is done once.

// mlstmSingle is MLSTMForward for one step, computed by the equations of the
// recurrent form.
func mlstmSingle[F Float](s MLSTM, q, k, v, i, f []F, state MLSTMState[F], h []F, last MLSTMState[F]) {
	parallelWork(s.B*s.NH, 2*s.size(), func(item int) { mlstmSingleItem(s, item, q, k, v, i, f, state, h, last) })
}

func mlstmSingleItem[F Float](s MLSTM, item int, q, k, v, i, f []F, state MLSTMState[F], h []F, last MLSTMState[F]) {
	c, n, m := mlstmHead(s, last, item)
	m0 := mlstmBegin(s, state, item, mlstmMemory[F]{matrix[F]{c, s.DHV}, n})
	_, ov, _ := s.offsets(item)
	st := mlstmItem(s, item, q, k, v, i, f).step(s, 0)
	ig, fg, mNew := st.gates(m0)
	m[0] = F(mNew)
	keep, share := F(fg), F(ig*s.ScaleK)
	vec.Scale(n, keep, n)
	vec.Axpy(n, share, st.k)
	norm, _ := s.normaliser(s.ScaleQ*float64(vec.Dot(st.q, n)), math.Exp(-mNew))
	st.recall(s, c, keep, share, F(s.ScaleQ/norm), h[ov:][:s.DHV])
}

// recall updates the memory by one step and reads it: C = keep·C + share·k·vᵀ, h =
// query·Cᵀq.
func (st mlstmStep[F]) recall(s MLSTM, c []F, keep, share, query F, h []F) {
	clear(h)
	row := func(i int) []F { return c[i*s.DHV : (i+1)*s.DHV] }
	i := 0
	for ; i+4 <= s.DQK; i += 4 {
		rows := vec.Taps[F]{row(i), row(i + 1), row(i + 2), row(i + 3)}
		var shares, queries [4]F
		for j := range rows {
			shares[j], queries[j] = share*st.k[i+j], query*st.q[i+j]
		}
		vec.Recall4(st.v, rows, h, keep, shares, queries)
	}
	for ; i < s.DQK; i++ {
		vec.Scale(row(i), keep, row(i))
		vec.Axpy(row(i), share*st.k[i], st.v)
		vec.Axpy(h, query*st.q[i], row(i))
	}
}
