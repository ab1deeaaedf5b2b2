//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"math"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// mlstmChunk is the chunk length of the kernels, CL in mlstm.cu. The result does not
// depend on the chunk length, so the operation's own is ignored.
const mlstmChunk = 64

// These types mirror the structs MLSTM, Gates, Rows, Recurrence, StatePart, GateGrads
// and Lists of mlstm.cu.
type (
	mlstmArgs struct {
		b, t, nh, dqk, dhv, nc     int64
		scaleQ, scaleK, eps, begin float64
		resets                     address
	}
	mlstmGateArgs struct {
		u, top, segment, winner, inter, carry, floor, keep address
	}
	mlstmRowArgs struct {
		q, n, den, norm, queries, h, dh, grad, dden, dm address
	}
	mlstmCarryArgs struct {
		size          int64
		first, end, x address
	}
	mlstmStateArgs struct {
		weights, more, n, y, x, dots address
		shift                        int64
	}
	mlstmGateGradArgs struct {
		f, den, dm, inputs, cross, fromState, carried, dots, dLast, di, df, dFirst address
	}
	mlstmListArgs struct {
		base                 [mlstmLists]address
		ofB, ofHead, ofChunk [mlstmLists]int64
		count                int64
	}
)

const mlstmLists = 20

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

func newMLSTMArgs(op ops.MLSTM, resets address) mlstmArgs {
	s := mlstmArgs{
		b: int64(op.B), t: int64(op.T), nh: int64(op.NH), dqk: int64(op.DQK), dhv: int64(op.DHV), nc: int64((op.T + mlstmChunk - 1) / mlstmChunk),
		scaleQ: op.ScaleQ, scaleK: op.ScaleK, eps: op.Eps, resets: resets,
	}
	if op.Form == ops.Parallel {
		s.begin = math.Inf(-1)
	}
	return s
}

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
	q, k, v, i, f := b.read(), b.read(), b.read(), b.read(), b.read()
	old := b.readMemory(op.State)
	s := byValue(newMLSTMArgs(op, b.readIf(op.Resets)))
	h, next := b.write(), b.writeMemory(true)
	items := op.B * op.NH
	factors := b.float(3 * items)
	b.kernel("mlstm", "mlstm_step_gates", grid{x: items, threads: 128}, s, q, k, i, f, old.n, old.m, next.n, next.m, factors)
	b.kernel("mlstm", "mlstm_step", grid{x: (op.DHV + 31) / 32, y: items, threads: 32, rows: 8}, s, q, k, v, factors, old.c, next.c, h)
}

// mlstmScan holds the addresses of the cell over several chunks while it is bound.
type mlstmScan struct {
	*binder
	op        ops.MLSTM
	items, nc int
	args      structure
	gates     structure
	g         mlstmGateArgs
	lists     mlstmListArgs
	listsAt   address
	q, k, v   address
	states    address // before every chunk and behind the last, and n there
	stateNs   address
	tiles     address
	den, norm address
	keys      address // ā·k

	in struct{ q, k, v, tiles, keys, before, behind list }
}

// newScan reads the operands q to m and takes the workspace that both directions
// need.
func (b *binder) newScan(op ops.MLSTM) (c *mlstmScan, i, f address, old memory) {
	c = &mlstmScan{binder: b, op: op, items: op.B * op.NH, nc: (op.T + mlstmChunk - 1) / mlstmChunk}
	c.q, c.k, c.v = b.read(), b.read(), b.read()
	i, f = b.read(), b.read()
	old = b.readMemory(op.State)
	steps, chunks := c.items*op.T, c.items*c.nc
	c.g = mlstmGateArgs{
		u: b.double(steps), top: b.double(steps), segment: b.take(4 * steps), winner: b.take(4 * steps),
		inter: b.float(steps), carry: b.float(steps), floor: b.float(steps), keep: b.float(chunks),
	}
	c.gates = byValue(c.g)
	c.states, c.stateNs = c.memories()
	c.tiles = c.tile()
	c.den, c.norm = b.float(steps), b.float(steps)
	c.keys = b.float(steps * op.DQK)
	c.listsAt = b.take(8 * mlstmLists * chunks)
	c.in.q, c.in.k, c.in.v = c.rows(c.q, op.DQK), c.rows(c.k, op.DQK), c.rows(c.v, op.DHV)
	c.in.tiles, c.in.keys = c.squares(c.tiles), c.rows(c.keys, op.DQK)
	c.in.before, c.in.behind = c.borders(c.states, 0), c.borders(c.states, 1)
	return c, i, f, old
}

