package main

import "math"

// The coefficients of the polynomials are least-maximum fits to the functions
// on the intervals named, rounded to float32.

// exp is eˣ. Beyond 130 it is +∞ all the same.
func (l lanes) exp(x value) value { return l.finiteExp(l.min(l.num(130), x)) }

// finiteExp is eˣ = 2ⁿ·eʳ with |r| ≤ ln 2/2, for x ≤ 130.
func (l lanes) finiteExp(x value) value {
	x = l.max(l.num(-150), x) // below it is 0 all the same
	n := l.round(l.mul(x, l.num(1/math.Ln2)))
	const high = 0.693359375 // of ln 2; few enough bits for exact products with n
	r := l.fnma(n, l.num(high), x)
	r = l.fnma(n, l.num(math.Ln2-high), r)
	p := l.horner(r, 0.4999999403953552, 0.1666652113199234, 0.04166838899254799, 0.00836874544620514, 0.001381453825160861)
	q := l.add(l.fma(p, l.mul(r, r), r), l.num(1))
	return l.scale2(q, n)
}

// expMinus is e^−|x|.
func (l lanes) expMinus(x value) value { return l.finiteExp(l.or(x, l.word(0x80000000))) }

// logistic is σ(x) and σ(−x) = 1 − σ(x), both without cancellation: 1/(1+e) and
// e/(1+e) with e = e^−|x|, or the other way round.
type logistic struct {
	lanes
	below     value // a mask
	one, rest value
}

func (l lanes) logistic(x, e value) logistic {
	s := l.div(l.num(1), l.add(e, l.num(1)))
	return logistic{l, l.compare(less, x, l.num(0)), s, l.mul(e, s)}
}

// plus is σ(x).
func (g logistic) plus() value { return g.pick(g.below, g.rest, g.one) }

// minus is σ(−x).
func (g logistic) minus() value { return g.pick(g.below, g.one, g.rest) }

// sigmoid is σ(x).
func (l lanes) sigmoid(x value) value { return l.logistic(x, l.expMinus(x)).plus() }

// bounded is x within ±1000, where products with a vanishing factor are still
// zero and not NaN.
func (l lanes) bounded(x value) value { return l.max(l.num(-1000), l.min(l.num(1000), x)) }

// silu is x·σ(x).
func (l lanes) silu(x value) value {
	return l.mul(l.max(l.num(-1000), x), l.sigmoid(x))
}

// siluSlope is its derivative σ(x)·(1 + x·σ(−x)), with silu.
func (l lanes) siluSlope(x value) (slope value, y func() value) {
	g := l.logistic(x, l.expMinus(x))
	p := g.plus()
	slope = l.mul(p, l.fma(l.bounded(x), g.minus(), l.num(1)))
	return slope, func() value { return l.mul(l.max(l.num(-1000), x), p) }
}

// tanh is a polynomial near 0 and 1 − 2e/(1+e) with e = e^−2|x| elsewhere.
func (l lanes) tanh(x value) value {
	a := l.abs(x)
	e := l.finiteExp(l.mul(a, l.num(-2)))
	large := l.div(l.sub(l.num(1), e), l.add(e, l.num(1)))
	u := l.mul(x, x)
	p := l.horner(u, -0.33333271741867065, 0.1333114504814148, -0.05371346324682236, 0.020549602806568146, -0.005601551383733749)
	small := l.fma(l.mul(p, u), x, x)
	y := l.pick(l.compare(less, a, l.num(0.625)), small, large)
	return l.or(y, l.and(x, l.word(0x80000000))) // of −0 too
}

// log1p is log(1 + e) = 2·artanh(e/(2+e)) for 0 ≤ e ≤ 1.
func (l lanes) log1p(e value) value {
	s := l.div(e, l.add(e, l.num(2)))
	u := l.mul(s, s)
	p := l.horner(u, 0.3333320617675781, 0.2001088559627533, 0.13998931646347046, 0.14015640318393707)
	s = l.add(s, s)
	return l.fma(l.mul(p, u), s, s)
}

// logSigmoid is log σ(x) = min(x, 0) − log(1 + e^−|x|), given e = e^−|x|.
func (l lanes) logSigmoid(x, e value) value { return l.sub(l.min(l.num(0), x), l.log1p(e)) }

// normal is the distribution function Φ(x) of the normal distribution, and
// e^(−x²/2). With a = |x|, Φ(−a) is e^(−a²/2) times a function that falls so
// slowly that a polynomial in 1/(1+a/4) gives it, on 0 ≤ a ≤ 14.5.
func (l lanes) normal(x value) (cdf, e value) {
	a := l.min(l.num(20), l.abs(x))
	square := l.mul(a, a)
	rest := l.fms(a, a, square) // what rounding took from the square
	e = l.finiteExp(l.mul(square, l.num(-0.5)))
	e = l.fnma(l.mul(rest, l.num(0.5)), e, e)
	t := l.div(l.num(1), l.fma(a, l.num(0.25), l.num(1)))
	p := l.horner(t, 0.09974633157253265, 0.0995214581489563, 0.09528784453868866, 0.07301288098096848, 0.08385100960731506,
		0.017735116183757782, 0.022610414773225784, 0.05587983876466751, -0.06453732401132584, 0.016892435029149055)
	tail := l.mul(l.mul(p, t), e)
	cdf = l.pick(l.compare(less, x, l.num(0)), tail, l.sub(l.num(1), tail))
	return cdf, e
}

// gelu is x·Φ(x).
func (l lanes) gelu(x value) value {
	cdf, _ := l.normal(x)
	return l.mul(l.max(l.num(-1000), x), cdf)
}

// geluSlope is its derivative Φ(x) + x·φ(x) with the density φ, with gelu.
func (l lanes) geluSlope(x value) (slope value, y func() value) {
	cdf, e := l.normal(x)
	density := l.mul(e, l.num(1/math.Sqrt(2*math.Pi)))
	slope = l.fma(l.bounded(x), density, cdf)
	return slope, func() value { return l.mul(l.max(l.num(-1000), x), cdf) }
}

// sum2 is a + b as a rounded sum and what rounding took from it (Knuth), which is
// nothing where the sum is infinite.
func (l lanes) sum2(a, b value) (sum, rest value) {
	sum = l.add(a, b)
	c := l.sub(sum, a)
	rest = l.add(l.sub(a, l.sub(sum, c)), l.sub(b, c))
	return sum, l.only(l.compare(equal, rest, rest), rest)
}
