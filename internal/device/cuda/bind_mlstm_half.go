//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"fmt"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// mlstmBlock is the number of steps that a block of the kernels of mlstm_wgmma.cuh
// processes, BLOCK there.
const mlstmBlock = 128

// warpgroups reports whether the kernels of mlstm_wgmma.cuh compute a cell: only on
// Hopper, for widths that are multiples of 64, and within the limits of a grid.
func (d *Device) warpgroups(op ops.MLSTM, dt ops.Dtype) bool {
	const most = 1<<16 - 1
	return d.precision == BF16 && d.major == 9 && dt == ops.Float32 && op.DQK%mlstmTile == 0 && op.DHV%mlstmTile == 0 &&
		op.B*op.NH <= most && op.T <= most*mlstmBlock
}

// tileHalf returns the number of columns that a block processes of a width.
func tileHalf(width int) int {
	if width%128 == 0 {
		return 128
	}
	return 64
}

// halfGrid returns a grid of column tiles, blocks of steps and items.
func (c *mlstmScan) halfGrid(columns, shared int) grid {
	return grid{x: columns, y: ceil(c.op.T, mlstmBlock), z: c.items, threads: 256, shared: shared}
}

// stages returns the bytes of shared memory for STAGES slices whose operands have the
// given number of rows together, and for their alignment.
func stages(rows int) int { return 1024 + 3*rows*128 }

// These types mirror Borders of mlstm_wgmma.cuh and Normaliser of mlstm_normalisers.cu.
type (
	halfBorderArgs struct{ x, y, w, factor, first, c, last address }
	normaliserArgs struct{ x, w, first, n, last address }
)

// besideStates enqueues the recurrence of C, and beside it what does not need C. The
// weights of C's gradients are β/N, which the forward pass has left in two parts.
func (c *mlstmScan) besideStates(m mlstmBorderArgs, back bool, others func()) {
	ofC := halfBorderArgs{x: m.x, y: m.y, w: m.w, first: m.firstC, c: m.c, last: m.lastC}
	if back {
		ofC.w, ofC.factor = c.g.inter, c.inverse
	}
	c.atOnce(func() { c.statesHalf(ofC, back) }, others)
}

// scoresBesideStates enqueues the scores of the forward pass, for which n is enough.
func (c *mlstmScan) scoresBesideStates(last memory) {
	m := c.keysBorder(last)
	c.besideStates(m, false, func() {
		c.normalisers(m, false)
		c.scoresHalf()
	})
}

// normalisers enqueues the recurrence of n, unless none of its results is needed.
func (c *mlstmScan) normalisers(m mlstmBorderArgs, back bool) {
	if m.n == 0 && m.lastN == 0 {
		return
	}
	c.kernel("mlstm_normalisers", "mlstm_normalisers", grid{x: c.op.DQK / 64, y: c.items, threads: 256}, c.args, c.g.keep,
		byValue(normaliserArgs{x: m.x, w: m.wn, first: m.firstN, n: m.n, last: m.lastN}), flag(back))
}

// statesHalf enqueues the recurrence of C, unless none of its results is needed.
func (c *mlstmScan) statesHalf(m halfBorderArgs, back bool) {
	if m.c == 0 && m.last == 0 {
		return
	}
	keys, values := tileHalf(c.op.DQK), tileHalf(c.op.DHV)
	blocks := func() int { return c.items * (c.op.DQK / keys) * (c.op.DHV / values) }
	if blocks() < int(c.d.processors) {
		values = 64
	}
	if blocks() < int(c.d.processors) {
		keys = 64
	}
	c.kernel(halfModule(keys, values), "mlstm_states", grid{x: blocks() / c.items, y: c.items, threads: 2 * keys, shared: stages(keys+values) + 3*512}, c.args, c.g.keep, byValue(m), flag(back))
}

// fewBlocks reports whether every block of steps has a processor to itself, with so
// many bytes of dynamic shared memory and some more.
func (c *mlstmScan) fewBlocks(shared int) bool {
	return c.items*ceil(c.op.T, mlstmBlock) <= int(c.d.processors) && shared+2048 <= int(c.d.sharedMax)
}

// whole reports whether the forward pass is one launch: where sequences are one chunk,
// no memory is before it, and there are few blocks.
func (c *mlstmScan) whole() bool { return c.half && !c.before() && c.fewBlocks(c.wholeShared()) }

// wholeShared returns the bytes of dynamic shared memory of mlstm_whole, most of them in
// panels of 64 columns.
func (c *mlstmScan) wholeShared() int {
	keys, values, blocks := c.op.DQK/64, c.op.DHV/64, c.tiles*mlstmTile/mlstmBlock
	return 1024 + (keys+blocks*max(keys, values)+blocks*2)*mlstmBlock*128 + c.tiles*mlstmTile*12 + mlstmBlock*16
}

