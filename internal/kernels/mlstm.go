package kernels

import (
	"math"

	"github.com/gorgonia-xlstm/xlstm/blas"
	"github.com/gorgonia-xlstm/xlstm/internal/vec"
)

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
// Chunk is the number of steps that are computed at once as matrix products; the
// function does not depend on it. Chunk 0 takes the whole sequence as one chunk,
// the parallel form (paper, appendix A.3), which differs in terms of Eps, because
// its m begins at −∞, not 0.
type MLSTM struct {
	B, T, NH, DQK, DHV, Chunk int
	// ScaleQ·ScaleK is 1/√DQK. The paper's code scales the keys, so that its
	// state holds scaled keys; xLSTM-7B scales the queries.
	ScaleQ, ScaleK, Eps float64
	// Before every step at which a document begins, the memory is emptied, as
	// without a state.
	Resets Resets
}

// MLSTMState is the memory of an mLSTM cell: C [B,NH,DQK,DHV], n [B,NH,DQK],
// m [B,NH]. A state whose C is nil stands for none: an empty memory and m = 0, or
// m = −∞ in the parallel form, which has no state. In a gradient, each of the three
// may be nil, for zeros.
type MLSTMState[F Float] struct{ C, N, M []F }

// some reports whether any of the three is not nil.
func (st MLSTMState[F]) some() bool { return st.C != nil || st.N != nil || st.M != nil }

// size is the number of elements of one head's C.
func (s MLSTM) size() int { return s.DQK * s.DHV }

// mlstmHead returns the state of item i = b·NH+h, with nil for what is absent.
func mlstmHead[F Float](s MLSTM, st MLSTMState[F], i int) (c, n, m []F) {
	part := func(x []F, size int) []F {
		if x == nil {
			return nil
		}
		return x[i*size : (i+1)*size]
	}
	return part(st.C, s.size()), part(st.N, s.DQK), part(st.M, 1)
}

func (s MLSTM) chunk() int {
	if s.Chunk <= 0 {
		return max(1, s.T)
	}
	return min(s.Chunk, max(1, s.T))
}

// chunks returns the number of chunks.
func (s MLSTM) chunks() int { return (s.T + s.chunk() - 1) / s.chunk() }

// initialM is the stabiliser of an absent state.
func (s MLSTM) initialM() float64 {
	if s.Chunk <= 0 {
		return math.Inf(-1)
	}
	return 0
}

// mlstmInputs are the inputs of one head of one sequence, with the distances between
// the rows of consecutive steps.
type mlstmInputs[F Float] struct {
	q, k, v, i, f []F
	ldq, ldv, ldg int
	// maps makes q, k and v of what is in their places, by blocks of four columns, if
	// mapped is set; otherwise they are there themselves.
	maps   [3]vec.Taps[F]
	mapped bool
}

func (s MLSTM) offsets(item int) (q, v, g int) {
	b, h := item/s.NH, item%s.NH
	row := b * s.T
	return (row*s.NH + h) * s.DQK, (row*s.NH + h) * s.DHV, row*s.NH + h
}

func mlstmItem[F Float](s MLSTM, item int, q, k, v, i, f []F) mlstmInputs[F] {
	oq, ov, og := s.offsets(item)
	return mlstmInputs[F]{q: q[oq:], k: k[oq:], v: v[ov:], i: i[og:], f: f[og:], ldq: s.NH * s.DQK, ldv: s.NH * s.DHV, ldg: s.NH}
}

// mlstmMemory is the memory of one head, C as a matrix and n.
type mlstmMemory[F Float] struct {
	c matrix[F]
	n []F
}

// memoryAt returns memory k of several consecutive ones.
func memoryAt[F Float](s MLSTM, memories []F, k int) mlstmMemory[F] {
	size, per := s.size(), s.size()+s.DQK
	part := memories[k*per : (k+1)*per]
	return mlstmMemory[F]{matrix[F]{part[:size], s.DHV}, part[size:]}
}

// set copies another memory to m.
func (mem mlstmMemory[F]) set(other mlstmMemory[F]) {
	copy(mem.c.data, other.c.data)
	copy(mem.n, other.n)
}

