package main

// How many bytes ahead rows are fetched by the kernels of one row and of two. By then a
// processor would not have foreseen them: pages are no longer than some rows, and a row's
// first elements are often read by themselves, for a mean.
const nextRow, nextRows = 2560, 4608

// rows are the kernels that do for one row of a matrix what a layer does, in one
// pass.
var rows = []kernel{
	// y = (x − mean)·rstd·w
	{name: "norm", vectors: "x w y", scalars: "mean rstd", body: func(k *body) {
		k.soon(nextRow, "x", "y")
		k.store("y", k.mul(k.mul(k.sub(k.load("x"), k.param("mean")), k.param("rstd")), k.load("w")))
	}},
	// y = (x − mean)·rstd·(1 + w)
	{name: "normResidual", vectors: "x w y", scalars: "mean rstd", body: func(k *body) {
		k.soon(nextRow, "x", "y")
		k.store("y", k.mul(k.mul(k.sub(k.load("x"), k.param("mean")), k.param("rstd")), k.add(k.load("w"), k.num(1))))
	}},
	// The sums of g = dy·w and of g·x̂.
	{name: "normSums", vectors: "x w dy", scalars: "mean rstd", results: "sg sgx", body: func(k *body) {
		g := k.mul(k.load("dy"), k.load("w"))
		k.foldInto("sg", g)
		k.foldInto("sgx", k.mul(g, k.mul(k.sub(k.load("x"), k.param("mean")), k.param("rstd"))))
	}},
	// dx = rstd·(dy·w − mg − x̂·mgx), dw += dy·x̂
	{name: "normGrad", vectors: "x w dy dw dx", scalars: "mean rstd mg mgx", body: func(k *body) {
		k.soon(nextRow, "x", "dy")
		dy := k.load("dy")
		xhat := k.mul(k.sub(k.load("x"), k.param("mean")), k.param("rstd"))
		g := k.fnma(xhat, k.param("mgx"), k.sub(k.mul(dy, k.load("w")), k.param("mg")))
		k.store("dx", k.mul(g, k.param("rstd")))
		k.store("dw", k.fma(dy, xhat, k.load("dw")))
	}},
	// y = (h + skip·c)·SiLU(z)
	{name: "skipGate", vectors: "h c skip z y", body: func(k *body) {
		k.soon(nextRow, "c", "z")
		k.store("y", k.mul(k.fma(k.load("skip"), k.load("c"), k.load("h")), k.silu(k.load("z"))))
	}},
	{name: "skipGateGrad", vectors: "h c skip z dy dskip dh dc dz", body: func(k *body) {
		k.soon(nextRow, "c", "z", "dy")
		slope, y := k.siluSlope(k.load("z"))
		dy, c, skip := k.load("dy"), k.load("c"), k.load("skip")
		k.store("dz", k.mul(k.mul(dy, k.fma(skip, c, k.load("h"))), slope))
		dh := k.mul(dy, y())
		k.store("dh", dh)
		k.store("dc", k.mul(dh, skip))
		k.store("dskip", k.fma(dh, c, k.load("dskip")))
	}},
	// Four taps of a convolution: y = bias + Σ wⱼ·xⱼ.
	{name: "conv4", vectors: "x0 x1 x2 x3 w0 w1 w2 w3 bias y", body: func(k *body) { k.store("y", taps(k)) }},
	{name: "conv4SiLU", long: true, vectors: "x0 x1 x2 x3 w0 w1 w2 w3 bias y", body: func(k *body) {
		k.soon(nextRow, "x3", "y")
		k.store("y", k.silu(taps(k)))
	}},
	// The same with the four weights of an element side by side.
	{name: "conv4RowSiLU", vectors: "x0 x1 x2 x3 bias y", fours: "w", body: func(k *body) {
		y := k.load("bias")
		for j, w := range k.loadFours("w") {
			y = k.fma(w, k.load([]string{"x0", "x1", "x2", "x3"}[j]), y)
		}
		k.store("y", k.silu(y))
	}},
	// The gradient of what SiLU took in, from that of what it gave.
	{name: "conv4SiLUGrad", long: true, vectors: "x0 x1 x2 x3 w0 w1 w2 w3 bias dy dpre", body: func(k *body) {
		k.soon(nextRow, "x3")
		slope, _ := k.siluSlope(taps(k))
		k.store("dpre", k.mul(k.load("dy"), slope))
	}},
	// The same with what SiLU gave, y.
	{name: "conv4SiLUGradKeep", long: true, vectors: "x0 x1 x2 x3 w0 w1 w2 w3 bias dy dpre y", body: func(k *body) {
		k.soon(nextRow, "x3")
		slope, y := k.siluSlope(taps(k))
		k.store("dpre", k.mul(k.load("dy"), slope))
		k.store("y", y())
	}},
	// dwⱼ += g·xⱼ, dbias += g
	{name: "conv4Weights", vectors: "x0 x1 x2 x3 grad dw0 dw1 dw2 dw3 dbias", body: func(k *body) {
		g := k.load("grad")
		for j, dw := range []string{"dw0", "dw1", "dw2", "dw3"} {
			k.store(dw, k.fma(g, k.load([]string{"x0", "x1", "x2", "x3"}[j]), k.load(dw)))
		}
		k.store("dbias", k.add(g, k.load("dbias")))
	}},
	// Blocks of four: y = Σ w_s·x with the elements of each four exchanged by s.
	{name: "quads", vectors: "x w0 w1 w2 w3 y", body: quadsOfOne},
	// The same, added to y.
	{name: "quadsAdd", vectors: "x w0 w1 w2 w3 y", body: func(k *body) {
		x := k.load("x")
		y := k.fma(k.load("w0"), x, k.load("y"))
		for s, w := range []string{"w1", "w2", "w3"} {
			y = k.fma(k.load(w), k.swap(s+1, x), y)
		}
		k.store("y", y)
	}},
	// The same of several rows. What is next is read later.
	{name: "quadsMany", vectors: "x next w0 w1 w2 w3 y", strided: "x next y", body: func(k *body) {
		k.ahead("next", 1)
		quadsOfOne(k)
	}},
	// The same of two rows, for which the matrices are read once.
	{name: "quads2", vectors: "x0 x1 w0 w1 w2 w3 y0 y1", body: func(k *body) {
		quadsOfTwo(k, func(w, x value, row string) value { return k.mul(w, x) })
	}},
	{name: "quadsAdd2", vectors: "x0 x1 w0 w1 w2 w3 y0 y1", body: func(k *body) {
		k.soon(nextRows, "x0", "x1")
		quadsOfTwo(k, func(w, x value, row string) value { return k.fma(w, x, k.load("y"+row)) })
	}},
	// The same with the rows of the blocks one after the other.
	{name: "quadsRow", vectors: "x y", fours: "w", body: func(k *body) {
		x, w := k.load("x"), k.loadFours("w")
		y := k.mul(w[0], k.spread(0, x))
		for i := 1; i < 4; i++ {
			y = k.fma(w[i], k.spread(i, x), y)
		}
		k.store("y", y)
	}},
	{name: "quadsWeights", vectors: "x dy dw0 dw1 dw2 dw3", body: func(k *body) {
		x, dy := k.load("x"), k.load("dy")
		for s, dw := range []string{"dw0", "dw1", "dw2", "dw3"} {
			k.store(dw, k.fma(dy, k.swap(s, x), k.load(dw)))
		}
	}},
	{name: "quadsWeights2", vectors: "x0 x1 dy0 dy1 dw0 dw1 dw2 dw3", body: func(k *body) {
		k.soon(nextRows, "dy0", "dy1")
		x0, x1, dy0, dy1 := k.load("x0"), k.load("x1"), k.load("dy0"), k.load("dy1")
		for s, name := range []string{"dw0", "dw1", "dw2", "dw3"} {
			dw := k.fma(dy0, k.swap(s, x0), k.load(name))
			k.store(name, k.fma(dy1, k.swap(s, x1), dw))
		}
	}},
	// A step of a memory, on four of its rows: c = keep·c + s·v, h += Σ q·c.
	{name: "recall4", vectors: "v c0 c1 c2 c3 h", scalars: "keep s0 s1 s2 s3 q0 q1 q2 q3", body: func(k *body) {
		v, h := k.load("v"), k.load("h")
		for j, row := range []string{"c0", "c1", "c2", "c3"} {
			digit := string(rune('0' + j))
			c := k.fma(k.param("s"+digit), v, k.mul(k.param("keep"), k.load(row)))
			k.store(row, c)
			h = k.fma(k.param("q"+digit), c, h)
		}
		k.store("h", h)
	}},
	// Eight rows of a matrix: y += Σ xⱼ·rⱼ
	{name: "combine8", vectors: "r0 r1 r2 r3 r4 r5 r6 r7 y", scalars: "x0 x1 x2 x3 x4 x5 x6 x7", body: func(k *body) {
		k.ahead("r7", 8)
		y := k.load("y")
		for j := range 8 {
			digit := string(rune('0' + j))
			y = k.fma(k.param("x"+digit), k.load("r"+digit), y)
		}
		k.store("y", y)
	}},
	// One step of Adam or AdamW on parameters w with gradient g and moments m and v.
	{name: "adam", vectors: "grad m v w", scalars: "scale l2 keep beta1 fresh1 beta2 fresh2 rate unbias eps", body: func(k *body) {
		k.soon(nextRow, "grad", "m", "v", "w")
		w := k.load("w")
		g := k.fma(k.param("l2"), w, k.mul(k.param("scale"), k.load("grad")))
		m := k.fma(k.param("beta1"), k.load("m"), k.mul(k.param("fresh1"), g))
		v := k.fma(k.param("beta2"), k.load("v"), k.mul(k.param("fresh2"), k.mul(g, g)))
		k.store("m", m)
		k.store("v", v)
		d := k.fma(k.sqrt(v), k.param("unbias"), k.param("eps"))
		k.store("w", k.fnma(k.param("rate"), k.div(m, d), k.mul(k.param("keep"), w)))
	}},
}

func quadsOfOne(k *body) {
	x := k.load("x")
	y := k.mul(k.load("w0"), x)
	for s, w := range []string{"w1", "w2", "w3"} {
		y = k.fma(k.load(w), k.swap(s+1, x), y)
	}
	k.store("y", y)
}

// quadsOfTwo is quads of two rows, with the first term of a row's sum.
func quadsOfTwo(k *body, first func(w, x value, row string) value) {
	x0, x1, w := k.load("x0"), k.load("x1"), k.load("w0")
	y0, y1 := first(w, x0, "0"), first(w, x1, "1")
	for s := 1; s < 4; s++ {
		w := k.load([]string{"w0", "w1", "w2", "w3"}[s])
		y0, y1 = k.fma(w, k.swap(s, x0), y0), k.fma(w, k.swap(s, x1), y1)
	}
	k.store("y0", y0)
	k.store("y1", y1)
}

func taps(k *body) value {
	y := k.load("bias")
	for j, w := range []string{"w0", "w1", "w2", "w3"} {
		y = k.fma(k.load(w), k.load([]string{"x0", "x1", "x2", "x3"}[j]), y)
	}
	return y
}
