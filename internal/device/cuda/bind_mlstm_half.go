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

func halfModule(keys, values int) string { return fmt.Sprintf("mlstm_wgmma_%dx%d", keys, values) }

func (c *mlstmScan) bordersHalf(m mlstmBorderArgs, back bool) {
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

// halfReadArgs mirrors Reads of mlstm_wgmma.cuh.
type halfReadArgs struct {
	mlstmReadArgs
	a, p, inverse, dden address
}

// alone returns the name of a kernel whose blocks, if each has a processor to itself,
// take more registers.
func (c *mlstmScan) alone(kernel string, g grid) string {
	if g.x*g.y <= int(c.d.processors) {
		return kernel + "_alone"
	}
	return kernel
}

// scoresHalf enqueues A/N, den and 1/N.
func (c *mlstmScan) scoresHalf() {
	shared := stages(2*mlstmBlock) + (mlstmBlock+c.op.DQK)*4 + c.tiles*mlstmTile*12
	g := grid{x: ceil(c.op.T, mlstmBlock), y: c.items, threads: 256, shared: shared}
	c.kernel("mlstm_wgmma", c.alone("mlstm_scores", g), g, c.args, c.gates, c.q, c.k, c.ns, c.a, c.den, c.inverse)
}

func (c *mlstmScan) outputHalf(h address) {
	values := tileHalf(c.op.DHV)
	c.scoresHalf()
	c.kernel(halfModule(tileHalf(c.op.DQK), values), "mlstm_output", c.halfGrid(c.op.DHV/values, stages(mlstmBlock+values)), c.args, c.gates,
		byValue(halfReadArgs{mlstmReadArgs: mlstmReadArgs{q: c.q, k: c.k, v: c.v, states: c.states, ns: c.ns}, a: c.a, inverse: c.inverse}), h)
}

func (c *mlstmBack) scoresGradHalf() {
	shared := stages(2*mlstmBlock) + 12*mlstmBlock*4 + c.tiles*mlstmTile*12
	g := grid{x: ceil(c.op.T, mlstmBlock), y: c.items, threads: 256, shared: shared}
	c.kernel("mlstm_wgmma", c.alone("mlstm_scores_grad", g), g, c.args, c.gates, c.v, c.h, c.dh, byValue(c.rows))
}

func (c *mlstmBack) rowsGradHalf() {
	keys, values := tileHalf(c.op.DQK), tileHalf(c.op.DHV)
	c.kernel(halfModule(keys, values), "mlstm_grads", c.halfGrid(c.op.DHV/values+2*(c.op.DQK/keys), stages(mlstmBlock+max(keys, values))), c.args, c.gates,
		byValue(halfReadArgs{mlstmReadArgs{c.q, c.k, c.v, c.dh, c.mlstmScan.states, c.mlstmScan.ns, c.states, c.ns}, c.rows.a, c.rows.p, c.rows.inverse, c.rows.dden}),
		byValue(c.grads))
}