// setState copies the memory of an item, with zeros for what is absent.
func (mem mlstmMemory[F]) setState(s MLSTM, state MLSTMState[F], item int) {
	c, n, _ := mlstmHead(s, state, item)
	clear(mem.c.data)
	clear(mem.n)
	copy(mem.c.data, c)
	copy(mem.n, n)
}

// ahead returns C as n rows to fetch, in the order of memory.
func (mem mlstmMemory[F]) ahead(n int) blas.Ahead[F] {
	each := len(mem.c.data) / n
	return blas.Ahead[F]{Data: mem.c.data, Row: each, Cols: each}
}

// dot returns ⟨C,C'⟩ + ⟨n,n'⟩. The gradients of whole sequences depend on it: the
// parts of the rows are summed in float64.
func (mem mlstmMemory[F]) dot(other mlstmMemory[F]) float64 {
	sum := float64(vec.Dot(mem.n, other.n))
	for i := range mem.n {
		sum += float64(vec.Dot(mem.c.row(i, mem.c.ld), other.c.row(i, other.c.ld)))
	}
	return sum
}

// mlstmBegin fills mem with the initial state and returns its stabiliser.
func mlstmBegin[F Float](s MLSTM, state MLSTMState[F], item int, mem mlstmMemory[F]) (m0 float64) {
	if state.C == nil {
		clear(mem.c.data)
		clear(mem.n)
		return s.initialM()
	}
	c, n, m := mlstmHead(s, state, item)
	if &c[0] != &mem.c.data[0] { // otherwise the memory is updated in place
		copy(mem.c.data, c)
		copy(mem.n, n)
	}
	return float64(m[0])
}

// mlstmCell computes one head of one sequence, chunk by chunk.
type mlstmCell[F Float] struct {
	MLSTM
	in    mlstmInputs[F]
	t0, l int // the chunk: steps t0 … t0+l−1
	gates mlstmGates[F]
	// The chunk's rows, copied to consecutive memory: in the inputs they are
	// interleaved with other heads, and the products would compete for few lines of
	// the cache.
	q, k, v matrix[F]
	a       matrix[F] // A_ij = D_ij·q̂_i·k̂_j, lower triangular
	den     []F       // Σ_j A_ij + β_i·q̂_i·n
	empty   bool      // the memory before the chunk is zero
	alone   bool      // nothing reads the memory after the sequence
	tape    mlstmTape[F]
}

// layOut takes the cell's scratch space from the arena.
func (c *mlstmCell[F]) layOut(space *arena[F]) {
	l := c.chunk()
	c.gates.layOut(space, l)
	c.q, c.k, c.v = space.matrix(l, c.DQK), space.matrix(l, c.DQK), space.matrix(l, c.DHV)
	c.a, c.den = space.matrix(l, l), space.take(l)
}

// begin moves to chunk k, before which the stabiliser is m0.
func (c *mlstmCell[F]) begin(k int, m0 float64) {
	c.moveTo(k)
	c.gates.load(c.MLSTM, c.in, c.t0, c.l, m0)
}

// moveTo moves to chunk k, but for its gates.
func (c *mlstmCell[F]) moveTo(k int) {
	c.t0 = k * c.chunk()
	c.l = min(c.chunk(), c.T-c.t0)
}

func (c *mlstmCell[F]) loadQueries() {
	c.load(0, c.q, matrix[F]{c.in.q, c.in.ldq}, c.DQK)
}

func (c *mlstmCell[F]) loadKeys() {
	c.load(1, c.k, matrix[F]{c.in.k, c.in.ldq}, c.DQK)
}

func (c *mlstmCell[F]) loadInputs() {
	c.loadKeys()
	c.load(2, c.v, matrix[F]{c.in.v, c.in.ldv}, c.DHV)
}

// load copies the chunk's rows of input k, n wide, or maps them.
func (c *mlstmCell[F]) load(k int, dst, src matrix[F], n int) {
	src = src.from(c.t0, 0)
	if !c.in.mapped {
		copyRows(dst, src, c.l, n)
		return
	}
	vec.QuadsMany(c.l, src.data, src.ld, c.in.maps[k], dst.data, dst.ld)
}

