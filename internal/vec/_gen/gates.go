package main

// gates are the kernels of exponential gating. Sums of logarithms come as pairs
// of a rounded number and what rounding took from it, since the exponentials of
// their differences need digits that a single float32 does not have.
var gates = []kernel{
	// a ⊙= D with D_j = exp(u_j + c); the result is the sum of a.
	{name: "decay", vectors: "high low a", scalars: "ch cl", results: "s", body: func(k *body) {
		a := k.mul(k.load("a"), weight(k))
		k.store("a", a)
		k.foldInto("s", a)
	}},
	// The same, keeping D.
	{name: "decayKeep", vectors: "high low a d", scalars: "ch cl", results: "s", body: func(k *body) {
		d := weight(k)
		k.store("d", d)
		a := k.mul(k.load("a"), d)
		k.store("a", a)
		k.foldInto("s", a)
	}},
	// p += den is the gradient of a; w += p·a; p ⊙= d.
	{name: "decayGrad", vectors: "a d w p", scalars: "den", body: func(k *body) {
		p := k.add(k.load("p"), k.param("den"))
		k.store("w", k.fma(p, k.load("a"), k.load("w")))
		k.store("p", k.mul(p, k.load("d")))
	}},
	{name: "slstm", long: true, body: slstmForward,
		vectors: "pi pf pz po xi xf xz xo bi bf bz bo c n m y ti tf tz to tb tc tn"},
	{name: "slstmGrad", body: slstmBackward,
		vectors: "ti tf tz to tb tn y dy gy cb nb c n rest ei ef ez eo"},
}

// weight is exp(u + c) of two pairs.
func weight(k *body) value {
	sum, rest := k.sum2(k.load("high"), k.param("ch"))
	return k.exp(k.add(sum, k.add(rest, k.add(k.load("low"), k.param("cl")))))
}

// sum3 is a + b + c as a pair.
func sum3(k *body, a, b, c value) (sum, rest value) {
	s, r := k.sum2(a, b)
	sum, rest = k.sum2(s, c)
	return k.sum2(sum, k.add(r, rest)) // since the sum may have cancelled
}

// coarse is a stabiliser whose rounding takes no fraction of an exponent any more,
// but whole ones; vec.coarse is the same.
const coarse = 1 << 20

// slstmForward is one step of the sLSTM cell (paper, section 2.2) for a head: the
// pre-activations are p + x + b for each gate.
func slstmForward(k *body) {
	gate := func(g string) (value, value) { return sum3(k, k.load("p"+g), k.load("x"+g), k.load("b"+g)) }
	it, itRest := gate("i")
	ft, ftRest := gate("f")
	// log σ(f~) + m as a pair. What rounding took from f~ counts where σ is not flat.
	m := k.load("m")
	flat := k.compare(less, k.num(0), ft)
	lf, lfRest := k.sum2(k.min(k.num(0), ft), m)
	lfRest = k.add(lfRest, k.pick(flat, k.num(0), ftRest))
	e := k.expMinus(ft)
	lf, more := k.sum2(lf, k.neg(k.log1p(e)))
	lf, lfRest = k.sum2(lf, k.add(lfRest, more))
	k.store("tb", k.logistic(ft, e).minus())
	// Where n = 0 there is nothing to keep, and nothing to keep finite.
	n := k.load("n")
	empty := k.compare(equal, n, k.num(0))
	m = k.pick(empty, it, k.max(lf, it))
	k.store("m", m)
	fine := k.compare(less, k.abs(m), k.num(coarse))
	ig := k.exp(k.add(k.sub(it, m), k.only(fine, itRest)))
	df := k.add(k.sub(lf, m), k.only(fine, lfRest))
	fg := k.exp(k.pick(empty, k.min(k.num(0), df), df))
	k.store("ti", ig)
	k.store("tf", fg)
	z := k.tanh(k.add(k.add(k.load("pz"), k.load("xz")), k.load("bz")))
	k.store("tz", z)
	c := k.fma(fg, k.load("c"), k.mul(ig, z))
	n = k.fma(fg, n, ig)
	k.store("c", c)
	k.store("tc", c)
	k.store("n", n)
	k.store("tn", n)
	o := k.sigmoid(k.add(k.add(k.load("po"), k.load("xo")), k.load("bo")))
	k.store("to", o)
	k.store("y", k.div(k.mul(o, c), n))
}

// slstmBackward takes a step back: dy is the upstream gradient of y, gy what
// comes from the step after, cb and nb are c and n before the step, c, n and rest
// the gradients carried back, ei … eo those of the pre-activations.
func slstmBackward(k *body) {
	dy := k.add(k.load("dy"), k.load("gy"))
	y, o := k.load("y"), k.load("to")
	k.store("eo", k.mul(k.mul(k.sub(k.num(1), o), y), dy))
	share := k.div(dy, k.load("tn"))
	dc := k.fma(o, share, k.load("c"))
	dn := k.fnma(y, share, k.load("n"))
	i, f, z := k.load("ti"), k.load("tf"), k.load("tz")
	k.store("ez", k.mul(k.mul(dc, i), k.fnma(z, z, k.num(1))))
	di := k.mul(i, k.fma(dc, z, dn))
	nb := k.load("nb")
	df := k.mul(f, k.fma(dc, k.load("cb"), k.mul(dn, nb)))
	k.store("c", k.mul(f, dc))
	k.store("n", k.mul(f, dn))
	// The larger gate is on the side of the maximum. If that is the forget gate, the
	// stabiliser's remaining gradient is passed to the previous step; otherwise it
	// ends at the input gate.
	rest := k.load("rest")
	forgets := k.both(k.compare(atLeast, f, i), k.compare(notEqual, nb, k.num(0)))
	through := k.only(forgets, rest)
	k.store("rest", through)
	k.store("ef", k.mul(k.add(df, through), k.load("tb")))
	k.store("ei", k.add(di, k.sub(rest, through)))
}
