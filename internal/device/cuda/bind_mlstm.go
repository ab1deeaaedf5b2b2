//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"math"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// A chunk of the kernels is up to mlstmMost tiles of mlstmTile steps, MOST and TILE
// in mlstm.cuh. All chunk lengths are the same function, so the operation's own is
// not asked.
const mlstmTile, mlstmMost = 64, 4

// The structs MLSTM, Gates, Borders, Rows, Grads and GateGrads of the kernels.
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
	mlstmGradArgs struct {
		q, k, v, dh, states, ns, dStates, dNs address
		rows                                  mlstmRowArgs
		dq, dk, dv, fromState, carried, kept  address
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
			b.mlstm(op)
		}
	case ops.MLSTMGrad:
		b.mlstmGrad(op)
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

// memory is the state of a cell in the card's memory, 0 for what is not there.
type memory struct{ c, n, m address }

func (b *binder) readMemory(has bool) memory {
	return memory{b.readIf(has), b.readIf(has), b.readIf(has)}
}

func (b *binder) writeMemory(has bool) memory {
	return memory{b.writeIf(has), b.writeIf(has), b.writeIf(has)}
}

// mlstmStep is the cell for one step.
func (b *binder) mlstmStep(op ops.MLSTM) {
	q, k, v, i, f := b.read(), b.read(), b.read(), b.read(), b.read()
	old := b.readMemory(op.State)
	s := byValue(newMLSTMArgs(op, 1, b.readIf(op.Resets)))
	h, next := b.write(), b.writeMemory(true)
	items := op.B * op.NH
	factors := b.float(3 * items)
	b.kernel("mlstm", "mlstm_step_gates", grid{x: items, threads: 128}, s, q, k, i, f, old.n, old.m, next.n, next.m, factors)
	b.kernel("mlstm", "mlstm_step", grid{x: ceil(op.DHV, 32), y: items, threads: 32, rows: 8}, s, q, k, v, factors, old.c, next.c, h)
}

// mlstmScan is the cell over several steps at work.
type mlstmScan struct {
	*binder
	op                ops.MLSTM
	items, nc, tiles  int // tiles of a chunk
	steps, keys, vals int // tiles of the steps of all items, of the widths
	q, k, v, i, f     address
	old               memory
	args, gates       structure
	g                 mlstmGateArgs
	states, ns        address // before every chunk, 0 where there is nothing before the only one
}

// newScan reads the operands q to m and takes the workspace that both directions
// need.
func (b *binder) newScan(op ops.MLSTM) *mlstmScan {
	c := &mlstmScan{binder: b, op: op, items: op.B * op.NH, tiles: min(mlstmMost, ceil(op.T, mlstmTile)), keys: ceil(op.DQK, mlstmTile), vals: ceil(op.DHV, mlstmTile)}
	for c.tiles > 1 && c.rowsShared() > int(b.d.sharedMax) {
		c.tiles--
	}
	c.nc, c.steps = ceil(op.T, c.tiles*mlstmTile), c.items*ceil(op.T, mlstmTile)
	c.q, c.k, c.v, c.i, c.f = b.read(), b.read(), b.read(), b.read(), b.read()
	c.old = b.readMemory(op.State)
	steps := c.items * op.T
	c.g = mlstmGateArgs{
		u: b.float(2 * steps), top: b.float(2 * steps), segment: b.take(4 * steps), winner: b.take(4 * steps),
		inter: b.float(steps), carry: b.float(steps), floor: b.float(steps), keep: b.float(c.items * c.nc),
	}
	c.gates = byValue(c.g)
	if c.nc > 1 || op.State {
		c.states, c.ns = c.memories()
	}
	return c
}

// memories takes space for C and n at a border of every chunk.
func (c *mlstmScan) memories() (state, n address) {
	chunks := c.items * c.nc
	return c.float(chunks * c.op.DQK * c.op.DHV), c.float(chunks * c.op.DQK)
}

func (c *mlstmScan) setArgs(resets address) { c.args = byValue(newMLSTMArgs(c.op, c.tiles, resets)) }

func (c *mlstmScan) run(kernel string, g grid, args ...any) { c.kernel("mlstm", kernel, g, args...) }

// products enqueues a kernel with products of matrices, of the module for the
// precision.
func (c *mlstmScan) products(kernel string, blocks, shared int, args ...any) {
	module := "mlstm_ieee"
	if c.dt == ops.Float32 && c.d.precision == TF32 {
		module = "mlstm_tf32"
	}
	c.kernel(module, kernel, grid{x: blocks, threads: 256, shared: shared}, args...)
}

// deep is DEEP in tiles.cuh, and slice the bytes of a SLICE.
func (c *mlstmScan) deep() int  { return 128 / c.size() }
func (c *mlstmScan) slice() int { return mlstmTile * (c.deep() + 4) * c.size() }

// rowsShared and bordersShared are the bytes of shared memory of the kernels by rows
// and by memories.
func (c *mlstmScan) rowsShared() int {
	length := c.tiles * mlstmTile
	return 4*c.slice() + (mlstmTile*(length+4)+11*mlstmTile+3*length)*c.size()
}