// MLSTMForward computes h and the final state, which may share the memory of the
// initial one. If there is no last, it computes h alone, without resets.
func MLSTMForward[F Float](s MLSTM, q, k, v, i, f []F, state MLSTMState[F], h []F, last MLSTMState[F]) {
	MLSTMTapedForward(s, q, k, v, i, f, state, h, last, nil)
}

// MLSTMTapedForward is MLSTMForward that writes a tape for the derivative, unless it is
// nil. There is none with resets.
func MLSTMTapedForward[F Float](s MLSTM, q, k, v, i, f []F, state MLSTMState[F], h []F, last MLSTMState[F], tape []F) {
	if s.Resets = s.Resets.some(); s.Resets != nil {
		mlstmResetForward(MLSTMForward[F], s, q, k, v, i, f, state, h, last)
		return
	}
	if s.T == 1 && last.C != nil {
		mlstmSingle(s, q, k, v, i, f, state, h, last)
		return
	}
	mlstmForwardMapped(s, nil, q, k, v, i, f, state, h, last, tape)
}

// mlstmForwardMapped computes whole sequences of q, k and v, or with maps of what they
// are made of.
func mlstmForwardMapped[F Float](s MLSTM, maps *[3]vec.Taps[F], q, k, v, i, f []F, state MLSTMState[F], h []F, last MLSTMState[F], tape []F) {
	if w := s.wave(coresForward); w != nil {
		mlstmForwardInWave(s, w, maps, q, k, v, i, f, state, h, last, tape)
		return
	}
	parallelWork(s.B*s.NH, 2*s.T*s.size(), func(item int) {
		cell := mlstmCell[F]{MLSTM: s, in: mlstmItem(s, item, q, k, v, i, f), alone: last.C == nil, tape: tapeOf(s, tape, item)}
		cell.in.mapBy(s, maps, item)
		var space arena[F]
		cell.layOutAll(&space, state.C != nil)
		defer giveBack(space.claim())
		mem := cell.layOutAll(&space, state.C != nil)
		if !cell.alone {
			c, n, _ := mlstmHead(s, last, item)
			mem = mlstmMemory[F]{matrix[F]{c, s.DHV}, n}
		}
		m := mlstmBegin(s, state, item, mem)
		_, ov, _ := s.offsets(item)
		if m = cell.run(m, mem, state.C == nil, matrix[F]{h[ov:], cell.in.ldv}); !cell.alone {
			last.M[item] = F(m)
		}
	})
}

// layOutAll is layOut with a memory, if the cell is alone and needs one: for several
// chunks, or to continue from a state.
func (c *mlstmCell[F]) layOutAll(space *arena[F], continues bool) (mem mlstmMemory[F]) {
	c.layOut(space)
	if c.alone && (c.chunks() > 1 || continues) {
		mem.c, mem.n = space.matrix(c.DQK, c.DHV), space.take(c.DQK)
	}
	return mem
}

// run computes the outputs h of all chunks. The memory changes from the one before
// them to the one after them, m is the stabiliser before them, and the result that
// after them. If begins is set, the memory before them is zero. If the cell is alone,
// the memory after them is not computed.
func (c *mlstmCell[F]) run(m float64, mem mlstmMemory[F], begins bool, h matrix[F]) float64 {
	for k := range c.chunks() {
		c.tape.keep(c.MLSTM, k, m, mem)
		c.begin(k, m)
		c.outputs(mem, k == 0 && begins, h)
		if k+1 < c.chunks() || !c.alone {
			c.advance(mem)
		}
		m = c.gates.last
	}
	return m
}

// outputs computes the chunk's outputs among all of h from the memory before it.
func (c *mlstmCell[F]) outputs(mem mlstmMemory[F], empty bool, h matrix[F]) {
	c.empty = empty
	c.loadQueries()
	c.loadInputs()
	c.forward(mem, h.from(c.t0, 0))
	c.tape.keepDen(c.t0, c.den[:c.l])
}

