//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// bindLinear binds the operations that multiply by weights.
func bindLinear(b *binder, op ops.Op) bool {
	switch op := op.(type) {
	case ops.Linear:
		b.linear(op)
	case ops.LinearGrad:
		b.linearGrad(op)
	case ops.Headwise:
		b.headwise(op)
	case ops.HeadwiseGrad:
		b.headwiseGrad(op)
	case ops.MLSTMGates:
		b.mlstmGates(op)
	case ops.MLSTMGatesGrad:
		b.mlstmGatesGrad(op)
	case ops.Linears:
		b.linears(op)
	case ops.GatedLinears:
		b.gatedLinears(op)
	case ops.LinearsGrad:
		b.linearsGrad(op)
	case ops.LinearGradAgain:
		b.linearGradAgain(op)
	case ops.LinearsGradAgain:
		b.linearsGradAgain(op, false)
	case ops.Twin:
		again, ok := op.Op.(ops.LinearsGradAgain)
		if ok {
			b.linearsGradAgain(again, true)
		}
		return ok
	case ops.Embedding:
		ids, w, y := b.read(), b.read(), b.write()
		b.each("embedding", "embedding", op.N*op.D, ids, w, y, int64(op.N), int64(op.D))
	case ops.EmbeddingGrad:
		b.embeddingGrad(op)
	default:
		return false
	}
	return true
}

// at returns the address of element i of the floats at base.
func (b *binder) at(base address, i int) address { return base + address(i*b.size()) }

// halves reports whether products take their operands in bfloat16.
func (b *binder) halves() bool { return b.d.precision == BF16 && b.dt == ops.Float32 }

// factor is an operand of products, in bfloat16 where the device's products take
// that: the operand itself or a rounded copy.
type factor struct {
	at   address
	half bool
}

func (b *binder) factor(r ref, n int) factor {
	if b.halves() {
		return factor{b.asHalf(r, n), true}
	}
	return factor{r.at, false}
}

// row is the operand that begins at a row of ld elements.
func (f factor) row(b *binder, row, ld int, trans bool) operand {
	size := b.size()
	if f.half {
		size = 2
	}
	return operand{at: f.at + address(row*ld*size), ld: ld, trans: trans}
}

func (b *binder) linear(op ops.Linear) { b.linears(ops.Linears{Maps: []ops.Linear{op}}) }

func (b *binder) linears(op ops.Linears) {
	first, narrow := op.Maps[0], b.narrowMaps(op.Maps)
	in := b.readRef()
	var x factor
	if slices.Contains(narrow, false) {
		x = b.factor(in, first.Rows*first.In)
	}
	var weights []ref
	var factors []factor
	var biases []address
	for k, m := range op.Maps {
		w, f := b.readRef(), factor{}
		if !narrow[k] {
			f = b.factor(w, total(m.Outs)*m.In)
		}
		weights, factors, biases = append(weights, w), append(factors, f), append(biases, b.readIf(m.Bias))
	}
	var few narrowArgs
	var outs []func()
	for k, m := range op.Maps {
		ys := make([]ref, len(m.Outs))
		for o := range ys {
			ys[o] = b.writeRef()
		}
		if narrow[k] {
			few.add(m, weights[k], biases[k], ys, 0)
			continue
		}
		for _, c := range m.Blocks() {
			outs = append(outs, func() { b.linearBlock(m, c, x, factors[k], biases[k], ys[c.Out]) })
		}
	}
	// They read the same rounded x, if there is one.
	b.atOnce(append(outs, func() { b.narrow(few, in) })...)
}

// linearBlock enqueues one result of a linear map.
func (b *binder) linearBlock(m ops.Linear, c ops.LinearBlock, x, w factor, bias address, y ref) {
	b.multiply(product{m: m.Rows, n: c.Width, k: m.In, a: x.row(b, 0, m.In, false), b: w.row(b, c.Row, m.In, true),
		c: operand{at: y.at, ld: c.Width}, half: x.half, halfOut: y.half})
	if m.Bias {
		b.each("elementwise", "add_rows", m.Rows*c.Width, b.at(bias, c.Row), y.arg(), int64(m.Rows), int64(c.Width))
	}
}

