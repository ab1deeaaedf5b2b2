//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"math"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// A chunk of the kernels has up to mlstmMost tiles of mlstmTile steps, MOST and TILE in
// mlstm.cuh. The result does not depend on the chunk length, so the operation's own is
// ignored.
const mlstmTile, mlstmMost = 64, 4

// These types mirror the structs MLSTM, Gates, Borders, Rows, Reads, Grads and
// GateGrads of the kernels.
type (
	mlstmArgs struct {
		b, t, nh, dqk, dhv, nc, tiles int32
		scaleQ, scaleK, eps, begin    float64
		resets                        address
	}
	mlstmGateArgs struct {
		u, top, segment, winner, inter, carry, floor, keep address
	}
	mlstmBorderArgs struct {
		x, y, w, wn                        address
		firstC, firstN, c, n, lastC, lastN address
	}
	mlstmRowArgs struct {
		den, inverse, dden, dm, ofC, ofN, a, p, below, left, cross address
	}
	mlstmReadArgs struct {
		q, k, v, dh, states, ns, dStates, dNs address
	}
	mlstmGradArgs struct {
		dq, dk, dv, fromState, carried, kept address
	}
	// mlstmHalfGradArgs is Grads of mlstm_wgmma.cuh.
	mlstmHalfGradArgs struct {
		mlstmGradArgs
		ldq, ldk, ldv, _ int32
	}
	mlstmGateGradArgs struct {
		f, den, dm, below, left, cross, fromState, carried, kept address
		ofState, ofCarried, ofKept                               int64
		dLast, di, df, dFirst                                    address
	}
)

// bindMLSTM binds the mLSTM cell.
func bindMLSTM(b *binder, op ops.Op) bool {
	switch op := op.(type) {
	case ops.MLSTM:
		if op.T == 1 {
			b.mlstmStep(op)
		} else {
			b.newScan(op).forward()
		}
	case ops.MLSTMGrad:
		b.newScan(op.MLSTM).backward(op)
	default:
		return false
	}
	return true
}

func newMLSTMArgs(op ops.MLSTM, tiles int, resets address) mlstmArgs {
	s := mlstmArgs{
		b: int32(op.B), t: int32(op.T), nh: int32(op.NH), dqk: int32(op.DQK), dhv: int32(op.DHV), nc: int32(ceil(op.T, tiles*mlstmTile)), tiles: int32(tiles),
		scaleQ: op.ScaleQ, scaleK: op.ScaleK, eps: op.Eps, resets: resets,
	}
	if op.Form == ops.Parallel {
		s.begin = math.Inf(-1)
	}
	return s
}

func ceil(n, of int) int { return (n + of - 1) / of }

// memory holds the addresses of a cell's state, 0 for absent parts.
type memory struct{ c, n, m address }

func (b *binder) readMemory(has bool) memory {
	return memory{b.readIf(has), b.readIf(has), b.readIf(has)}
}

func (b *binder) writeMemory(has bool) memory {
	return memory{b.writeIf(has), b.writeIf(has), b.writeIf(has)}
}

// mlstmStep binds the cell for a single step.
func (b *binder) mlstmStep(op ops.MLSTM) {
	items := op.B * op.NH
	q, k, v := b.asFloat(b.readRef(), items*op.DQK), b.asFloat(b.readRef(), items*op.DQK), b.asFloat(b.readRef(), items*op.DHV)
	i, f := b.read(), b.read()
	old := b.readMemory(op.State)
	s := byValue(newMLSTMArgs(op, 1, b.readIf(op.Resets)))
	h, done := b.floatsFor(b.writeRef(), items*op.DHV)
	next := b.writeMemory(true)
	factors := b.float(3 * items)
	b.kernel("mlstm", "mlstm_step_gates", grid{x: items, threads: 128}, s, q, k, i, f, old.n, old.m, next.n, next.m, factors)
	b.kernel("mlstm", "mlstm_step", grid{x: ceil(op.DHV, 32), y: items, threads: 32, rows: 8}, s, q, k, v, factors, old.c, next.c, h)
	done()
}

// mlstmScan holds the addresses of the cell over several steps while it is bound.
type mlstmScan struct {
	*binder
	op            ops.MLSTM
	items, nc     int
	tiles         int  // of a chunk
	half          bool // q, k, v, h, their gradients, scores and memories between chunks are bfloat16
	q, k, v, i, f address
	old           memory
	args          structure
	tape          address // of the operation, 0 for none
	taped         int     // bytes of it
	mlstmKept
}