// forward computes the chunk's outputs from the memory before it,
//
//	h_i = (Σ_j A_ij·v_j + β_i·Cᵀq̂_i) / N_i
//
// and replaces the queries by β_i·q̂_i unless the memory is empty.
func (c *mlstmCell[F]) forward(mem mlstmMemory[F], h matrix[F]) {
	c.scores(mem.n, matrix[F]{})
	beta := F(0)
	if !c.empty {
		scaleRows(c.q, c.gates.inter[:c.l], c.q, c.DQK)
		multiply(false, false, c.l, c.DHV, c.DQK, 1, c.q, mem.c, 0, h)
		beta = 1
	}
	lowerTimes(false, c.l, c.DHV, 1, c.a, c.v, beta, h)
	for i := range c.l {
		norm, _ := c.normaliser(float64(c.den[i]), float64(c.gates.floor[i]))
		row := h.row(i, c.DHV)
		vec.Scale(row, F(1/norm), row)
	}
}

// scores computes A and den, and D in d unless d is empty. Above the diagonal, A is
// zero as far as products read it.
func (c *mlstmCell[F]) scores(n []F, d matrix[F]) {
	lowerOf(c.l, c.DQK, F(c.ScaleQ*c.ScaleK), c.q, c.k, c.a)
	if c.empty {
		clear(c.den)
	} else {
		apply(false, c.l, c.DQK, 1, c.q, n, 0, c.den)
	}
	for i := range c.l {
		var keep []F
		if d.data != nil {
			keep = d.row(i, i+1)
		}
		sum := vec.Decay(c.gates.u, at(c.gates.c, i), c.a.row(i, i+1), keep)
		c.den[i] = sum + c.gates.inter[i]*c.den[i]
		clearAbove(c.a, i, c.l)
	}
}

// inputsAt returns the inputs from step t on, if there is such a step, as what to fetch.
// Asked for line by line during a product, they arrive while it is computed; a processor
// ignores requests for a whole chunk at once, or waits for them.
func (c *mlstmCell[F]) inputsAt(t int) (parts [blas.MostAhead]blas.Ahead[F]) {
	if t < 0 || t >= c.T {
		return parts
	}
	parts[0] = blas.Ahead[F]{Data: c.in.q[t*c.in.ldq:], Row: c.in.ldq, Cols: c.DQK}
	parts[1] = blas.Ahead[F]{Data: c.in.v[t*c.in.ldv:], Row: c.in.ldv, Cols: c.DHV}
	if !c.in.mapped { // otherwise k is made of what q is made of
		parts[2] = blas.Ahead[F]{Data: c.in.k[t*c.in.ldq:], Row: c.in.ldq, Cols: c.DQK}
	}
	return parts
}

// normaliser returns N = max(|den|, floor) + eps, where floor is exp(−m). linear
// reports whether |den| is the larger, so that the gradient flows through it.
func (s MLSTM) normaliser(den, floor float64) (n float64, linear bool) {
	den = math.Abs(den)
	return max(den, floor) + s.Eps, den >= floor
}

// advance updates the memory by the chunk,
//
//	C' = keep·C + Σ_j ā_j·k̂_j·v_jᵀ;  n' = keep·n + Σ_j ā_j·k̂_j
//
// and replaces the keys by ā_j·k̂_j. Meanwhile it fetches the inputs of the next chunk
// and, if there is a tape, the place of the new memory.
func (c *mlstmCell[F]) advance(mem mlstmMemory[F]) {
	keep := F(c.gates.keep)
	apply(true, c.l, c.DQK, 1, c.k, c.gates.carry, keep, mem.n)
	scaleRows(c.k, c.gates.carry[:c.l], c.k, c.DQK)
	next := c.inputsAt(c.t0 + c.l)
	if k := c.t0/c.chunk() + 1; c.tape.written() && k < c.chunks() {
		next[3] = c.tape.memory(c.MLSTM, k).ahead(c.l)
	}
	multiplyAhead(true, false, c.DQK, c.DHV, c.l, 1, c.k, c.v, keep, mem.c, next[:])
}