// memories takes workspace for C and n at the borders of all chunks.
func (c *mlstmScan) memories() (state, n address) {
	borders := c.items * (c.nc + 1)
	return c.float(borders * c.op.DQK * c.op.DHV), c.float(borders * c.op.DQK)
}

// tile takes workspace for a matrix of scores for every chunk.
func (c *mlstmScan) tile() address { return c.float(c.items * c.nc * mlstmChunk * mlstmChunk) }

func (c *mlstmScan) run(kernel string, g grid, args ...any) { c.kernel("mlstm", kernel, g, args...) }

// chunkGrid returns a grid with a block for every chunk; itemGrid one with a block
// for every item, with CL threads for each of the chunks, at most GROUP in mlstm.cu,
// that it processes at once.
func (c *mlstmScan) chunkGrid(threads int) grid { return grid{x: c.items * c.nc, threads: threads} }
func (c *mlstmScan) itemGrid() grid {
	return grid{x: c.items, threads: mlstmChunk, rows: min(c.nc, 8)}
}

// A list is the place of a matrix in each chunk: its number among the lists, and
// the distance of its rows.
type list struct{ number, ld int }

func (c *mlstmScan) add(base address, ofB, ofHead, ofChunk, ld int) list {
	k := int(c.lists.count)
	c.lists.base[k], c.lists.ofB[k], c.lists.ofHead[k], c.lists.ofChunk[k] = base, int64(ofB), int64(ofHead), int64(ofChunk)
	c.lists.count++
	return list{k, ld}
}

// rows returns the list for an array [B·T,NH·width].
func (c *mlstmScan) rows(base address, width int) list {
	ld := c.op.NH * width
	return c.add(base, c.op.T*ld, width, mlstmChunk*ld, ld)
}

// squares returns the list for tiles.
func (c *mlstmScan) squares(base address) list {
	size := mlstmChunk * mlstmChunk
	return c.add(base, c.op.NH*c.nc*size, c.nc*size, size, mlstmChunk)
}

// borders returns the list for the memories before the chunks, or, with shift 1,
// after them.
func (c *mlstmScan) borders(base address, shift int) list {
	size := c.op.DQK * c.op.DHV
	return c.add(c.at(base, shift*size), c.op.NH*(c.nc+1)*size, (c.nc+1)*size, size, c.op.DHV)
}

// steps stands for the length of a chunk among the sizes of a product.
const steps = -1

// chunks enqueues a product for every chunk: C = alpha·op(A)·op(B) + beta·C.
func (c *mlstmScan) chunks(m, n, k int, a list, transA bool, b list, transB bool, to list, alpha, beta float64) {
	full, tail := c.op.T/mlstmChunk, c.op.T%mlstmChunk
	for _, part := range []struct{ first, count, length int }{{0, full, mlstmChunk}, {full, min(1, tail), tail}} {
		if part.count == 0 {
			continue
		}
		size := func(x int) int {
			if x == steps {
				return part.length
			}
			return x
		}
		place := func(l list, trans bool) operand {
			return operand{at: c.listsAt + address(8*c.items*(l.number*c.nc+part.first)), ld: l.ld, trans: trans}
		}
		c.multiply(product{m: size(m), n: size(n), k: size(k), a: place(a, transA), b: place(b, transB), c: place(to, false),
			alpha: alpha, beta: beta, batch: part.count * c.items, lists: true})
	}
}