func total(xs []int) (n int) {
	for _, x := range xs {
		n += x
	}
	return n
}

// linearBack is the backward pass of linear maps of one input.
type linearBack struct {
	*binder
	op     ops.LinearsGrad
	narrow []bool // the maps that narrow.cu takes
	few    narrowArgs
	in     ref
	x      factor
	// Of each map: the weights, and as operands of products; the gradients of its
	// results, zero where there is none, and as operands of products.
	weightRefs []ref
	w          []factor
	dys        [][]ref
	ups        [][]factor
	dx         ref
	dw, db     []address
	joint      joint
	joined     bool // the gradients are in the joint's matrix
}

func (b *binder) linearGrad(op ops.LinearGrad) {
	b.linearsGrad(ops.LinearsGrad{Linears: ops.Linears{Maps: []ops.Linear{op.Linear}}, Has: [][]bool{op.Has}})
}

func (b *binder) linearsGrad(op ops.LinearsGrad) {
	c := b.newLinearBack(op)
	c.in = b.readRef()
	if slices.Contains(c.narrow, false) {
		c.x = b.factor(c.in, op.Maps[0].Rows*op.Maps[0].In)
	}
	c.readMaps()
	c.dx = b.writeRef()
	c.writeMaps()
	c.join()
	b.atOnce(append([]func(){c.inputs, c.biases}, c.weights()...)...) // which read the same rounded dys, if there are any
	c.divide()
}

// linearsGradAgain enqueues the gradient of the norm's result, then the pass of the norm
// that reads it and leaves the result in its place, and then the gradients of the
// weights. dx has a twin if twin is set.
func (b *binder) linearsGradAgain(op ops.LinearsGradAgain, twin bool) {
	p := normPass{x: b.readRef(), w: b.readIf(op.Norm.Weight)}
	c := b.newLinearBack(op.LinearsGrad)
	c.readMaps()
	p.more, p.rests = b.readSplit()
	b.writeStream(op.Norm, &p)
	c.writeMaps()
	c.join()
	p.twin = b.writeRefIf(twin)
	c.in = b.scratch(op.Norm.N * op.Norm.Width)
	c.x, c.dx, p.dy, p.y = factor{c.in.at, c.in.half}, c.in, c.in, c.in
	c.inputs()
	b.normBackward(op.Norm, p)
	b.atOnce(append(c.weights(), c.biases)...)
	c.divide()
}

// scratch takes n elements of the workspace, of the type in which products are stored.
func (b *binder) scratch(n int) ref {
	if b.halves() {
		return ref{at: b.take(2 * n), half: true}
	}
	return plain(b.float(n))
}

func (b *binder) newLinearBack(op ops.LinearsGrad) *linearBack {
	return &linearBack{binder: b, op: op, narrow: b.narrowMaps(op.Maps)}
}

// readMaps reads the weights and the gradients of the results.
func (c *linearBack) readMaps() {
	in, rows := c.op.Maps[0].In, c.op.Maps[0].Rows
	for k, m := range c.op.Maps {
		weight, w := c.readRef(), factor{}
		if !c.narrow[k] {
			w = c.factor(weight, total(m.Outs)*in)
		}
		c.weightRefs, c.w = append(c.weightRefs, weight), append(c.w, w)
	}
	for k, m := range c.op.Maps {
		dys, ups := make([]ref, len(m.Outs)), make([]factor, len(m.Outs))
		for o, has := range c.op.Has[k] {
			if has {
				dys[o] = c.readUp()
			}
			if has && !c.narrow[k] {
				ups[o] = c.factor(dys[o], rows*m.Outs[o])
			}
		}
		c.dys, c.ups = append(c.dys, dys), append(c.ups, ups)
	}
}

// readUp returns the next gradient of a result. One that is columns of a matrix is so of
// the joint's; see Joins.
func (c *linearBack) readUp() ref {
	up := c.next(&c.binder.in)
	c.joined = c.joined || up.ld > 0
	return refTo(up)
}

