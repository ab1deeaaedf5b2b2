package vec

import "math"

// LSTM holds the vectors, all of the same length, of a step of the classic LSTM
// for some of its cells. Gates are in the order i, f, g, o.
type LSTM[F Float] struct {
	P, X, B [4][]F // the recurrent, input and bias parts of the pre-activations
	C       []F    // the state, which Forward changes
	// The values for the backward pass: the gates after their non-linearities,
	// and the new c.
	Gates [4][]F
	CNext []F
	Y     []F // the output h
}

// Forward computes Y, the new state and the values for the backward pass.
func (s *LSTM[F]) Forward() {
	n := len(s.Y)
	if fast[F]() {
		best.lstm(n, ptr(s.P[0], n), ptr(s.P[1], n), ptr(s.P[2], n), ptr(s.P[3], n),
			ptr(s.X[0], n), ptr(s.X[1], n), ptr(s.X[2], n), ptr(s.X[3], n),
			ptr(s.B[0], n), ptr(s.B[1], n), ptr(s.B[2], n), ptr(s.B[3], n), ptr(s.C, n),
			ptr(s.Gates[0], n), ptr(s.Gates[1], n), ptr(s.Gates[2], n), ptr(s.Gates[3], n), ptr(s.CNext, n), ptr(s.Y, n))
		return
	}
	for j := range s.Y {
		s.cell(j)
	}
}

func (s *LSTM[F]) pre(k, j int) float64 { return float64(s.P[k][j] + s.X[k][j] + s.B[k][j]) }

func (s *LSTM[F]) cell(j int) {
	i, f := F(Sigmoid.At(s.pre(0, j))), F(Sigmoid.At(s.pre(1, j)))
	g, o := F(math.Tanh(s.pre(2, j))), F(Sigmoid.At(s.pre(3, j)))
	c := f*s.C[j] + i*g
	s.Gates[0][j], s.Gates[1][j], s.Gates[2][j], s.Gates[3][j] = i, f, g, o
	s.C[j], s.CNext[j] = c, c
	s.Y[j] = o * F(math.Tanh(float64(c)))
}

// LSTMGrad holds the vectors, all of the same length, of a backward step of the
// classic LSTM.
type LSTMGrad[F Float] struct {
	Gates       [4][]F // as Forward left them
	CNext       []F
	CPrev       []F    // c before the step
	DY, Carried []F    // the gradient of Y from above and from the step after
	DC          []F    // the gradient of c, which Step propagates to the step before
	DPre        [4][]F // the gradients of the pre-activations
}

// Step computes the backward step.
func (s *LSTMGrad[F]) Step() {
	n := len(s.DC)
	if fast[F]() {
		best.lstmGrad(n, ptr(s.Gates[0], n), ptr(s.Gates[1], n), ptr(s.Gates[2], n), ptr(s.Gates[3], n), ptr(s.CNext, n), ptr(s.CPrev, n),
			ptr(s.DY, n), ptr(s.Carried, n), ptr(s.DC, n), ptr(s.DPre[0], n), ptr(s.DPre[1], n), ptr(s.DPre[2], n), ptr(s.DPre[3], n))
		return
	}
	for j := range s.DC {
		s.cell(j)
	}
}

func (s *LSTMGrad[F]) cell(j int) {
	i, f, g, o := s.Gates[0][j], s.Gates[1][j], s.Gates[2][j], s.Gates[3][j]
	dh, t := s.DY[j]+s.Carried[j], F(math.Tanh(float64(s.CNext[j])))
	dc := s.DC[j] + dh*o*(1-t*t)
	s.DPre[0][j] = dc * g * (i - i*i)
	s.DPre[1][j] = dc * s.CPrev[j] * (f - f*f)
	s.DPre[2][j] = dc * i * (1 - g*g)
	s.DPre[3][j] = dh * t * (o - o*o)
	s.DC[j] = dc * f
}
