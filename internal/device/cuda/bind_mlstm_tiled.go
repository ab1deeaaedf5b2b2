//go:build nvidia && linux && (amd64 || arm64)

package cuda

import "github.com/gorgonia-xlstm/xlstm/internal/ops"

// tiled enqueues a kernel of mlstm_chunks.cuh, which supports all cards and widths, from
// the module for the precision.
func (c *mlstmScan) tiled(kernel string, blocks, shared int, args ...any) {
	module := "mlstm_ieee"
	if c.dt == ops.Float32 && c.d.precision != Float32 {
		module = "mlstm_tf32"
	}
	c.kernel(module, kernel, grid{x: blocks, threads: 256, shared: shared}, args...)
}

// blocks returns the number of tiles of steps of all items, keyTiles that of column tiles
// of the keys.
func (c *mlstmScan) blocks() int   { return c.items * ceil(c.op.T, mlstmTile) }
func (c *mlstmScan) keyTiles() int { return ceil(c.op.DQK, mlstmTile) }

// deep returns DEEP of tiles.cuh, and slice the size of a SLICE in bytes.
func (c *mlstmScan) deep() int  { return 128 / c.size() }
func (c *mlstmScan) slice() int { return mlstmTile * (c.deep() + 4) * c.size() }

// rowsShared returns the bytes of shared memory of mlstm_output and mlstm_scores_grad with
// a number of tiles in a chunk, and bordersShared those of the other kernels.
func (c *mlstmScan) rowsShared(tiles int) int {
	length := tiles * mlstmTile
	return 4*c.slice() + (mlstmTile*(length+4)+11*mlstmTile+3*length)*c.size()
}

func (c *mlstmScan) bordersShared() int {
	return 6*c.slice() + (6*c.deep()+4*mlstmTile)*c.size() + 64
}
