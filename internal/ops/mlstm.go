package ops

// Form is a way to compute the mLSTM cell. All forms compute the same function;
// the parallel one differs in terms of Eps, because its stabiliser begins at −∞,
// not 0.
type Form int

const (
	Chunkwise Form = iota // Chunk steps at once, as matrix products
	Parallel              // all steps at once, without an initial state
	Recurrent             // step after step
)

// DefaultChunk is the usual chunk length. Where an operation has it, a device may
// use a length that is better for it.
const DefaultChunk = 64

// MLSTM is an mLSTM cell (paper, section 2.3) over T steps. Per head, with
// q̂ = ScaleQ·q and k̂ = ScaleK·k:
//
//	m' = max(log σ(f~) + m, i~)
//	i' = exp(i~ − m');  f' = exp(log σ(f~) + m − m')
//	C' = f'·C + i'·k̂·vᵀ;  n' = f'·n + i'·k̂
//	h  = C'ᵀq̂ / (max(|q̂·n'|, exp(−m')) + Eps)
//
// Inputs are q and k [B·T,NH·DQK], v [B·T,NH·DHV], i~ and f~ [B·T,NH]; with
// State C [B,NH,DQK,DHV], n [B,NH,DQK] and m [B,NH]; with Resets the integers
// resets [B·T]. Without a state, and before every step whose reset is not 0,
// the memory is empty and m = 0, or −∞ in the parallel form. Results are h
// [B·T,NH·DHV] and the new C, n and m, which may share the memory of the old
// ones.
type MLSTM struct {
	computing
	B, T, NH, DQK, DHV  int
	Form                Form
	Chunk               int // of the chunkwise form, at least 1
	ScaleQ, ScaleK, Eps float64
	State, Resets       bool
	// Unread reports that nothing reads the new C, n and m, so that they need not be
	// written.
	Unread bool
	// Tape is the number of floats that the device keeps for the derivative, 0 for
	// none. The tape is a further result, in an order of the device's own.
	Tape int
}

func (m MLSTM) Name() string { return "mLSTM" }

// Spared returns an operation for a program that does not read the marked results. A
// device may then leave some of them unwritten.
func Spared(op Op, unread []bool) Op {
	if m, ok := op.(MLSTM); ok {
		m.Unread = unread[1] && unread[2] && unread[3]
		return m
	}
	return op
}

// operands are the inputs except the resets.
func (m MLSTM) operands() []Arg {
	rows := m.B * m.T
	in := []Arg{floats("q", rows, m.NH*m.DQK), floats("k", rows, m.NH*m.DQK), floats("v", rows, m.NH*m.DHV),
		floats("i", rows, m.NH), floats("f", rows, m.NH)}
	return when(m.State, in, m.memory("")...)
}

func (m MLSTM) memory(which string) []Arg {
	return []Arg{floats(which+"C", m.B, m.NH, m.DQK, m.DHV), floats(which+"n", m.B, m.NH, m.DQK), floats(which+"m", m.B, m.NH)}
}

func (m MLSTM) Inputs() []Arg { return when(m.Resets, m.operands(), ints("resets", m.B*m.T)) }
func (m MLSTM) Outputs() []Arg {
	out := append([]Arg{floats("h", m.B*m.T, m.NH*m.DHV)}, m.memory("next ")...)
	return when(m.Tape > 0, out, floats("tape", m.Tape))
}

// spared are the results but the new memory.
func (m MLSTM) spared() []Arg {
	out := m.Outputs()
	return append(out[:1:1], out[4:]...)
}

// MulAdds is the sum over the chunks. For a chunk of L steps and a head with keys
// of width D and values of width E, whole L×L matrices are counted, although the
// causal mask discards half of them:
//
//	forward   Q·Kᵀ and A·V                          L²·(D+E)
//	          Q·C and Kᵀ·V into the new C           2·L·D·E
//	backward  Q·Kᵀ again, δA, δQ, δK, δV            L²·(3·D+2·E)
//	          K·δC, V·δCᵀ, Qᵀ·G, G·Cᵀ               4·L·D·E
//	          Kᵀ·V again, except in the last chunk  L·D·E
//
// The last is counted even if a tape holds what it would compute.
//
// If all chunks have L steps and D = E, the forward pass takes 2·D² + 2·L·D per step,
// and a single step 2·D² + 2·D. The recurrent form takes 2·D·E per step forward and
// 6·D·E backward.
func (m MLSTM) MulAdds() int64 {
	if m.Form == Recurrent {
		return 2 * product(m.B, m.NH, m.T, m.DQK, m.DHV)
	}
	return m.overChunks(func(l, d, e int64, _ bool) int64 { return l*l*(d+e) + 2*l*d*e })
}

// overChunks returns the sum of f over the lengths of all chunks of all heads.
func (m MLSTM) overChunks(f func(l, d, e int64, last bool) int64) (sum int64) {
	step := m.Chunk
	if m.Form == Parallel {
		step = m.T
	}
	for t := 0; t < m.T; t += step {
		sum += f(int64(min(step, m.T-t)), int64(m.DQK), int64(m.DHV), t+step >= m.T)
	}
	return product(m.B, m.NH) * sum
}

// MLSTMGrad is the derivative of MLSTM. It reads the inputs of MLSTM except the
// resets, the result h, the tape if there is one, the existing gradients of the other
// results, and the resets.
type MLSTMGrad struct {
	MLSTM
	Has [4]bool
}

func (m MLSTMGrad) Name() string { return "mLSTM'" }

// MulAdds is documented at MLSTM.
func (m MLSTMGrad) MulAdds() int64 {
	if m.Form == Recurrent {
		return 6 * product(m.B, m.NH, m.T, m.DQK, m.DHV)
	}
	return m.overChunks(func(l, d, e int64, last bool) int64 {
		n := l*l*(3*d+2*e) + 4*l*d*e
		if !last {
			n += l * d * e
		}
		return n
	})
}
func (m MLSTMGrad) Outputs() []Arg { return grads(m.operands()) }
func (m MLSTMGrad) Inputs() []Arg {
	results := m.MLSTM.Outputs()
	in := when(m.Tape > 0, append(m.operands(), results[0]), results[4:]...)
	return when(m.Resets, gradsOf(in, m.Has[:], results), ints("resets", m.B*m.T))
}
