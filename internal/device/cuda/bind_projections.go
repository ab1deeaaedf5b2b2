//go:build nvidia && linux && (amd64 || arm64)

package cuda

import "github.com/gorgonia-xlstm/xlstm/internal/ops"

// These types mirror the structs of projections.cu.
type (
	projectionArgs struct {
		n, blocks, nh int64
		c, x          ref
		w             [3]address
		gates, bias   [2]address
	}
	projectionGradArgs struct {
		y, dy  [3]ref
		gates  [2]address
		dc, dx ref
		plus   [2]addends
	}
	projectionSumArgs struct {
		dw          [3]address
		gates, bias [2]address
	}
)

// projectionRows, projectionHeads and projectionOutputs are ROWS, HEADS and OUTPUTS of
// projections.cu.
const (
	projectionRows    = 32
	projectionHeads   = 4
	projectionOutputs = 2 * projectionHeads
)

// projects reports whether the kernels of projections.cu take an operation: maps of
// blocks of four columns, for few heads, and enough rows for what a block of threads
// reads before its first one.
func projects(op ops.Projections) bool {
	m, width := op.Map, op.Map.Heads*op.Map.In
	return m.In == 4 && m.Out == 4 && m.Stride == 4 && m.N >= projectionRows && width <= 2048 &&
		op.Gates.NH <= projectionHeads && op.Gates.Widths == [3]int{width, width, width}
}

// bindProjections binds the inputs of a cell.
func bindProjections(b *binder, op ops.Op) bool {
	switch op := op.(type) {
	case ops.Projections:
		if !projects(op) {
			return false
		}
		b.projections(op)
	case ops.ProjectionsGrad:
		if !projects(op.Projections) {
			return false
		}
		b.projectionsGrad(op)
	default:
		return false
	}
	return true
}

// projectionArgs reads c, x and the weights of the maps.
func (b *binder) projectionArgs(op ops.Projections) projectionArgs {
	return projectionArgs{n: int64(op.Map.N), blocks: int64(op.Map.Heads), nh: int64(op.Gates.NH), c: b.readRef(), x: b.readRef(), w: [3]address(b.readMany(3))}
}

// module returns the name of the kernels' module, of which one takes c and x, and more
// operands if there are any, in bfloat16 alone.
func (s projectionArgs) module(more ...ref) string {
	if allHalf(append(more, s.c, s.x)...) {
		return "projections_halves"
	}
	return "projections"
}

func (b *binder) projections(op ops.Projections) {
	s := b.projectionArgs(op)
	for k := range s.gates {
		s.gates[k], s.bias[k] = b.read(), b.read()
	}
	q, k, v, i, f := b.writeRef(), b.writeRef(), b.writeRef(), b.write(), b.write()
	const warps = 8 // at most
	chunks := ceil(op.Map.Heads, 32)
	parts := max(1, warps/chunks)
	g := grid{x: ceil(op.Map.N, projectionRows), threads: 32 * min(warps, chunks*parts), shared: chunks * projectionRows * projectionOutputs * b.size()}
	b.kernel(s.module(), "projections", g, byValue(s), q.arg(), k.arg(), v.arg(), i, f, int32(parts))
}

func (b *binder) projectionsGrad(op ops.ProjectionsGrad) {
	s := b.projectionArgs(op.Projections)
	var g projectionGradArgs
	for k := range g.y {
		g.y[k] = b.readRef()
	}
	s.gates = [2]address(b.readMany(2))
	for k := range g.dy {
		g.dy[k] = b.readRef()
	}
	g.gates = [2]address(b.readMany(2))
	g.dc, g.dx, g.plus = plain(b.write()), plain(b.write()), [2]addends(b.plus[:2])
	sums := projectionSumArgs{dw: [3]address(b.writeMany(3))}
	for k := range sums.gates {
		sums.gates[k], sums.bias[k] = b.write(), b.write()
	}
	blocks, nh := op.Map.Heads, op.Gates.NH
	chunks := ceil(blocks, 32)
	length := max(32, ceil(op.Map.N, max(1, int(b.d.processors)/chunks))) // a block for each processor
	parts := ceil(op.Map.N, length)
	ofMaps, ofGates := 3*16*blocks, 2*nh*(12*blocks+1)
	part, gatePart := b.float(parts*ofMaps), b.float(parts*ofGates)
	b.kernel(s.module(append(g.y[:], g.dy[:]...)...), "projections_grad", grid{x: chunks, y: parts, z: 2, threads: 32, rows: 8}, byValue(s), byValue(g), part, gatePart, int64(length))
	b.kernel("projections", "projections_sums", summing(ofMaps+ofGates, parts), int64(blocks), int64(nh), part, gatePart, byValue(sums), int64(parts))
}