// mlstmKept holds the addresses of what the forward pass computes and the backward pass
// needs: the gates, C and n before every chunk, 0 if they are zero, and the scores of
// kernels with operands in bfloat16.
type mlstmKept struct {
	g               mlstmGateArgs
	gates           structure
	states, ns      address
	a, den, inverse address
}

// newScan reads the operands q to m.
func (b *binder) newScan(op ops.MLSTM) *mlstmScan {
	c := b.sizedScan(op)
	c.q, c.k, c.v = c.readRows(op.DQK), c.readRows(op.DQK), c.readRows(op.DHV)
	c.i, c.f = b.read(), b.read()
	c.old = b.readMemory(op.State)
	return c
}

func (b *binder) sizedScan(op ops.MLSTM) *mlstmScan {
	c := &mlstmScan{binder: b, op: op, items: op.B * op.NH, half: b.d.warpgroups(op, b.dt)}
	c.tiles = c.chunkTiles()
	c.nc = ceil(op.T, c.tiles*mlstmTile)
	return c
}

// Tape returns the number of floats that a cell keeps for its derivative.
func (d *Device) Tape(op ops.MLSTM, dt ops.Dtype) int {
	if op.T == 1 {
		return 0
	}
	op.Tape = 1 // of unknown length
	c := (&binder{d: d, dt: dt, counting: true}).sizedScan(op)
	c.takeKept()
	return ceil(c.taped, dt.Size())
}

// keep takes n bytes of the tape, or, if there is none, of the workspace.
func (c *mlstmScan) keep(n int) address {
	if c.op.Tape == 0 {
		return c.take(n)
	}
	at := c.tape + address(c.taped)
	c.taped += ceil(n, 256) * 256
	return at
}

// takeKept takes memory for mlstmKept.
func (c *mlstmScan) takeKept() {
	steps, length := c.items*c.op.T, c.tiles*mlstmTile
	floats := func(n int) address { return c.keep(n * c.size()) }
	c.g = mlstmGateArgs{
		u: floats(2 * steps), top: floats(2 * steps), segment: c.keep(4 * steps), winner: c.keep(4 * steps),
		inter: floats(steps), carry: floats(steps), floor: floats(steps), keep: floats(c.items * c.nc),
	}
	c.gates = byValue(c.g)
	if c.before() {
		c.states, c.ns = c.memories(c.keep)
	}
	if c.half {
		c.a, c.den, c.inverse = c.keep(2*c.items*c.nc*length*length), floats(steps), floats(steps)
	}
}

// before reports whether the memory before some chunk may be other than zero.
func (c *mlstmScan) before() bool { return c.nc > 1 || c.op.State }

// chunkTiles returns the number of tiles in a chunk, which the number of steps and the
// size of shared memory limit.
func (c *mlstmScan) chunkTiles() int {
	if c.half {
		return min(mlstmMost, 2*ceil(c.op.T, mlstmBlock))
	}
	tiles := min(mlstmMost, ceil(c.op.T, mlstmTile))
	for tiles > 1 && c.rowsShared(tiles) > int(c.d.sharedMax) {
		tiles--
	}
	return tiles
}

// readRows returns the next input, [B·T,NH·width], in the element type of the kernels.
func (c *mlstmScan) readRows(width int) address {
	if n := c.items * c.op.T * width; c.half {
		return c.asHalf(c.readRef(), n)
	} else {
		return c.asFloat(c.readRef(), n)
	}
}

// writeRows returns where the kernels write the next output, [B·T,NH·width], and a
// function that enqueues its conversion to the output's element type, if needed.
func (c *mlstmScan) writeRows(width int) (at address, done func()) {
	return c.rowsFor(c.writeRef(), width)
}

func (c *mlstmScan) rowsFor(r ref, width int) (at address, done func()) {
	n := c.items * c.op.T * width
	if !c.half {
		return c.floatsFor(r, n)
	}
	if r.half {
		return r.at, func() {}
	}
	at = c.take(2 * n)
	return at, func() { c.convert(ref{at: at, half: true}, r, n) }
}

// writeGrads is writeRows for a gradient, which the kernels of mlstm_wgmma.cuh can write
// as columns of a matrix with rows of ld elements.
func (c *mlstmScan) writeGrads(width int) (at address, ld int32, done func()) {
	if !c.half {
		at, done = c.writeRows(width)
		return at, 0, done
	}
	r, n := c.writeColumns(c.op.NH * width)
	at, done = c.rowsFor(r, width)
	return at, int32(n), done
}

// products returns the bytes of n elements that matrix products read.
func (c *mlstmScan) products(n int) int {
	if c.half {
		return 2 * n
	}
	return c.size() * n
}

