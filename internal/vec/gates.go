package vec

import "math"

// Pair holds numbers with more digits than a float32, each as the sum of a
// rounded number and its rounding error; in float64 Low is zero.
type Pair[F Float] struct{ High, Low []F }

// Split sets element i to x.
func (p Pair[F]) Split(i int, x float64) { p.High[i], p.Low[i] = split[F](x) }

// split returns x as a rounded number and the rest, of which infinity has none.
func split[F Float](x float64) (high, low F) {
	high = F(x)
	if math.IsInf(float64(high), 0) {
		return high, 0
	}
	return high, F(x - float64(high))
}

// Decay multiplies a by D, D_j = exp(u_j + c), and returns the sum of the new
// a. d, if not nil, receives D. The gate matrix of the mLSTM consists of such
// rows.
func Decay[F Float](u Pair[F], c float64, a, d []F) F {
	n := len(a)
	if fast[F]() {
		high, low := split[float32](c)
		if d == nil {
			return F(best.decay(n, ptr(u.High, n), ptr(u.Low, n), ptr(a, n), high, low))
		}
		return F(best.decayKeep(n, ptr(u.High, n), ptr(u.Low, n), ptr(a, n), ptr(d, n), high, low))
	}
	var sum float64
	for j := range a {
		w := F(math.Exp(float64(u.High[j]) + float64(u.Low[j]) + c))
		if d != nil {
			d[j] = w
		}
		a[j] *= w
		sum += float64(a[j])
	}
	return F(sum)
}

// DecayGrad is the backward pass of a row of Decay. On entry p is the gradient
// of the result without den, which is added to each element. The products of
// this gradient with the result a are added to w, and p becomes the gradient of
// the original a.
func DecayGrad[F Float](a, d []F, den F, w, p []F) {
	n := len(p)
	if fast[F]() {
		best.decayGrad(n, ptr(a, n), ptr(d, n), ptr(w, n), ptr(p, n), float32(den))
		return
	}
	for j := range p {
		g := p[j] + den
		w[j] += g * a[j]
		p[j] = g * d[j]
	}
}

// SLSTM holds the vectors, all of the same length, of a step of the sLSTM
// (paper, section 2.2) for some of its cells. Gates are in the order i, f, z,
// o.
type SLSTM[F Float] struct {
	P, X, B [4][]F // the recurrent, input and bias parts of the pre-activations
	C, N, M []F    // the state, which Forward changes
	Y       []F
	// The values for the backward pass: the gates after their non-linearities,
	// 1 − σ(f~), and the new c and n.
	Gates              [4][]F
	Fbar, CNext, NNext []F
}

// Forward computes Y, the new state and the values for the backward pass. Where
// n is zero the memory is empty, and the stabiliser is i~.
func (s *SLSTM[F]) Forward() {
	n := len(s.Y)
	if fast[F]() {
		best.slstm(n, ptr(s.P[0], n), ptr(s.P[1], n), ptr(s.P[2], n), ptr(s.P[3], n),
			ptr(s.X[0], n), ptr(s.X[1], n), ptr(s.X[2], n), ptr(s.X[3], n),
			ptr(s.B[0], n), ptr(s.B[1], n), ptr(s.B[2], n), ptr(s.B[3], n),
			ptr(s.C, n), ptr(s.N, n), ptr(s.M, n), ptr(s.Y, n),
			ptr(s.Gates[0], n), ptr(s.Gates[1], n), ptr(s.Gates[2], n), ptr(s.Gates[3], n),
			ptr(s.Fbar, n), ptr(s.CNext, n), ptr(s.NNext, n))
		return
	}
	for j := range s.Y {
		s.cell(j)
	}
}

// pre is the pre-activation of gate k in float64: gates may be large, and their
// sums must not cost digits of the exponentials.
func (s *SLSTM[F]) pre(k, j int) float64 {
	return float64(s.P[k][j]) + float64(s.X[k][j]) + float64(s.B[k][j])
}

