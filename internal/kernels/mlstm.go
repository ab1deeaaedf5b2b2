package kernels

import "math"

// MLSTM describes an mLSTM cell (paper, section 2.3) over T steps. Per head,
// with q̂ = ScaleQ·q and k̂ = ScaleK·k:
//
//	m' = max(log σ(f~) + m, i~)
//	i' = exp(i~ − m');  f' = exp(log σ(f~) + m − m')
//	C' = f'·C + i'·k̂·vᵀ;  n' = f'·n + i'·k̂
//	h  = C'ᵀq̂ / (max(|q̂·n'|, exp(−m')) + Eps)
//
// q and k are [B·T, NH·DQK], v and h [B·T, NH·DHV], the gate pre-activations i~
// and f~ [B·T, NH].
//
// Chunk is the number of steps that are computed at once as matrix products;
// all values give the same function. Chunk 0 takes the whole sequence as one
// chunk, the parallel form (paper, appendix A.3).
type MLSTM struct {
	B, T, NH, DQK, DHV, Chunk int
	// ScaleQ·ScaleK is 1/√DQK. The paper's code scales the keys, so that the
	// state holds scaled keys; xLSTM-7B's scales the queries.
	ScaleQ, ScaleK, Eps float64
}

// MLSTMState is the memory of an mLSTM cell: C [B,NH,DQK,DHV], n [B,NH,DQK],
// m [B,NH]. A state whose C is nil stands for none: an empty memory and m = 0,
// or m = −∞ in the parallel form, which knows no state.
type MLSTMState[F Float] struct{ C, N, M []F }

// size is the number of elements of one head's C.
func (s MLSTM) size() int { return s.DQK * s.DHV }

// mlstmHead returns the state of item i = b·NH+h.
func mlstmHead[F Float](s MLSTM, st MLSTMState[F], i int) (c, n, m []F) {
	return st.C[i*s.size() : (i+1)*s.size()], st.N[i*s.DQK : (i+1)*s.DQK], st.M[i : i+1]
}

func (s MLSTM) chunk() int {
	if s.Chunk <= 0 {
		return max(1, s.T)
	}
	return min(s.Chunk, max(1, s.T))
}

// initialM is the stabiliser of an absent state.
func (s MLSTM) initialM() float64 {
	if s.Chunk <= 0 {
		return math.Inf(-1)
	}
	return 0
}

// mlstmInputs are the inputs of one (sequence, head), with the distances
// between the rows of consecutive steps.
type mlstmInputs[F Float] struct {
	q, k, v, i, f []F
	ldq, ldv, ldg int
}

func (s MLSTM) offsets(item int) (q, v, g int) {
	b, h := item/s.NH, item%s.NH
	row := b * s.T
	return (row*s.NH + h) * s.DQK, (row*s.NH + h) * s.DHV, row*s.NH + h
}

func mlstmItem[F Float](s MLSTM, item int, q, k, v, i, f []F) mlstmInputs[F] {
	oq, ov, og := s.offsets(item)
	return mlstmInputs[F]{q[oq:], k[oq:], v[ov:], i[og:], f[og:], s.NH * s.DQK, s.NH * s.DHV, s.NH}
}

// mlstmGates are the gates of one chunk of l steps, in logarithms and float64:
// differences of long sums of log σ(f~) must not cost digits.
type mlstmGates struct {
	m0   float64
	b    []float64 // Σ log σ(f~) from the chunk's start up to and with row i
	m    []float64 // the stabiliser of row i: max(b_i + m0, max_{j≤i}(b_i − b_j + i~_j))
	i    []float64 // i~
	lf   []float64 // log σ(f~)
	last float64   // m of the last row as it is stored
}

// newGates lays the gates of up to l steps out in buf, 4·l long.
func newGates(buf []float64, l int) mlstmGates {
	return mlstmGates{b: buf[:l], m: buf[l : 2*l], i: buf[2*l : 3*l], lf: buf[3*l : 4*l]}
}

// logForget is log σ(f~), bounded: below −1e6 the gate is zero beside anything, but
// sums with a number such as −1e20, a usual mask, would have no digits left for
// the gates after it.
func logForget(f float64) float64 { return math.Max(logSigmoid(f), -1e6) }

