package kernels

import "github.com/gorgonia-xlstm/xlstm/internal/vec"

// MLSTMMaps are what q, k and v of an mLSTM cell are made of, by maps of blocks of four
// columns: q and k of C, v of X, each [B·T,NH·DQK], with the weights W. DQK is DHV and a
// multiple of four.
type MLSTMMaps[F Float] struct {
	C, X []F
	W    [3][]F
}

// sources returns what is in the places of q, k and v.
func (m MLSTMMaps[F]) sources() [3][]F { return [3][]F{m.C, m.C, m.X} }

func (m MLSTMMaps[F]) headwise(s MLSTM) Headwise {
	return Headwise{N: s.B * s.T, Heads: s.NH * s.DQK / 4, In: 4, Out: 4, Stride: 4}
}

// layOut returns the weights as vec.Quads takes them, in buf of 12·NH·DQK.
func (m MLSTMMaps[F]) layOut(s MLSTM, buf []F) (maps [3]vec.Taps[F]) {
	n := 4 * s.NH * s.DQK
	for k, w := range m.W {
		maps[k] = quadTaps(buf[k*n : (k+1)*n])
		layOutQuads(m.headwise(s), w, maps[k], false)
	}
	return maps
}

// mapBy sets the maps of the head of an item, unless there are none.
func (in *mlstmInputs[F]) mapBy(s MLSTM, maps *[3]vec.Taps[F], item int) {
	in.mapped = maps != nil
	for k := range in.maps {
		for j := range in.maps[k] {
			if in.mapped {
				in.maps[k][j] = maps[k][j][item%s.NH*s.DQK:][:s.DQK]
			}
		}
	}
}

// inPieces reports whether the sequences are cut at resets, or have a single step.
func (s MLSTM) inPieces() bool { return s.Resets.some() != nil || s.T == 1 }

// MLSTMMappedForward is MLSTMTapedForward of mapped inputs, which are mapped a chunk at a
// time.
func MLSTMMappedForward[F Float](s MLSTM, m MLSTMMaps[F], i, f []F, state MLSTMState[F], h []F, last MLSTMState[F], tape []F) {
	if s.inPieces() {
		qkv, lent := m.all(s)
		defer giveBack(lent)
		MLSTMTapedForward(s, qkv[0], qkv[1], qkv[2], i, f, state, h, last, tape)
		return
	}
	buf, lent := scratch[F](12 * s.NH * s.DQK)
	defer giveBack(lent)
	maps, x := m.layOut(s, buf), m.sources()
	s.Resets = nil
	mlstmForwardMapped(s, &maps, x[0], x[1], x[2], i, f, state, h, last, tape)
}

// all returns q, k and v of all steps.
func (m MLSTMMaps[F]) all(s MLSTM) (qkv [3][]F, lent *[]F) {
	n := s.B * s.T * s.NH * s.DQK
	buf, lent := scratch[F](3 * n)
	for k, x := range m.sources() {
		qkv[k] = buf[k*n : (k+1)*n]
		HeadwiseForward(m.headwise(s), x, m.W[k], nil, qkv[k])
	}
	return qkv, lent
}

// MLSTMMappedBackward is MLSTMTapedBackward of mapped inputs. The gradients are those of q, k
// and v; that of q may lie in the memory of C, and those of k and v in that of dh and h.
func MLSTMMappedBackward[F Float](s MLSTM, m MLSTMMaps[F], i, f []F, state MLSTMState[F], h, tape, dh []F, dLast MLSTMState[F], grads MLSTMGrads[F]) {
	if s.inPieces() {
		qkv, lent := m.all(s)
		defer giveBack(lent)
		MLSTMTapedBackward(s, qkv[0], qkv[1], qkv[2], i, f, state, h, tape, dh, dLast, grads)
		return
	}
	buf, lent := scratch[F](12 * s.NH * s.DQK)
	defer giveBack(lent)
	maps, x := m.layOut(s, buf), m.sources()
	s.Resets = nil
	c := mlstmBackward[F]{MLSTM: s, q: x[0], k: x[1], v: x[2], i: i, f: f, state: state, h: h, tape: tape, dh: dh, dLast: dLast, grads: grads, maps: &maps}
	c.whole()
}