// writeMaps takes the gradients of the weights and biases from the outputs.
func (c *linearBack) writeMaps() {
	for k, m := range c.op.Maps {
		c.dw, c.db = append(c.dw, c.write()), append(c.db, c.writeIf(m.Bias))
		if c.narrow[k] {
			c.few.add(m, c.weightRefs[k], 0, c.dys[k], c.dw[k])
		}
	}
}

// inputs enqueues dx, the sum of the gradients through all maps.
func (c *linearBack) inputs() {
	started := 0.0
	if c.few.count > 0 && !c.joint.narrow {
		c.narrowInputs(c.few, c.dx)
		started = 1
	}
	if c.joint.width > 0 {
		c.jointInputs(started)
		started = 1
	}
	for k, m := range c.op.Maps {
		for _, o := range m.Blocks() {
			if !c.op.Has[k][o.Out] || c.narrow[k] || c.joint.has(k, o) {
				continue
			}
			c.multiply(product{m: m.Rows, n: m.In, k: o.Width, a: c.ups[k][o.Out].row(c.binder, 0, o.Width, false), b: c.w[k].row(c.binder, o.Row, m.In, false),
				c: operand{at: c.dx.at, ld: m.In}, beta: started, half: c.x.half, halfOut: c.dx.half})
			started = 1
		}
	}
	if started == 0 {
		c.zeroRef(c.dx, c.op.Maps[0].Rows*c.op.Maps[0].In)
	}
}

// weights returns what enqueues the gradients of the weights, none of which needs another.
func (c *linearBack) weights() (all []func()) {
	if c.few.count > 0 && !c.joint.narrow {
		all = append(all, func() { c.narrowWeights(c.few, c.in) })
	}
	if c.joint.width > 0 {
		all = append(all, c.jointWeights)
	}
	for k, m := range c.op.Maps {
		for _, o := range m.Blocks() {
			if !c.narrow[k] && !c.joint.has(k, o) {
				all = append(all, func() { c.weight(k, m, o) })
			}
		}
	}
	return all
}

// weight enqueues the gradient of a block of the weight of map k.
func (c *linearBack) weight(k int, m ops.Linear, o ops.LinearBlock) {
	at := c.at(c.dw[k], o.Row*m.In)
	if !c.op.Has[k][o.Out] {
		c.zero(at, o.Width*m.In)
		return
	}
	c.multiply(product{m: o.Width, n: m.In, k: m.Rows, a: c.ups[k][o.Out].row(c.binder, 0, o.Width, true), b: c.x.row(c.binder, 0, m.In, false),
		c: operand{at: at, ld: m.In}, half: c.x.half})
}

func (c *linearBack) biases() {
	for k, m := range c.op.Maps {
		for _, o := range m.Blocks() {
			if at := c.at(c.db[k], o.Row); m.Bias && c.op.Has[k][o.Out] {
				c.columnSums(c.dys[k][o.Out], at, m.Rows, o.Width)
			} else if m.Bias {
				c.zero(at, o.Width)
			}
		}
	}
}

// linearGradAgain enqueues the gradient of the map's input y, then the pass that reads
// it and leaves y in its place, and then the gradient of the weights.
func (b *binder) linearGradAgain(op ops.LinearGradAgain) {
	m, n := op.Map, op.Map.Rows*op.Map.In
	inner := b.againPass(op.Inner)
	w, up := b.factor(b.readRef(), m.Outs[0]*m.In), b.factor(b.readRef(), m.Rows*m.Outs[0])
	y := b.scratch(n)
	b.multiply(product{m: m.Rows, n: m.In, k: m.Outs[0], a: up.row(b, 0, m.Outs[0], false), b: w.row(b, 0, m.In, false),
		c: operand{at: y.at, ld: m.In}, half: up.half, halfOut: y.half})
	inner(y)
	b.multiply(product{m: m.Outs[0], n: m.In, k: m.Rows, a: up.row(b, 0, m.Outs[0], true), b: factor{y.at, y.half}.row(b, 0, m.In, false),
		c: operand{at: b.write(), ld: m.In}, half: up.half})
}