// begin enqueues the part that forward and backward passes share: gates, lists,
// scores, and the memories at the borders of the chunks.
func (c *mlstmScan) begin(i, f address, old, last memory) {
	op := c.op
	c.run("mlstm_gates", c.itemGrid(), c.args, i, f, old.m, last.m, c.gates)
	n := int(c.lists.count) * c.items * c.nc
	c.run("mlstm_lists", c.d.spread(n), c.args, byValue(c.lists), c.listsAt)
	c.atOnce(func() {
		c.scaleSums(c.k, c.g.carry, 0, c.keys, c.stateNs, 1)
		c.chunks(op.DQK, op.DHV, steps, c.in.keys, true, c.in.v, false, c.in.behind, 1, 0)
		c.carry(old, last, c.states, c.stateNs, false)
	}, func() {
		c.chunks(steps, steps, op.DQK, c.in.q, false, c.in.k, true, c.in.tiles, op.ScaleQ*op.ScaleK, 0)
	})
}

// scaleSums enqueues dst = x times the steps' factors, where x is queries or keys,
// and each chunk's sum of dst times the weights (1 if 0 is given) at chunk + shift of
// ns.
func (c *mlstmScan) scaleSums(x, factors, weights, dst, ns address, shift int) {
	g := grid{x: c.items * c.nc, y: (c.op.DQK + 31) / 32, threads: 32, rows: 8}
	c.run("mlstm_scale_sums", g, c.args, x, factors, weights, dst, ns, int64(shift))
}

// carry enqueues the recurrences of C and n over the chunks.
func (c *mlstmScan) carry(from, to memory, states, ns address, back bool) {
	const threads = 256
	blocks := func(n int) int { return (n + threads - 1) / threads }
	size, width := c.op.DQK*c.op.DHV, c.op.DQK
	c.run("mlstm_carry", grid{x: blocks(size) + blocks(width), y: c.items, threads: threads}, c.args,
		byValue(mlstmCarryArgs{int64(size), from.c, to.c, states}), byValue(mlstmCarryArgs{int64(width), from.n, to.n, ns}),
		int64(blocks(size)), c.g.keep, flag(back))
}

func (b *binder) mlstm(op ops.MLSTM) {
	c, i, f, old := b.newScan(op)
	c.args = byValue(newMLSTMArgs(op, b.readIf(op.Resets)))
	h, last := b.write(), b.writeMemory(true)
	queries := b.float(c.items * op.T * op.DQK) // β·q/N
	to, qs := c.rows(h, op.DHV), c.rows(queries, op.DQK)
	c.begin(i, f, old, last)
	c.scores(mlstmRowArgs{queries: queries})
	c.chunks(steps, op.DHV, steps, c.in.tiles, false, c.in.v, false, to, 1, 0)
	c.chunks(steps, op.DHV, op.DQK, qs, false, c.in.before, false, to, 1, 1)
}

// scores enqueues the computation of A in the tiles and of the rows' results.
func (c *mlstmScan) scores(rows mlstmRowArgs) {
	rows.q, rows.n, rows.den, rows.norm = c.q, c.stateNs, c.den, c.norm
	halves := c.chunkGrid(512)
	halves.y = 2
	c.run("mlstm_scores", halves, c.args, c.gates, byValue(rows), c.tiles)
}

// mlstmBack holds the addresses of the cell's backward pass.
type mlstmBack struct {
	*mlstmScan
	h, dh                                             address
	dq, dk, dv                                        address
	grad, dden, dm, inputs, cross, fromState, carried address // by steps; grad is dh/N
	pairs                                             address // P, in tiles
	dstates, dstateNs                                 address
	dots                                              address
	queries                                           address // β·q
}

func (b *binder) mlstmGrad(op ops.MLSTMGrad) {
	scan, i, f, old := b.newScan(op.MLSTM)
	c := &mlstmBack{mlstmScan: scan, h: b.read()}
	up := b.readSome(op.Has[:])
	c.dh = up[0]
	dLast := memory{up[1], up[2], up[3]}
	c.args = byValue(newMLSTMArgs(op.MLSTM, b.readIf(op.Resets)))
	c.dq, c.dk, c.dv = b.write(), b.write(), b.write()
	di, df := b.write(), b.write()
	dFirst := b.writeMemory(op.State)
	c.takeWorkspace()
	c.products(op.Has[0], func() { c.begin(i, f, old, memory{m: c.float(c.items)}) }, dLast, dFirst)
	c.run("mlstm_gates_grad", c.itemGrid(), c.args, c.gates, byValue(mlstmGateGradArgs{
		f, c.den, c.dm, c.inputs, c.cross, c.fromState, c.carried, c.dots, dLast.m, di, df, dFirst.m}))
}