func mlstmLoadGates[F Float](g *mlstmGates, in mlstmInputs[F], t0, l int, m0 float64) {
	g.m0 = m0
	sum, top := 0.0, m0
	for j := range l {
		g.i[j], g.lf[j] = float64(in.i[(t0+j)*in.ldg]), logForget(float64(in.f[(t0+j)*in.ldg]))
		sum += g.lf[j]
		top = math.Max(top, g.i[j]-sum)
		g.b[j], g.m[j] = sum, sum+top
	}
	g.last = float64(F(g.m[l-1]))
}

// weight is D_ij, the share of input j in row i.
func (g *mlstmGates) weight(i, j int) float64 { return math.Exp(g.b[i] - g.b[j] + g.i[j] - g.m[i]) }

// inter is β_i, the share of the chunk's initial state in row i.
func (g *mlstmGates) inter(i int) float64 { return math.Exp(g.b[i] + g.m0 - g.m[i]) }

// carry is ā_j, the share of input j in the chunk's final state of l steps, and
// keep what is left of the initial one.
func (g *mlstmGates) carry(j, l int) float64 {
	return math.Exp(g.b[l-1] - g.b[j] + g.i[j] - g.last)
}

func (g *mlstmGates) keep(l int) float64 { return math.Exp(g.b[l-1] + g.m0 - g.last) }

// forgets says whether row j's stabiliser came from the forget side.
func (g *mlstmGates) forgets(j int) bool {
	before := g.m0
	if j > 0 {
		before = g.m[j-1]
	}
	return g.lf[j]+before >= g.i[j]
}

// mlstmWork is the scratch space of one piece of work.
type mlstmWork[F Float] struct {
	a, d, p []F // [L,L]
	qk      []F // [L,DQK]
	v       []F // [L,DHV]
	den     []F // [L]
	gates   mlstmGates
}

func newMLSTMWork[F Float](s MLSTM) (mlstmWork[F], func()) {
	l := s.chunk()
	buf, release := scratch[F](3*l*l + l*(s.DQK+s.DHV+1))
	take := func(n int) []F {
		part := buf[:n:n]
		buf = buf[n:]
		return part
	}
	gates, releaseGates := scratch[float64](4 * l)
	w := mlstmWork[F]{a: take(l * l), d: take(l * l), p: take(l * l), qk: take(l * s.DQK), v: take(l * s.DHV), den: take(l)}
	w.gates = newGates(gates, l)
	return w, func() { release(); releaseGates() }
}

// MLSTMForward computes h and the final state, which may lie in the memory of
// the initial one.
func MLSTMForward[F Float](s MLSTM, q, k, v, i, f []F, state MLSTMState[F], h []F, last MLSTMState[F]) {
	if s.T == 1 {
		mlstmSingle(s, q, k, v, i, f, state, h, last)
		return
	}
	parallelWork(s.B*s.NH, 2*s.T*s.size(), func(item int) {
		work, release := newMLSTMWork[F](s)
		defer release()
		c, n, m := mlstmHead(s, last, item)
		m0 := mlstmBegin(s, state, item, c, n)
		in := mlstmItem(s, item, q, k, v, i, f)
		_, ov, _ := s.offsets(item)
		for t0 := 0; t0 < s.T; t0 += s.chunk() {
			l := min(s.chunk(), s.T-t0)
			mlstmLoadGates(&work.gates, in, t0, l, m0)
			mlstmChunk(s, in, t0, l, work, c, n, h[ov+t0*in.ldv:])
			mlstmAdvance(s, in, t0, l, work, c, n)
			m0 = work.gates.last
		}
		m[0] = F(m0)
	})
}

// mlstmBegin fills c and n with the initial state and returns its stabiliser.
func mlstmBegin[F Float](s MLSTM, state MLSTMState[F], item int, c, n []F) (m0 float64) {
	if state.C == nil {
		clear(c)
		clear(n)
		return s.initialM()
	}
	c0, n0, m := mlstmHead(s, state, item)
	if &c0[0] != &c[0] { // else it goes on in place
		copy(c, c0)
		copy(n, n0)
	}
	return float64(m[0])
}