// againPass reads the inputs of the operation that LinearGradAgain repeats, and returns
// what writes their gradients from dy and leaves y in the place of dy.
func (b *binder) againPass(op ops.Op) func(dy ref) {
	switch op := op.(type) {
	case ops.Gated:
		g, u := b.readRef(), b.readRef()
		return func(dy ref) { b.gatedGrad(ops.GatedGrad(op), g, u, dy, dy) }
	case ops.GatedNorm:
		p := normPass{gate: b.readRef(), x: b.readRef(), w: b.readIf(op.Weight)}
		return func(dy ref) {
			p.dy, p.y = dy, dy
			b.writeGated(op.Norm, &p)
			b.normBackward(op.Norm, p)
		}
	}
	return nil
}

// embeddingGrad lists the rows by id where the table is large, and otherwise lets
// every id look through all rows.
func (b *binder) embeddingGrad(op ops.EmbeddingGrad) {
	const large, group, stretch = 1024, 256, 64 // RANKS and STRETCH in embedding.cu
	ids, dy, dw := b.read(), b.read(), b.write()
	if op.V <= large {
		b.kernel("embedding", "embedding_grad", grid{x: op.V, y: (op.D + 31) / 32, threads: 32, rows: 32}, ids, dy, dw, int64(op.N), int64(op.D))
		return
	}
	ranks, counts, starts, list := b.take(4*op.N), b.take(4*op.V), b.take(4*op.V), b.take(4*op.N)
	b.zeroBytes(counts, 4*op.V)
	b.kernel("embedding", "embedding_ranks", grid{x: (op.N + group - 1) / group, threads: group}, ids, ranks, counts, int64(op.N))
	b.kernel("embedding", "embedding_starts", grid{x: 1, threads: 1024}, counts, starts, int64(op.V))
	b.each("embedding", "embedding_list", op.N, ids, ranks, starts, list, int64(op.N))
	parts, threads := b.float(2*ceil(op.N, stretch)*op.D), rowThreads(op.D)
	b.kernel("embedding", "embedding_sums", grid{x: op.V + ceil(op.N, stretch), threads: threads},
		ids, dy, counts, starts, list, dw, parts, int64(op.N), int64(op.V), int64(op.D))
	b.kernel("embedding", "embedding_long", grid{x: ceil(op.N, stretch), threads: threads}, ids, counts, starts, list, dw, parts, int64(op.N), int64(op.D))
}

// columnThreads is the number of columns in a block of a sum over rows.
const columnThreads = 128

// stretches divides the rows of a sum over rows into parts of equal length.
func stretches(rows int) (parts, length int) {
	length = max(16, (rows+127)/128)
	return (rows + length - 1) / length, length
}

// columns returns the grid of a sum over rows for n columns.
func columns(n, parts int) grid {
	return grid{x: (n + columnThreads - 1) / columnThreads, y: parts, threads: columnThreads}
}

// strips returns the grid of a sum over rows for kernels whose blocks are 32 columns
// by 8 threads that share the rows of a stretch.
func strips(n, parts int) grid {
	return grid{x: (n + 31) / 32, y: parts, threads: 32, rows: 8}
}

// columnSums adds up the rows of x [n,d] in y.
func (b *binder) columnSums(x ref, y address, n, d int) {
	parts, length := stretches(n)
	part := b.float(parts * d)
	b.kernel("rows", "column_sums", strips(d, parts), x.arg(), part, int64(n), int64(d), int64(length))
	b.sumParts(part, y, parts, d)
}

func (b *binder) sumParts(part, y address, parts, n int) {
	b.kernel("rows", "sum_parts", summing(n, parts), part, y, int64(parts), int64(n))
}

// summing returns the grid of kernels that compute n sums of parts by partsSum of
// common.cuh.
func summing(n, parts int) grid {
	return grid{x: (n + 31) / 32, threads: 32, rows: min(16, parts)}
}
