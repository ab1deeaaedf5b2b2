package main

import "math"

// The coefficients of the polynomials are least-maximum fits to the functions
// on the intervals named, rounded to float32.

// exp is eˣ = 2ⁿ·eʳ with |r| ≤ ln 2/2.
func (l lanes) exp(x value) value {
	// Beyond these bounds the result is 0 or +∞ all the same.
	x = l.max(l.num(-150), l.min(l.num(130), x))
	n := l.round(l.mul(x, l.num(1/math.Ln2)))
	const high = 0.693359375 // of ln 2; few enough bits for exact products with n
	r := l.fnma(n, l.num(high), x)
	r = l.fnma(n, l.num(math.Ln2-high), r)
	p := l.horner(r, 0.4999999403953552, 0.1666652113199234, 0.04166838899254799, 0.00836874544620514, 0.001381453825160861)
	q := l.add(l.fma(p, l.mul(r, r), r), l.num(1))
	return l.scale2(q, n)
}

// logistic is σ(x) and σ(−x) = 1 − σ(x), both without cancellation.
func (l lanes) logistic(x value) (p, q value) {
	e := l.exp(l.or(x, l.word(0x80000000))) // e^−|x|
	s := l.div(l.num(1), l.add(e, l.num(1)))
	t := l.mul(e, s)
	below := l.compare(less, x, l.num(0))
	return l.pick(below, t, s), l.pick(below, s, t)
}

// bounded is x within ±1000, where products with a vanishing factor are still
// zero and not NaN.
func (l lanes) bounded(x value) value { return l.max(l.num(-1000), l.min(l.num(1000), x)) }

// silu is x·σ(x).
func (l lanes) silu(x value) value {
	p, _ := l.logistic(x)
	return l.mul(l.max(l.num(-1000), x), p)
}

// siluSlope is silu and its derivative σ(x)·(1 + x·σ(−x)).
func (l lanes) siluSlope(x value) (y, slope value) {
	p, q := l.logistic(x)
	y = l.mul(l.max(l.num(-1000), x), p)
	return y, l.mul(p, l.fma(l.bounded(x), q, l.num(1)))
}

// tanh is a polynomial near 0 and 1 − 2e/(1+e) with e = e^−2|x| elsewhere.
func (l lanes) tanh(x value) value {
	a := l.abs(x)
	e := l.exp(l.mul(a, l.num(-2)))
	large := l.div(l.sub(l.num(1), e), l.add(e, l.num(1)))
	large = l.or(large, l.and(x, l.word(0x80000000)))
	u := l.mul(x, x)
	p := l.horner(u, -0.33333271741867065, 0.1333114504814148, -0.05371346324682236, 0.020549602806568146, -0.005601551383733749)
	small := l.fma(l.mul(p, u), x, x)
	return l.pick(l.compare(less, a, l.num(0.625)), small, large)
}

// log1pExp is log(1 + e^−|x|) = 2·artanh(e/(2+e)) with e = e^−|x|.
func (l lanes) log1pExp(x value) value {
	e := l.exp(l.or(x, l.word(0x80000000)))
	s := l.div(e, l.add(e, l.num(2)))
	u := l.mul(s, s)
	p := l.horner(u, 0.3333320617675781, 0.2001088559627533, 0.13998931646347046, 0.14015640318393707)
	s = l.add(s, s)
	return l.fma(l.mul(p, u), s, s)
}

// logSigmoid is log σ(x) = min(x, 0) − log(1 + e^−|x|).
func (l lanes) logSigmoid(x value) value { return l.sub(l.min(l.num(0), x), l.log1pExp(x)) }

// normal is the distribution function Φ(x) and the density φ(x) of the normal
// distribution. With a = |x|, Φ(−a) is e^(−a²/2) times a function that falls so
// slowly that a polynomial in 1/(1+a/4) gives it, on 0 ≤ a ≤ 14.5.
func (l lanes) normal(x value) (cdf, density value) {
	a := l.min(l.num(20), l.abs(x))
	square := l.mul(a, a)
	rest := l.fms(a, a, square) // what rounding took from the square
	e := l.exp(l.mul(square, l.num(-0.5)))
	e = l.fnma(l.mul(rest, l.num(0.5)), e, e)
	t := l.div(l.num(1), l.fma(a, l.num(0.25), l.num(1)))
	p := l.horner(t, 0.09974633157253265, 0.0995214581489563, 0.09528784453868866, 0.07301288098096848, 0.08385100960731506,
		0.017735116183757782, 0.022610414773225784, 0.05587983876466751, -0.06453732401132584, 0.016892435029149055)
	tail := l.mul(l.mul(p, t), e)
	cdf = l.pick(l.compare(less, x, l.num(0)), tail, l.sub(l.num(1), tail))
	return cdf, l.mul(e, l.num(1/math.Sqrt(2*math.Pi)))
}

// gelu is x·Φ(x).
func (l lanes) gelu(x value) value {
	cdf, _ := l.normal(x)
	return l.mul(l.max(l.num(-1000), x), cdf)
}

// geluSlope is gelu and its derivative Φ(x) + x·φ(x).
func (l lanes) geluSlope(x value) (y, slope value) {
	cdf, density := l.normal(x)
	y = l.mul(l.max(l.num(-1000), x), cdf)
	return y, l.fma(l.bounded(x), density, cdf)
}

// sum2 is a + b as a rounded sum and what rounding took from it (Knuth), which is
// nothing where the sum is infinite.
func (l lanes) sum2(a, b value) (sum, rest value) {
	sum = l.add(a, b)
	c := l.sub(sum, a)
	rest = l.add(l.sub(a, l.sub(sum, c)), l.sub(b, c))
	return sum, l.only(l.compare(equal, rest, rest), rest)
}