func (c *mlstmBack) takeWorkspace() {
	n := c.items * c.op.T
	c.grad, c.queries = c.float(n*c.op.DHV), c.float(n*c.op.DQK)
	for _, v := range []*address{&c.dden, &c.dm, &c.inputs, &c.cross, &c.fromState, &c.carried} {
		*v = c.float(n)
	}
	c.pairs = c.tile()
	c.dstates, c.dstateNs = c.memories()
	c.dots = c.double(c.items * c.nc)
}

// products enqueues everything but the gradients of the gates. hasH reports whether
// h has a gradient; begin has recomputed the forward pass.
func (c *mlstmBack) products(hasH bool, begin func(), dLast, dFirst memory) {
	op, scale := c.op, c.op.ScaleQ*c.op.ScaleK
	grad, queries := c.rows(c.grad, op.DHV), c.rows(c.queries, op.DQK)
	pairs, dBefore, dBehind := c.squares(c.pairs), c.borders(c.dstates, 0), c.borders(c.dstates, 1)
	dq, dk, dv := c.rows(c.dq, op.DQK), c.rows(c.dk, op.DQK), c.rows(c.dv, op.DHV)
	begin()
	c.rowsGrad(hasH)
	c.atOnce(func() {
		c.scaleSums(c.q, c.g.inter, c.dden, c.queries, c.dstateNs, 0)
		c.chunks(op.DQK, op.DHV, steps, queries, true, grad, false, dBefore, 1, 0)
		c.carry(dLast, dFirst, c.dstates, c.dstateNs, true)
	}, func() {
		c.chunks(steps, steps, op.DHV, grad, false, c.in.v, true, pairs, 1, 0)
		c.run("mlstm_scores_grad", c.chunkGrid(4*mlstmChunk), c.args, c.gates, c.tiles, c.den, c.dden, c.pairs, c.dm, c.inputs, c.cross)
	}, func() {
		c.chunks(steps, op.DQK, op.DHV, grad, false, c.in.before, true, dq, 1, 0)
		c.statePart(mlstmStateArgs{c.g.inter, c.dden, c.stateNs, c.q, c.dq, c.fromState, 0})
	})
	c.atOnce(func() {
		c.chunks(steps, op.DQK, op.DHV, c.in.v, false, dBehind, true, dk, 1, 0)
		c.statePart(mlstmStateArgs{c.g.carry, 0, c.dstateNs, c.k, c.dk, c.carried, 1})
		c.chunks(steps, op.DQK, steps, pairs, true, c.in.q, false, dk, scale, 1)
	}, func() {
		c.chunks(steps, op.DHV, op.DQK, c.in.keys, false, dBehind, false, dv, 1, 0)
		c.chunks(steps, op.DHV, steps, c.in.tiles, true, grad, false, dv, 1, 1)
	}, func() {
		c.chunks(steps, op.DQK, steps, pairs, false, c.in.k, false, dq, scale, 1)
		c.run("mlstm_memory_dots", c.chunkGrid(512), c.args, c.states, c.dstates, c.stateNs, c.dstateNs, c.dots)
	})
}

// statePart enqueues the states' part of a gradient, adding to a
// product in place.
func (c *mlstmBack) statePart(s mlstmStateArgs) {
	c.run("mlstm_state_part", grid{x: (c.items*c.op.T + 7) / 8, threads: 256}, c.args, byValue(s))
}

// rowsGrad enqueues the scores and the gradients of the rows, zeros where h has none.
func (c *mlstmBack) rowsGrad(hasH bool) {
	if hasH {
		c.scores(mlstmRowArgs{h: c.h, dh: c.dh, grad: c.grad, dden: c.dden, dm: c.dm})
		return
	}
	c.scores(mlstmRowArgs{})
	n := c.items * c.op.T
	c.zero(c.grad, n*c.op.DHV)
	c.zero(c.dden, n)
	c.zero(c.dm, n)
}