// coarse is a stabiliser whose rounding takes no fraction of an exponent any more,
// but whole ones: the gates then round as it does, so that the larger is 1.
const coarse = 1 << 20

func (s *SLSTM[F]) cell(j int) {
	it, ft := s.pre(0, j), s.pre(1, j)
	z, o := F(math.Tanh(s.pre(2, j))), F(Sigmoid.At(s.pre(3, j)))
	lf := LogSigmoid.At(ft) + float64(s.M[j])
	m, empty := math.Max(lf, it), s.N[j] == 0
	if empty {
		m = it
	}
	// The stored stabiliser is rounded; the gates must refer to it, though the
	// larger may then pass 1 by as much.
	s.M[j] = F(m)
	m = float64(s.M[j])
	if math.Abs(m) >= coarse {
		it, lf = float64(F(it)), float64(F(lf))
	}
	if empty { // nothing to keep, and nothing to keep finite
		lf = math.Min(lf, m)
	}
	i, f := F(math.Exp(it-m)), F(math.Exp(lf-m))
	s.C[j] = f*s.C[j] + i*z
	s.N[j] = f*s.N[j] + i
	s.Y[j] = o * s.C[j] / s.N[j]
	s.Gates[0][j], s.Gates[1][j], s.Gates[2][j], s.Gates[3][j] = i, f, z, o
	s.Fbar[j], s.CNext[j], s.NNext[j] = F(Sigmoid.At(-ft)), s.C[j], s.N[j]
}

// SLSTMGrad holds the vectors, all of the same length, of a backward step of
// the sLSTM.
type SLSTMGrad[F Float] struct {
	Gates          [4][]F // as Forward left them
	Fbar, NNext, Y []F
	CPrev, NPrev   []F // the state before the step
	DY, Carried    []F // the gradient of Y from above and from the step after
	// DC and DN are the gradients of the state, and Rest is the remaining
	// gradient of the stabiliser (see Step); Step propagates all of them to the
	// previous step.
	DC, DN, Rest []F
	DPre         [4][]F // the gradients of the pre-activations
}

// Step computes the backward step. The output does not depend on the
// stabiliser; only the gradient of a final state leaves a Rest, which flows
// through the maximum to the gate that determined it.
func (s *SLSTMGrad[F]) Step() {
	n := len(s.DC)
	if fast[F]() {
		best.slstmGrad(n, ptr(s.Gates[0], n), ptr(s.Gates[1], n), ptr(s.Gates[2], n), ptr(s.Gates[3], n),
			ptr(s.Fbar, n), ptr(s.NNext, n), ptr(s.Y, n), ptr(s.DY, n), ptr(s.Carried, n),
			ptr(s.CPrev, n), ptr(s.NPrev, n), ptr(s.DC, n), ptr(s.DN, n), ptr(s.Rest, n),
			ptr(s.DPre[0], n), ptr(s.DPre[1], n), ptr(s.DPre[2], n), ptr(s.DPre[3], n))
		return
	}
	for j := range s.DC {
		s.cell(j)
	}
}

func (s *SLSTMGrad[F]) cell(j int) {
	i, f, z, o := s.Gates[0][j], s.Gates[1][j], s.Gates[2][j], s.Gates[3][j]
	dy := s.DY[j] + s.Carried[j]
	share := dy / s.NNext[j]
	dc, dn := s.DC[j]+o*share, s.DN[j]-s.Y[j]*share
	di := i * (dc*z + dn)
	df := f * (dc*s.CPrev[j] + dn*s.NPrev[j])
	// The larger gate is the one on the side of the maximum.
	if f >= i && s.NPrev[j] != 0 {
		df += s.Rest[j]
	} else {
		di += s.Rest[j]
		s.Rest[j] = 0
	}
	s.DPre[0][j], s.DPre[1][j] = di, df*s.Fbar[j]
	s.DPre[2][j] = dc * i * (1 - z*z)
	s.DPre[3][j] = (1 - o) * s.Y[j] * dy
	s.DC[j], s.DN[j] = f*dc, f*dn
}