// memories takes memory for C and n before or after every chunk.
func (c *mlstmScan) memories(take func(bytes int) address) (state, n address) {
	chunks := c.items * c.nc
	return take(c.products(chunks * c.op.DQK * c.op.DHV)), take(chunks * c.op.DQK * c.size())
}

func (c *mlstmScan) setArgs(resets address) { c.args = byValue(newMLSTMArgs(c.op, c.tiles, resets)) }

// run enqueues a kernel that processes the steps of an item, a thread to each, in a
// block or, on cards with clusters and if there are many chunks, in a cluster of eight.
// A block has at most AT_ONCE of mlstm_gates.cuh at once.
func (c *mlstmScan) run(kernel string, args ...any) {
	const blocks, most = 8, 1024
	length := c.tiles * mlstmTile
	if c.d.major >= 9 && c.dt == ops.Float32 && c.nc >= blocks/2 && c.items < 1<<16 {
		c.kernel("mlstm_gates_cluster", kernel, grid{x: blocks, y: c.items, threads: length, rows: min(ceil(c.nc, blocks), most/length)}, args...)
		return
	}
	c.kernel("mlstm", kernel, grid{x: c.items, threads: length, rows: min(c.nc, most/length)}, args...)
}

func (c *mlstmScan) forward() {
	c.setArgs(c.readIf(c.op.Resets))
	h, done := c.writeRows(c.op.DHV)
	last := c.writeMemory(true)
	c.tape = c.writeIf(c.op.Tape > 0)
	c.takeKept()
	if c.op.Unread {
		last = memory{}
	}
	states := func() { c.borders(c.keysBorder(last), false) }
	if c.whole() {
		c.wholeHalf(h, last.m)
		states()
		done()
		return
	}
	c.run("mlstm_gates", c.args, c.i, c.f, c.old.m, last.m, c.gates)
	output := func() {
		c.tiled("mlstm_output", c.blocks(), c.rowsShared(c.tiles), c.args, c.gates, c.q, c.k, c.v, c.states, c.ns, h)
		done()
	}
	switch {
	case c.chain():
		c.chainHalf(h, last)
		done()
	case c.half:
		c.scoresBesideStates(last)
		c.outputHalf(h)
		done()
	case c.before():
		states()
		output()
	default:
		c.atOnce(output, states)
	}
}

// keysBorder describes the memories before every chunk and after the last one.
func (c *mlstmScan) keysBorder(last memory) mlstmBorderArgs {
	return mlstmBorderArgs{x: c.k, y: c.v, w: c.g.carry, wn: c.g.carry, firstC: c.old.c, firstN: c.old.n, c: c.states, n: c.ns, lastC: last.c, lastN: last.n}
}

// borders enqueues the recurrence of C and n over the chunks, forwards or back, unless
// none of its results is needed.
func (c *mlstmScan) borders(m mlstmBorderArgs, back bool) {
	switch {
	case m.c == 0 && m.lastC == 0 && m.lastN == 0:
	case c.half:
		c.besideStates(m, back, func() { c.normalisers(m, back) })
	default:
		c.tiled("mlstm_states", c.items*c.keyTiles()*ceil(c.op.DHV, mlstmTile), c.bordersShared(), c.args, c.g.keep, byValue(m), flag(back))
	}
}

// mlstmBack holds the addresses of the backward pass.
type mlstmBack struct {
	*mlstmScan
	h, dh       address
	states, ns  address // the gradients of C and n after every chunk, 0 if they are zero
	rows        mlstmRowArgs
	grads       mlstmHalfGradArgs
	behind      bool // whether those gradients may be other than zero
	keys, parts int  // the numbers of partial sums over the keys' width, per step and per chunk
}

