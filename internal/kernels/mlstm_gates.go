package kernels

import (
	"math"

	"github.com/gorgonia-xlstm/xlstm/internal/vec"
)

// mlstmGates are the gates of one chunk. With b_i the sum of log σ(f~) over the
// chunk's rows up to and including row i, the row's stabiliser is
//
//	m_i = max(b_i + m0, max_{j≤i}(b_i − b_j + i~_j)) = b_i + max(m0, max_{j≤i} u_j)
//
// with u_j = i~_j − b_j, and with c_i = b_i − m_i the shares in row i and in the
// final state are
//
//	D_ij = exp(u_j + c_i)      of input j in row i
//	β_i  = exp(m0 + c_i)       of the chunk's initial state in row i
//	ā_j  = exp(u_j + b_l − m)  of input j in the final state
//	keep = exp(m0 + b_l − m)   of the initial state in the final state
//
// The logarithms are float64 or pairs, so that differences of long sums keep their
// digits.
type mlstmGates[F Float] struct {
	m0    float64
	u, c  vec.Pair[F]
	inter []F     // β_i·ScaleQ
	carry []F     // ā_j·ScaleK
	floor []F     // exp(−m_i)
	keep  float64 // see above
	last  float64 // m, the last row's stabiliser as stored

	down vec.Pair[F] // −m_i
	tail []F         // log σ(|f~|)
}

// layOut takes the space for the gates of up to l steps.
func (g *mlstmGates[F]) layOut(space *arena[F], l int) {
	for _, p := range []*vec.Pair[F]{&g.u, &g.c, &g.down} {
		p.High, p.Low = space.take(l), space.take(l)
	}
	g.inter, g.carry, g.floor, g.tail = space.take(l), space.take(l), space.take(l), space.take(l)
}

// load computes the gates of the l steps from t0.
func (g *mlstmGates[F]) load(s MLSTM, in mlstmInputs[F], t0, l int, m0 float64) {
	g.m0 = m0
	g.tails(in, t0, l)
	sum, top := 0.0, m0
	for j := range l {
		// In two parts: a single sum of large and small logarithms would lose the
		// small ones.
		sum += boundForget(min(float64(in.f[(t0+j)*in.ldg]), 0) + float64(g.tail[j]))
		u := float64(in.i[(t0+j)*in.ldg]) - sum
		if math.IsInf(u, 1) {
			u = math.NaN() // relative to an infinite one no share is defined
		}
		top = max(top, u)
		g.u.Split(j, bounded(u))
		g.c.Split(j, bounded(-top))
		g.down.Split(j, bounded(-sum-top))
	}
	g.last = float64(F(sum + top))
	g.keep = math.Exp(m0 + sum - g.last)
	shares(g.inter[:l], s.ScaleQ, g.c, m0)
	shares(g.carry[:l], s.ScaleK, g.u, sum-g.last)
	shares(g.floor[:l], 1, g.down, 0)
}

// tails fills tail with log σ(|f~|); log σ(f~) is that plus min(f~, 0).
func (g *mlstmGates[F]) tails(in mlstmInputs[F], t0, l int) {
	tail := g.tail[:l]
	for j := range tail {
		tail[j] = F(math.Abs(float64(in.f[(t0+j)*in.ldg])))
	}
	vec.Activate(vec.LogSigmoid, tail, tail)
}

// top returns the step whose input set row j's stabiliser, or −1 for the initial
// state.
func (g *mlstmGates[F]) top(j int) int {
	for j >= 0 && g.forgets(j) {
		j--
	}
	return j
}

// forgets reports whether the stabiliser of row j came from the forget gate.
func (g *mlstmGates[F]) forgets(j int) bool {
	if j == 0 {
		return g.m0 >= at(g.u, 0)
	}
	return -at(g.c, j-1) >= at(g.u, j)
}

// shares computes dst_j = scale·exp(u_j + c).
func shares[F Float](dst []F, scale float64, u vec.Pair[F], c float64) {
	for j := range dst {
		dst[j] = F(scale)
	}
	vec.Decay(u, bounded(c), dst, nil)
}

// at returns element j of a vector of pairs.
func at[F Float](p vec.Pair[F], j int) float64 { return float64(p.High[j]) + float64(p.Low[j]) }

// bounded limits a logarithm so that the sum of two does not overflow a float32;
// beyond the limit a share is 0 or 1 in any case. The limit is a float32, so that
// equal limits in a pair and in a float64 cancel.
func bounded(x float64) float64 { return max(-0x1p126, min(x, 0x1p126)) }

// boundForget limits log σ(f~): below −1e6 the gate is zero in any case, but sums with
// a number such as −1e20, a common mask, would have no digits left for the gates
// after it.
func boundForget(x float64) float64 { return max(x, -1e6) }

func logForget(f float64) float64 { return boundForget(logSigmoid(f)) }