func (c *mlstmScan) bordersShared() int {
	return 6*c.slice() + (6*c.deep()+4*mlstmTile)*c.size() + 64
}

// gateGrid is a block for every item, with a thread for each step of the chunks that
// it takes at once, AT_ONCE steps in mlstm.cu at most.
func (c *mlstmScan) gateGrid() grid {
	length := c.tiles * mlstmTile
	return grid{x: c.items, threads: length, rows: min(c.nc, 512/length)}
}

// before enqueues the memories before every chunk and behind the last one, unless
// nothing needs them.
func (c *mlstmScan) before(last memory) {
	if c.states == 0 && last.c == 0 && !c.counting {
		return
	}
	c.products("mlstm_states", c.items*c.keys*c.vals, c.bordersShared(), c.args, c.g.keep, byValue(mlstmBorderArgs{
		x: c.k, y: c.v, w: c.g.carry, wn: c.g.carry, firstC: c.old.c, firstN: c.old.n, c: c.states, n: c.ns, lastC: last.c, lastN: last.n}))
}

func (b *binder) mlstm(op ops.MLSTM) {
	c := b.newScan(op)
	c.setArgs(b.readIf(op.Resets))
	h, last := b.write(), b.writeMemory(true)
	c.run("mlstm_gates", c.gateGrid(), c.args, c.i, c.f, c.old.m, last.m, c.gates)
	states := func() { c.before(last) }
	output := func() {
		c.products("mlstm_output", c.steps, c.rowsShared(), c.args, c.gates, c.q, c.k, c.v, c.states, c.ns, h)
	}
	if c.nc > 1 || op.State {
		states()
		output()
	} else {
		c.atOnce(output, states)
	}
}

func (b *binder) mlstmGrad(op ops.MLSTMGrad) {
	c := b.newScan(op.MLSTM)
	h, up := b.read(), b.readSome(op.Has[:])
	dLast := memory{up[1], up[2], up[3]}
	c.setArgs(b.readIf(op.Resets))
	d := mlstmGradArgs{q: c.q, k: c.k, v: c.v, dh: up[0], states: c.states, ns: c.ns, dq: b.write(), dk: b.write(), dv: b.write()}
	di, df := b.write(), b.write()
	dFirst := b.writeMemory(op.State)
	before, behind := c.nc > 1 || op.State, c.nc > 1 || op.Has[1] || op.Has[2]
	if behind {
		d.dStates, d.dNs = c.memories()
	}
	d.rows = c.takeRows()
	steps := c.items * op.T
	d.fromState, d.carried, d.kept = c.float(c.keys*steps), c.float(c.keys*steps), c.double(c.items*c.nc*c.keys)
	if !op.Has[0] { // as if h had a gradient of zeros
		d.dh = c.float(steps * op.DHV)
		c.zero(d.dh, steps*op.DHV)
		h = d.dh
	}
	c.run("mlstm_gates", c.gateGrid(), c.args, c.i, c.f, c.old.m, address(0), c.gates)
	c.before(memory{})
	c.products("mlstm_scores_grad", c.steps, c.rowsShared(), c.args, c.gates, c.q, c.k, c.v, h, d.dh, c.ns, byValue(d.rows))
	if behind || op.State {
		c.products("mlstm_states_grad", c.items*c.keys*c.vals, c.bordersShared(), c.args, c.g.keep, byValue(mlstmBorderArgs{
			x: c.q, y: d.dh, w: d.rows.ofC, wn: d.rows.ofN, firstC: dLast.c, firstN: dLast.n, c: d.dStates, n: d.dNs, lastC: dFirst.c, lastN: dFirst.n}))
	}
	c.products("mlstm_grads", c.steps*(c.vals+2*c.keys), c.bordersShared(), c.args, c.gates, byValue(d))
	count := func(has bool) int64 {
		if has {
			return int64(c.keys)
		}
		return 0
	}
	c.run("mlstm_gates_grad", c.gateGrid(), c.args, c.gates, byValue(mlstmGateGradArgs{
		f: c.f, den: d.rows.den, dm: d.rows.dm, below: d.rows.below, left: d.rows.left, cross: d.rows.cross,
		fromState: d.fromState, carried: d.carried, kept: d.kept, ofState: count(before), ofCarried: count(behind), ofKept: count(before && behind),
		dLast: dLast.m, di: di, df: df, dFirst: dFirst.m}))
}

// takeRows takes the workspace that the rows' gradients are written to.
func (c *mlstmScan) takeRows() (r mlstmRowArgs) {
	steps, length := c.items*c.op.T, c.tiles*mlstmTile
	for _, v := range []*address{&r.den, &r.inverse, &r.dden, &r.dm, &r.ofC, &r.ofN, &r.left, &r.cross} {
		*v = c.float(steps)
	}
	r.a, r.p = c.float(c.items*c.nc*length*length), c.float(c.items*c.nc*length*length)
	r.below = c.float(c.tiles * steps)
	return r
}
