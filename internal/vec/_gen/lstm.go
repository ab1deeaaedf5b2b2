package main

// lstm are the kernels of the classic LSTM cell.
var lstm = []kernel{
	{name: "lstm", long: true, body: lstmForward,
		vectors: "pi pf pg po xi xf xg xo bi bf bg bo c ti tf tg to tc y"},
	{name: "lstmGrad", long: true, body: lstmBackward,
		vectors: "ti tf tg to tc cb dy gy c ei ef eg eo"},
}

// lstmForward is one step of the LSTM cell: the pre-activations are p + x + b for
// each gate.
func lstmForward(k *body) {
	gate := func(g string) value { return k.add(k.add(k.load("p"+g), k.load("x"+g)), k.load("b"+g)) }
	i, f := k.sigmoid(gate("i")), k.sigmoid(gate("f"))
	k.store("ti", i)
	k.store("tf", f)
	g := k.tanh(gate("g"))
	k.store("tg", g)
	c := k.fma(f, k.load("c"), k.mul(i, g))
	k.store("c", c)
	k.store("tc", c)
	o := k.sigmoid(gate("o"))
	k.store("to", o)
	k.store("y", k.mul(o, k.tanh(c)))
}

// lstmBackward takes a step back: dy is the upstream gradient of h, gy what comes
// from the step after, cb is c before the step and c its gradient carried back,
// ei … eo are the gradients of the pre-activations.
func lstmBackward(k *body) {
	dh := k.add(k.load("dy"), k.load("gy"))
	o, t := k.load("to"), k.tanh(k.load("tc"))
	k.store("eo", k.mul(k.mul(dh, t), k.fnma(o, o, o)))
	dc := k.fma(k.mul(dh, o), k.fnma(t, t, k.num(1)), k.load("c"))
	i, f, g := k.load("ti"), k.load("tf"), k.load("tg")
	k.store("ei", k.mul(k.mul(dc, g), k.fnma(i, i, i)))
	k.store("ef", k.mul(k.mul(dc, k.load("cb")), k.fnma(f, f, f)))
	k.store("eg", k.mul(k.mul(dc, i), k.fnma(g, g, k.num(1))))
	k.store("c", k.mul(dc, f))
}
