//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"math"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// mlstmChunk is the number of steps that the kernels take at once, CL in mlstm.cu.
// All chunk lengths are the same function, so the operation's own is not asked.
const mlstmChunk = 64

// The structs MLSTM, Gates and Lists of the kernels.
type (
	mlstmArgs struct {
		b, t, nh, dqk, dhv, nc     int64
		scaleQ, scaleK, eps, begin float64
		resets                     address
	}
	mlstmGateArgs struct {
		sum, u, top, segment, winner, inter, carry, floor, m0, last, keep address
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
	s := byValue(newMLSTMArgs(op, b.readIf(op.Resets)))
	h, next := b.write(), b.writeMemory(true)
	items := op.B * op.NH
	factors := b.float(3 * items)
	b.kernel("mlstm", "mlstm_step_gates", grid{x: items, threads: 128}, s, q, k, i, f, old.n, old.m, next.n, next.m, factors)
	b.kernel("mlstm", "mlstm_step", grid{x: (op.DHV + 31) / 32, y: items, threads: 32, rows: 8}, s, q, k, v, factors, old.c, next.c, h)
}

// mlstmScan is the cell over several chunks at work.
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
		sum: b.double(steps), u: b.double(steps), top: b.double(steps), segment: b.take(4 * steps), winner: b.take(4 * steps),
		inter: b.float(steps), carry: b.float(steps), floor: b.float(steps), m0: b.double(chunks), last: b.double(chunks), keep: b.float(chunks),
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

// memories takes space for C and n at the borders of all chunks.
func (c *mlstmScan) memories() (state, n address) {
	borders := c.items * (c.nc + 1)
	return c.float(borders * c.op.DQK * c.op.DHV), c.float(borders * c.op.DQK)
}

// tile takes space for a matrix of scores for every chunk.
func (c *mlstmScan) tile() address { return c.float(c.items * c.nc * mlstmChunk * mlstmChunk) }

func (c *mlstmScan) run(kernel string, g grid, args ...any) { c.kernel("mlstm", kernel, g, args...) }

// chunkGrid is a block for every chunk; rowGrid a warp for every row of every head.
func (c *mlstmScan) chunkGrid(threads int) grid { return grid{x: c.items * c.nc, threads: threads} }
func (c *mlstmScan) rowGrid() grid              { return grid{x: (c.items*c.op.T + 7) / 8, threads: 256} }

// A list is the place of a matrix in each chunk: its number among the lists, and
// the distance of its rows.
type list struct{ number, ld int }

func (c *mlstmScan) add(base address, ofB, ofHead, ofChunk, ld int) list {
	k := int(c.lists.count)
	c.lists.base[k], c.lists.ofB[k], c.lists.ofHead[k], c.lists.ofChunk[k] = base, int64(ofB), int64(ofHead), int64(ofChunk)
	c.lists.count++
	return list{k, ld}
}

// rows is the list for an array [B·T,NH·width].
func (c *mlstmScan) rows(base address, width int) list {
	ld := c.op.NH * width
	return c.add(base, c.op.T*ld, width, mlstmChunk*ld, ld)
}

// squares is the list for tiles.
func (c *mlstmScan) squares(base address) list {
	size := mlstmChunk * mlstmChunk
	return c.add(base, c.op.NH*c.nc*size, c.nc*size, size, mlstmChunk)
}

// borders is the list for the memories before the chunks, or with shift 1 behind
// them.
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

// begin enqueues what both directions begin with: gates, lists, scores, and the
// memories at the borders of the chunks.
func (c *mlstmScan) begin(i, f address, old, last memory) {
	op := c.op
	c.run("mlstm_gates", c.chunkGrid(mlstmChunk), c.args, i, f, c.gates)
	c.run("mlstm_stabilisers", c.d.spread(c.items), c.args, old.m, last.m, c.gates)
	c.run("mlstm_shares", c.chunkGrid(mlstmChunk), c.args, c.gates)
	n := int(c.lists.count) * c.items * c.nc
	c.run("mlstm_lists", c.d.spread(n), c.args, byValue(c.lists), c.listsAt)
	c.chunks(steps, steps, op.DQK, c.in.q, false, c.in.k, true, c.in.tiles, op.ScaleQ*op.ScaleK, 0)
	c.scale(c.k, op.DQK, c.g.carry, 0, c.keys)
	c.chunks(op.DQK, op.DHV, steps, c.in.keys, true, c.in.v, false, c.in.behind, 1, 0)
	c.run("mlstm_vector_sums", c.chunkGrid(128), c.args, c.k, c.g.carry, address(0), c.stateNs, int64(1))
	c.carry("mlstm_carry", op.DQK*op.DHV, old.c, last.c, c.states)
	c.carry("mlstm_carry", op.DQK, old.n, last.n, c.stateNs)
}

// scale enqueues dst = x times the steps' factors, over norm unless that is 0.
func (c *mlstmScan) scale(x address, width int, factors, norm, dst address) {
	c.run("mlstm_scale_rows", c.d.spread(c.items*c.op.T*width), c.args, x, int64(width), factors, norm, dst)
}

// carry enqueues a recurrence over the chunks.
func (c *mlstmScan) carry(kernel string, size int, from, to, memories address) {
	c.run(kernel, grid{x: max(1, min((size+255)/256, 1024)), y: c.items, threads: 256}, c.args, int64(size), from, to, c.g.keep, memories)
}

func (b *binder) mlstm(op ops.MLSTM) {
	c, i, f, old := b.newScan(op)
	c.args = byValue(newMLSTMArgs(op, b.readIf(op.Resets)))
	h, last := b.write(), b.writeMemory(true)
	queries := b.float(c.items * op.T * op.DQK) // β·q/N
	to, qs := c.rows(h, op.DHV), c.rows(queries, op.DQK)
	c.begin(i, f, old, last)
	c.scores(true)
	c.scale(c.q, op.DQK, c.g.inter, c.norm, queries)
	c.chunks(steps, op.DHV, steps, c.in.tiles, false, c.in.v, false, to, 1, 0)
	c.chunks(steps, op.DHV, op.DQK, qs, false, c.in.before, false, to, 1, 1)
}

// scores enqueues the making of A, or of A/N, in the tiles.
func (c *mlstmScan) scores(divide bool) {
	c.run("mlstm_scores", c.chunkGrid(256), c.args, c.gates, c.q, c.stateNs, c.tiles, c.den, c.norm, flag(divide))
}

// mlstmBack is the cell's backward pass.
type mlstmBack struct {
	*mlstmScan
	h, dh                                             address
	dq, dk, dv                                        address
	grad, dden, dm, inputs, cross, fromState, carried address // by steps; grad is dh/N
	pairs                                             address // P, in tiles
	dstates, dstateNs                                 address
	dots                                              address
	queries, values, grads                            address // β·q, ā·v, β·dh/N
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
	c.run("mlstm_gates_grad", grid{x: c.items, threads: mlstmChunk}, c.args, c.gates, f, c.den, c.dm, c.inputs, c.cross, c.fromState, c.carried,
		c.dots, dLast.m, di, df, dFirst.m)
}

func (c *mlstmBack) takeWorkspace() {
	n := c.items * c.op.T
	c.grad, c.grads, c.values = c.float(n*c.op.DHV), c.float(n*c.op.DHV), c.float(n*c.op.DHV)
	c.queries = c.float(n * c.op.DQK)
	for _, v := range []*address{&c.dden, &c.dm, &c.inputs, &c.cross, &c.fromState, &c.carried} {
		*v = c.float(n)
	}
	c.pairs = c.tile()
	c.dstates, c.dstateNs = c.memories()
	c.dots = c.double(c.items * c.nc)
}

// products enqueues all but the gradients of the gates: hasH reports whether there
// is a gradient of h, and begin what the forward pass computed.
func (c *mlstmBack) products(hasH bool, begin func(), dLast, dFirst memory) {
	op, scale := c.op, c.op.ScaleQ*c.op.ScaleK
	grad, grads, values, queries := c.rows(c.grad, op.DHV), c.rows(c.grads, op.DHV), c.rows(c.values, op.DHV), c.rows(c.queries, op.DQK)
	pairs, dBefore, dBehind := c.squares(c.pairs), c.borders(c.dstates, 0), c.borders(c.dstates, 1)
	dq, dk, dv := c.rows(c.dq, op.DQK), c.rows(c.dk, op.DQK), c.rows(c.dv, op.DHV)
	begin()
	c.scores(false)
	c.rowsGrad(hasH)
	c.chunks(steps, steps, op.DHV, grad, false, c.in.v, true, pairs, 1, 0)
	c.run("mlstm_scores_grad", c.chunkGrid(mlstmChunk), c.args, c.gates, c.tiles, c.den, c.dden, c.pairs, c.dm, c.inputs, c.cross)

	c.scale(c.q, op.DQK, c.g.inter, 0, c.queries)
	c.chunks(op.DQK, op.DHV, steps, queries, true, grad, false, dBefore, 1, 0)
	c.run("mlstm_vector_sums", c.chunkGrid(128), c.args, c.q, c.g.inter, c.dden, c.dstateNs, int64(0))
	c.carry("mlstm_carry_back", op.DQK*op.DHV, dLast.c, dFirst.c, c.dstates)
	c.carry("mlstm_carry_back", op.DQK, dLast.n, dFirst.n, c.dstateNs)

	c.chunks(steps, op.DHV, op.DQK, c.in.keys, false, dBehind, false, dv, 1, 0)
	c.chunks(steps, op.DHV, steps, c.in.tiles, true, grad, false, dv, 1, 1)

	c.scale(c.v, op.DHV, c.g.carry, 0, c.values)
	c.chunks(steps, op.DQK, op.DHV, values, false, dBehind, true, dk, 1, 0)
	c.run("mlstm_add_vector", c.rowGrid(), c.args, c.g.carry, address(0), c.dstateNs, int64(1), c.k, c.dk, c.carried)
	c.chunks(steps, op.DQK, steps, pairs, true, c.in.q, false, dk, scale, 1)

	c.scale(c.grad, op.DHV, c.g.inter, 0, c.grads)
	c.chunks(steps, op.DQK, op.DHV, grads, false, c.in.before, true, dq, 1, 0)
	c.run("mlstm_add_vector", c.rowGrid(), c.args, c.g.inter, c.dden, c.stateNs, int64(0), c.q, c.dq, c.fromState)
	c.chunks(steps, op.DQK, steps, pairs, false, c.in.k, false, dq, scale, 1)

	c.run("mlstm_memory_dots", c.chunkGrid(256), c.args, int64(op.DQK*op.DHV), c.states, c.dstates, c.dots, flag(false))
	c.run("mlstm_memory_dots", c.chunkGrid(256), c.args, int64(op.DQK), c.stateNs, c.dstateNs, c.dots, flag(true))
}

// rowsGrad enqueues the gradients of the rows, zeros where h has none.
func (c *mlstmBack) rowsGrad(hasH bool) {
	if hasH {
		c.run("mlstm_rows_grad", c.rowGrid(), c.args, c.gates, c.h, c.dh, c.den, c.norm, c.grad, c.dden, c.dm)
		return
	}
	n := c.items * c.op.T
	c.zero(c.grad, n*c.op.DHV)
	c.zero(c.dden, n)
	c.zero(c.dm, n)
}