func (c *mlstmScan) backward(op ops.MLSTMGrad) {
	b := &mlstmBack{mlstmScan: c, h: c.readRows(op.DHV), keys: c.keyTiles(), parts: c.keyTiles()}
	c.tape = c.readIf(op.Tape > 0)
	c.takeKept()
	if c.half {
		b.keys = op.DQK / tileHalf(op.DQK)
		b.parts = 8 * b.keys
	}
	steps := c.items * op.T
	if op.Has[0] {
		b.dh = c.readRows(op.DHV)
	} else { // a gradient of zeros
		b.dh = c.take(c.products(steps * op.DHV))
		c.zeroRef(ref{at: b.dh, half: c.half}, steps*op.DHV)
		b.h = b.dh
	}
	dLast := memory{c.readIf(op.Has[1]), c.readIf(op.Has[2]), c.readIf(op.Has[3])}
	c.setArgs(c.readIf(op.Resets))
	var done [3]func()
	b.grads.dq, b.grads.ldq, done[0] = c.writeGrads(op.DQK)
	b.grads.dk, b.grads.ldk, done[1] = c.writeGrads(op.DQK)
	b.grads.dv, b.grads.ldv, done[2] = c.writeGrads(op.DHV)
	di, df := c.write(), c.write()
	dFirst := c.writeMemory(op.State)
	b.behind = c.nc > 1 || op.Has[1] || op.Has[2]
	if b.behind {
		b.states, b.ns = c.memories(c.take)
	}
	b.takeRows()
	b.grads.fromState, b.grads.carried, b.grads.kept = c.float(b.keys*steps), c.float(b.keys*steps), c.double(b.parts*c.items*c.nc)
	if op.Tape == 0 {
		c.again()
	}
	border := mlstmBorderArgs{
		x: c.q, y: b.dh, w: b.rows.ofC, wn: b.rows.ofN, firstC: dLast.c, firstN: dLast.n, c: b.states, n: b.ns, lastC: dFirst.c, lastN: dFirst.n}
	if c.half {
		c.besideStates(border, true, func() {
			b.scoresGradHalf()
			c.normalisers(border, true)
		})
	} else {
		b.scoresGrad()
		c.borders(border, true)
	}
	rows := func() {
		b.rowsGrad()
		for _, convert := range done {
			convert()
		}
	}
	gates := func() { b.gatesGrad(dLast, dFirst, di, df) }
	if c.before() || b.behind {
		rows()
		gates()
	} else { // the gradients of the gates do not depend on those of the rows
		c.atOnce(gates, rows)
	}
}

// again enqueues what the forward pass has computed.
func (c *mlstmScan) again() {
	if c.whole() {
		c.wholeHalf(0, 0)
		return
	}
	c.run("mlstm_gates", c.args, c.i, c.f, c.old.m, address(0), c.gates)
	if c.half {
		c.scoresBesideStates(memory{})
	} else {
		c.borders(c.keysBorder(memory{}), false)
	}
}

// takeRows takes workspace for the results of scoresGrad.
func (c *mlstmBack) takeRows() {
	r, steps, length := &c.rows, c.items*c.op.T, c.tiles*mlstmTile
	for _, v := range []*address{&r.dden, &r.dm, &r.ofC, &r.ofN, &r.left, &r.cross} {
		*v = c.float(steps)
	}
	scores := c.products(c.items * c.nc * length * length)
	r.p, r.a, r.den, r.inverse = c.take(scores), c.a, c.den, c.inverse
	if !c.half {
		r.a, r.den, r.inverse = c.take(scores), c.float(steps), c.float(steps)
	}
	r.below = c.float(c.tiles * steps)
}

func (c *mlstmBack) scoresGrad() {
	c.tiled("mlstm_scores_grad", c.blocks(), c.rowsShared(c.tiles), c.args, c.gates, c.q, c.k, c.v, c.h, c.dh, c.mlstmScan.ns, byValue(c.rows))
}

// rowsGrad enqueues the gradients of q, k and v.
func (c *mlstmBack) rowsGrad() {
	if c.half {
		c.rowsGradHalf()
		return
	}
	c.tiled("mlstm_grads", c.blocks()*(ceil(c.op.DHV, mlstmTile)+2*c.keyTiles()), c.bordersShared(), c.args, c.gates, byValue(mlstmReadArgs{
		q: c.q, k: c.k, v: c.v, dh: c.dh, states: c.mlstmScan.states, ns: c.mlstmScan.ns, dStates: c.states, dNs: c.ns}), byValue(c.rows), byValue(c.grads.mlstmGradArgs))
}

func (c *mlstmBack) gatesGrad(dLast, dFirst memory, di, df address) {
	d := mlstmGateGradArgs{f: c.f, den: c.rows.den, dm: c.rows.dm, below: c.rows.below, left: c.rows.left, cross: c.rows.cross,
		fromState: c.grads.fromState, carried: c.grads.carried, kept: c.grads.kept, dLast: dLast.m, di: di, df: df, dFirst: dFirst.m}
	if c.before() {
		d.ofState = int64(c.keys)
	}
	if c.behind {
		d.ofCarried = int64(c.keys)
	}
	if c.before() && c.behind {
		d.ofKept = int64(c.parts)
	}
	c.run("mlstm_gates_grad", c.args, c.gates, byValue(d))
}
