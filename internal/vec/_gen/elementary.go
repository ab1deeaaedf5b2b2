package main

var elementary = []kernel{
	{name: "add", vectors: "a b dst", body: func(k *body) {
		k.soon(nextRow, "a", "b")
		k.store("dst", k.add(k.load("a"), k.load("b")))
	}},
	{name: "mul", vectors: "a b dst", body: func(k *body) { k.store("dst", k.mul(k.load("a"), k.load("b"))) }},
	{name: "scale", vectors: "x dst", scalars: "alpha", body: func(k *body) { k.store("dst", k.mul(k.param("alpha"), k.load("x"))) }},
	{name: "axpy", vectors: "x y", scalars: "alpha", body: func(k *body) {
		k.store("y", k.fma(k.param("alpha"), k.load("x"), k.load("y")))
	}},
	{name: "mulAdd", vectors: "a b y", body: func(k *body) { k.store("y", k.fma(k.load("a"), k.load("b"), k.load("y"))) }},
	{name: "sum", vectors: "x", results: "s", body: func(k *body) { k.foldInto("s", k.load("x")) }},
	{name: "dot", vectors: "a b", results: "s", body: func(k *body) { k.foldInto("s", k.mul(k.load("a"), k.load("b"))) }},
	{name: "max", vectors: "x", results: "m", fold: &maximum, body: func(k *body) { k.foldInto("m", k.load("x")) }},
	{name: "squares", vectors: "x", scalars: "mean", results: "s", body: func(k *body) {
		d := k.sub(k.load("x"), k.param("mean"))
		k.foldInto("s", k.mul(d, d))
	}},
	{name: "exp", vectors: "x dst", body: func(k *body) { k.store("dst", k.exp(k.load("x"))) }},
	{name: "expSum", vectors: "x", scalars: "shift", results: "s", body: func(k *body) {
		k.foldInto("s", k.exp(k.sub(k.load("x"), k.param("shift"))))
	}},
	{name: "expScale", vectors: "x dst", scalars: "shift scale", body: func(k *body) {
		k.store("dst", k.mul(k.param("scale"), k.exp(k.sub(k.load("x"), k.param("shift")))))
	}},
}

// activation is a function, and its derivative with the function beside it, written
// where it is asked for.
type activation struct {
	name  string
	value func(k *body, x value) value
	slope func(k *body, x value) (slope value, y func() value)
}

var activationList = []activation{
	{"sigmoid", func(k *body, x value) value { return k.sigmoid(x) }, func(k *body, x value) (value, func() value) {
		g := k.logistic(x, k.expMinus(x))
		return k.mul(g.one, g.rest), g.plus
	}},
	{"logSigmoid", func(k *body, x value) value { return k.logSigmoid(x, k.expMinus(x)) }, func(k *body, x value) (value, func() value) {
		e := k.expMinus(x)
		return k.logistic(x, e).minus(), func() value { return k.logSigmoid(x, e) }
	}},
	{"tanh", func(k *body, x value) value { return k.tanh(x) }, func(k *body, x value) (value, func() value) {
		y := k.tanh(x)
		return k.fnma(y, y, k.num(1)), func() value { return y }
	}},
	{"silu", func(k *body, x value) value { return k.silu(x) }, func(k *body, x value) (value, func() value) { return k.siluSlope(x) }},
	{"gelu", func(k *body, x value) value { return k.gelu(x) }, func(k *body, x value) (value, func() value) { return k.geluSlope(x) }},
}

// activations makes four kernels for each function a: y = a(x), dx = dy·a'(x), y =
// a(g)·u and the gradients of the latter.
func activations() (ks []kernel) {
	for _, a := range activationList {
		ks = append(ks,
			kernel{name: a.name, vectors: "x y", body: func(k *body) { k.store("y", a.value(k, k.load("x"))) }},
			kernel{name: a.name + "Grad", vectors: "x dy dx", body: func(k *body) {
				s, _ := a.slope(k, k.load("x"))
				k.store("dx", k.mul(k.load("dy"), s))
			}},
			kernel{name: a.name + "Gated", vectors: "gate u y", body: func(k *body) {
				k.store("y", k.mul(a.value(k, k.load("gate")), k.load("u")))
			}},
			kernel{name: a.name + "GatedGrad", vectors: "gate u dy dg du", body: func(k *body) {
				s, y := a.slope(k, k.load("gate"))
				dy := k.load("dy")
				k.store("dg", k.mul(k.mul(dy, k.load("u")), s))
				k.store("du", k.mul(dy, y()))
			}})
	}
	return append(ks,
		kernel{name: "softCap", vectors: "x y", scalars: "cap inverse", body: func(k *body) {
			k.store("y", k.mul(k.param("cap"), k.tanh(k.mul(k.load("x"), k.param("inverse")))))
		}},
		kernel{name: "softCapGrad", vectors: "y dy dx", scalars: "inverse", body: func(k *body) {
			t := k.mul(k.load("y"), k.param("inverse"))
			k.store("dx", k.mul(k.load("dy"), k.fnma(t, t, k.num(1))))
		}})
}