// mlstmScores fills work.a with A = (Q̂K̂ᵀ)⊙D and work.den with the normaliser's
// sums Σ_j A_ij + β_i·q̂_i·n; with keepD also work.d with D. The upper triangles
// are zero.
func mlstmScores[F Float](s MLSTM, in mlstmInputs[F], t0, l int, work mlstmWork[F], n []F, keepD bool) {
	g := &work.gates
	Gemm(false, true, l, l, s.DQK, F(s.ScaleQ*s.ScaleK), in.q[t0*in.ldq:], in.ldq, in.k[t0*in.ldq:], in.ldq, 0, work.a, l)
	for i := range l {
		row := work.a[i*l : (i+1)*l]
		var den F
		for j := range i + 1 {
			d := F(g.weight(i, j))
			if keepD {
				work.d[i*l+j] = d
			}
			row[j] *= d
			den += row[j]
		}
		clear(row[i+1:])
		if keepD {
			clear(work.d[i*l+i+1 : (i+1)*l])
		}
		work.den[i] = den + F(g.inter(i)*s.ScaleQ)*dot(in.q[(t0+i)*in.ldq:][:s.DQK], n)
	}
}

// mlstmInterQueries fills work.qk with β_i·q̂_i.
func mlstmInterQueries[F Float](s MLSTM, in mlstmInputs[F], t0, l int, work mlstmWork[F]) {
	for i := range l {
		scaleTo(F(work.gates.inter(i)*s.ScaleQ), in.q[(t0+i)*in.ldq:][:s.DQK], work.qk[i*s.DQK:(i+1)*s.DQK])
	}
}

// normaliser is N = max(|den|, exp(−m)) + eps; linear says that |den| is the
// larger, so that the gradient flows through it.
func (s MLSTM) normaliser(den, m float64) (n float64, linear bool) {
	den, floor := math.Abs(den), math.Exp(-m)
	return math.Max(den, floor) + s.Eps, den >= floor
}

// mlstmChunk computes the outputs of steps t0 … t0+l−1 from the chunk's initial
// state c, n.
func mlstmChunk[F Float](s MLSTM, in mlstmInputs[F], t0, l int, work mlstmWork[F], c, n, h []F) {
	mlstmScores(s, in, t0, l, work, n, false)
	mlstmInterQueries(s, in, t0, l, work)
	Gemm(false, false, l, s.DHV, l, 1, work.a, l, in.v[t0*in.ldv:], in.ldv, 0, h, in.ldv)
	Gemm(false, false, l, s.DHV, s.DQK, 1, work.qk, s.DQK, c, s.DHV, 1, h, in.ldv)
	for i := range l {
		norm, _ := s.normaliser(float64(work.den[i]), work.gates.m[i])
		row := h[i*in.ldv:][:s.DHV]
		scaleTo(F(1/norm), row, row)
	}
}

// mlstmAdvance moves the state c, n over the chunk.
func mlstmAdvance[F Float](s MLSTM, in mlstmInputs[F], t0, l int, work mlstmWork[F], c, n []F) {
	keep := F(work.gates.keep(l))
	mlstmCarryKeys(s, in, t0, l, work)
	scaleTo(keep, n, n)
	for j := range l {
		axpy(1, work.qk[j*s.DQK:(j+1)*s.DQK], n)
	}
	Gemm(true, false, s.DQK, s.DHV, l, 1, work.qk, s.DQK, in.v[t0*in.ldv:], in.ldv, keep, c, s.DHV)
}

// mlstmCarryKeys fills work.qk with ā_j·k̂_j.
func mlstmCarryKeys[F Float](s MLSTM, in mlstmInputs[F], t0, l int, work mlstmWork[F]) {
	for j := range l {
		scaleTo(F(work.gates.carry(j, l)*s.ScaleK), in.k[(t0+j)*in.ldq:][:s.DQK], work.qk[j*s.DQK:(j+1)*s.DQK])
	}
}
