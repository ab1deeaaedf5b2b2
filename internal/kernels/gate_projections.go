package kernels

import "github.com/gorgonia-xlstm/xlstm/internal/vec"

// MLSTMGates describes the projection of [q k v], of N rows and of the given
// widths, to the input and the forget gate of NH heads.
type MLSTMGates struct {
	N, NH  int
	Widths [3]int
}

// MLSTMGatesParams are the weights [NH, ΣWidths] and biases [NH] of the input and
// the forget gate, or the gradients of these.
type MLSTMGatesParams[F Float] struct{ W, B [2][]F }

func (s MLSTMGates) width() int { return s.Widths[0] + s.Widths[1] + s.Widths[2] }

// stackGates writes the two weights below each other, so that one product serves
// both gates.
func stackGates[F Float](w [2][]F, stacked []F) {
	copy(stacked[copy(stacked, w[0]):], w[1])
}

// MLSTMGatesForward computes the gates y [N,NH] of x.
func MLSTMGatesForward[F Float](s MLSTMGates, x [3][]F, p MLSTMGatesParams[F], y [2][]F) {
	if s.N == 1 {
		gatesRow(s, x, p, y)
		return
	}
	width, gates := s.width(), 2*s.NH
	buf, lent := scratch[F](gates * (width + s.N))
	defer giveBack(lent)
	w, both := buf[:gates*width], buf[gates*width:]
	stackGates(p.W, w)
	at := 0
	for k, in := range s.Widths {
		Linear(s.N, in, gates, x[k], in, w[at:], width, nil, both, k > 0)
		at += in
	}
	ParallelRows(s.N, gates, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			for g := range y {
				row := y[g][r*s.NH : (r+1)*s.NH]
				for h, v := range both[r*gates+g*s.NH:][:s.NH] {
					row[h] = v + p.B[g][h]
				}
			}
		}
	})
}

// gatesRow is MLSTMGatesForward for a single row, for which to stack the weights takes
// longer than the product.
func gatesRow[F Float](s MLSTMGates, x [3][]F, p MLSTMGatesParams[F], y [2][]F) {
	width := s.width()
	for g, w := range p.W {
		at, beta := 0, F(0)
		for k, in := range s.Widths {
			apply(false, s.NH, in, 1, matrix[F]{w[at:], width}, x[k], beta, y[g])
			at, beta = at+in, 1
		}
		vec.Add(y[g], y[g], p.B[g])
	}
}

// MLSTMGatesBackward computes the gradients dx of x, and those of the parameters,
// for dy; nil in dy stands for zeros. The biases in p are not read.
func MLSTMGatesBackward[F Float](s MLSTMGates, x [3][]F, p MLSTMGatesParams[F], dy [2][]F, dx [3][]F, grads MLSTMGatesParams[F]) {
	width, gates := s.width(), 2*s.NH
	buf, lent := scratch[F](gates * (2*width + s.N + 1))
	defer giveBack(lent)
	w, dw := buf[:gates*width], buf[gates*width:2*gates*width]
	both, db := buf[2*gates*width:][:gates*s.N], buf[gates*(2*width+s.N):]
	stackGates(p.W, w)
	ParallelRows(s.N, gates, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			for g := range dy {
				row := both[r*gates+g*s.NH:][:s.NH]
				if dy[g] == nil {
					clear(row)
					continue
				}
				copy(row, dy[g][r*s.NH:(r+1)*s.NH])
			}
		}
	})
	at := 0
	for k, in := range s.Widths {
		LinearGradX(s.N, in, gates, both, w[at:], width, dx[k], in, false)
		LinearGradW(s.N, in, gates, both, x[k], in, dw[at:], width)
		at += in
	}
	ColumnSums(s.N, gates, both, db)
	for g := range grads.W {
		copy(grads.W[g], dw[g*s.NH*width:])
		copy(grads.B[g], db[g*s.NH:])
	}
}