// wholeHalf enqueues the gates, the scores and, unless it is 0, h.
func (c *mlstmScan) wholeHalf(h, last address) {
	c.kernel("mlstm_whole", "mlstm_whole", c.scoresGrid(c.wholeShared()), c.args, c.gates, c.i, c.f, last, c.q, c.k, c.v, c.a, c.den, c.inverse, h)
}

func halfModule(keys, values int) string { return fmt.Sprintf("mlstm_wgmma_%dx%d", keys, values) }

// halfReadArgs mirrors Reads of mlstm_wgmma.cuh.
type halfReadArgs struct {
	mlstmReadArgs
	a, p, inverse, dden address
}

// alone returns the name of a kernel whose blocks, if each has a processor to itself,
// take more registers.
func (c *mlstmScan) alone(kernel string, shared int) string {
	if c.fewBlocks(shared) {
		return kernel + "_alone"
	}
	return kernel
}

// scoresGrid is that of kernels of scores: a block for 128 steps of an item.
func (c *mlstmScan) scoresGrid(shared int) grid {
	return grid{x: ceil(c.op.T, mlstmBlock), y: c.items, threads: 256, shared: shared}
}

// scoresHalf enqueues A/N, den and 1/N.
func (c *mlstmScan) scoresHalf() {
	shared := stages(2*mlstmBlock) + (mlstmBlock+c.op.DQK)*4 + c.tiles*mlstmTile*12
	c.kernel("mlstm_wgmma", c.alone("mlstm_scores", shared), c.scoresGrid(shared), c.args, c.gates, c.q, c.k, c.ns, c.a, c.den, c.inverse)
}

// chainKeys, chainValues and chainShared are the width of keys for which mlstm_chain is,
// the columns of the values of a block, and the bytes of dynamic shared memory: those of
// its panels of C, v and the portions of the other operands, and the portions' weights.
const chainKeys, chainValues, chainShared = 256, 128, 1024 + (4+4+3*2)*mlstmBlock*128 + 3*mlstmTile*4

// chain reports whether the outputs are computed together with the memories, which saves
// reading these: a block then has a processor to itself for a whole sequence, so there
// must be enough blocks to keep most processors busy to the end.
func (c *mlstmScan) chain() bool {
	processors, blocks := int(c.d.processors), c.items*(c.op.DHV/chainValues)
	return c.half && c.nc > 1 && c.op.DQK == chainKeys && c.op.DHV%chainValues == 0 && chainShared <= int(c.d.sharedMax) &&
		4*blocks >= 3*processors*ceil(blocks, processors)
}

// chainHalf enqueues the scores and then h together with the memories.
func (c *mlstmScan) chainHalf(h address, last memory) {
	m := c.keysBorder(last)
	c.normalisers(m, false)
	c.scoresHalf()
	c.kernel("mlstm_chain", "mlstm_chain", grid{x: c.op.DHV / chainValues, y: c.items, threads: 256, shared: chainShared}, c.args, c.gates,
		byValue(halfBorderArgs{x: m.x, y: m.y, w: m.w, first: m.firstC, c: m.c, last: m.lastC}), c.q, c.a, c.inverse, h)
}

func (c *mlstmScan) outputHalf(h address) {
	values := tileHalf(c.op.DHV)
	c.kernel(halfModule(tileHalf(c.op.DQK), values), "mlstm_output", c.halfGrid(c.op.DHV/values, stages(mlstmBlock+values)), c.args, c.gates,
		byValue(halfReadArgs{mlstmReadArgs: mlstmReadArgs{q: c.q, k: c.k, v: c.v, states: c.states, ns: c.ns}, a: c.a, inverse: c.inverse}), h)
}

func (c *mlstmBack) scoresGradHalf() {
	shared := stages(2*mlstmBlock) + 9*mlstmBlock*4 + c.tiles*mlstmTile*12
	c.kernel("mlstm_wgmma", c.alone("mlstm_scores_grad", shared), c.scoresGrid(shared), c.args, c.gates, c.v, c.h, c.dh, byValue(c.rows))
}

func (c *mlstmBack) rowsGradHalf() {
	keys, values := tileHalf(c.op.DQK), tileHalf(c.op.DHV)
	c.kernel(halfModule(keys, values), "mlstm_grads", c.halfGrid(c.op.DHV/values+2*(c.op.DQK/keys), stages(mlstmBlock+max(keys, values))), c.args, c.gates,
		byValue(halfReadArgs{mlstmReadArgs{c.q, c.k, c.v, c.dh, c.mlstmScan.states, c.mlstmScan.ns, c.states, c.ns}, c.rows.a, c.rows.p, c.rows.inverse, c.rows.dden}),
		byValue(c.grads))
}
