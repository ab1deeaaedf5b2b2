//go:build nvidia && linux && (amd64 || arm64)

package cuda

import "github.com/gorgonia-xlstm/xlstm/internal/ops"

// These types mirror the structs SLSTM and SLSTMBack of slstm.cu, whose clip has the
// element type; here each element type has a struct.
type (
	slstmArgs[F any] struct {
		b, t, nh, dh                  int64
		clip                          F
		resets                        address
		x                             [4]address
		r, bias, state, y, next, tape address
	}
	slstmBackArgs[F any] struct {
		b, t, nh, dh                       int64
		clip                               F
		resets                             address
		r, state, y, next, tape, dy, dnext address
		dx                                 [4]address
		dstate                             address
	}
)

// bindSLSTM binds the sLSTM cell.
func bindSLSTM(b *binder, op ops.Op) bool {
	switch op := op.(type) {
	case ops.SLSTM:
		if b.dt == ops.Float64 {
			bindSLSTMForward[float64](b, op)
		} else {
			bindSLSTMForward[float32](b, op)
		}
	case ops.SLSTMGrad:
		if b.dt == ops.Float64 {
			bindSLSTMBackward[float64](b, op)
		} else {
			bindSLSTMBackward[float32](b, op)
		}
	default:
		return false
	}
	return true
}

// stepRows is ROWS of slstm.cu, the sequences of a block.
const stepRows = 8

// stepGrid is the grid of a step for blocks of some units and warps.
func stepGrid(op ops.SLSTM, units, warps int) grid {
	return grid{x: (op.DH + units - 1) / units, y: op.NH, z: (op.B + stepRows - 1) / stepRows, threads: 32 * warps}
}

func bindSLSTMForward[F float32 | float64](b *binder, op ops.SLSTM) {
	if shape, _, ok := b.scanShapes(op); ok {
		b.scan(op, shape)
		return
	}
	s := slstmArgs[F]{b: int64(op.B), t: int64(op.T), nh: int64(op.NH), dh: int64(op.DH), clip: F(op.Clip)}
	s.x = [4]address(b.readMany(4))
	s.r, s.bias, s.state = b.read(), b.read(), b.readIf(op.State)
	s.resets = b.readIf(op.Resets)
	s.y, s.next, s.tape = b.write(), b.write(), b.write()
	args := byValue(s)
	for t := range op.T {
		b.kernel("slstm", "slstm_step", stepGrid(op, 8, 8), args, int64(t))
	}
	b.each("slstm", "slstm_end", op.B*op.NH*op.DH, args)
}

func bindSLSTMBackward[F float32 | float64](b *binder, op ops.SLSTMGrad) {
	g := b.readSLSTMGrad(op)
	if _, shape, ok := b.scanShapes(op.SLSTM); ok {
		b.scanBack(op, g, shape)
		b.scanWeightGrad(op.SLSTM, g)
		return
	}
	s := slstmBackArgs[F]{
		b: int64(op.B), t: int64(op.T), nh: int64(op.NH), dh: int64(op.DH), clip: F(op.Clip), resets: g.resets,
		state: g.state, y: g.y, next: g.next, tape: g.tape, dy: g.dy, dnext: g.dnext, dx: g.dx, dstate: g.dstate,
	}
	s.r = b.float(4 * op.NH * op.DH * op.DH)
	b.each("slstm", "slstm_transpose", 4*op.NH*op.DH*op.DH, g.r, s.r, int64(op.NH), int64(4*op.DH), int64(op.DH))
	args := byValue(s)
	for t := op.T - 1; t >= -1; t-- {
		b.kernel("slstm", "slstm_step_back", stepGrid(op.SLSTM, 16, 4), args, int64(t))
	}
	for k, dx := range g.dx {
		b.columnSums(plain(dx), b.at(g.dbias, k*op.NH*op.DH), op.B*op.T, op.NH*op.DH)
	}
	b.slstmWeightGrad(op.SLSTM, g)
}

// slstmGrads holds the operands of the backward scan.
type slstmGrads struct {
	r, y, next, tape, state, dy, dnext, resets address
	dx                                         [4]address
	dr, dbias, dstate                          address
}

func (b *binder) readSLSTMGrad(op ops.SLSTMGrad) (g slstmGrads) {
	g.r, g.y, g.next, g.tape = b.read(), b.read(), b.read(), b.read()
	g.state = b.readIf(op.State)
	up := b.readSome(op.Has[:])
	g.dy, g.dnext = up[0], up[1]
	g.resets = b.readIf(op.Resets)
	for k := range g.dx {
		g.dx[k] = b.write()
	}
	g.dr, g.dbias = b.write(), b.write()
	if op.State {
		g.dstate = b.write()
	} else {
		g.dstate = b.float(4 * op.B * op.NH * op.DH)
	}
	return g
}

// slstmWeightGrad computes dR from the gradients of the pre-activations and the
// output that each step saw, for heads of any width.
func (b *binder) slstmWeightGrad(op ops.SLSTM, g slstmGrads) {
	s := struct {
		b, t, nh, dh     int64
		resets, state, y address
		dx               [4]address
	}{int64(op.B), int64(op.T), int64(op.NH), int64(op.DH), g.resets, g.state, g.y, g.dx}
	tiles, size := (op.DH+outerTile-1)/outerTile, 4*op.NH*op.DH*op.DH
	parts, length := b.outerStretches(tiles*tiles*4*op.NH, op.B*op.T)
	part := b.float(parts * size)
	b.kernel("slstm", "slstm_weight_grad", grid{x: tiles * tiles, y: 4 * op.NH, z: parts, threads: outerThreads}, byValue(s), part, int64(length))
	b.sumParts(part, g.dr, parts, size)
}
