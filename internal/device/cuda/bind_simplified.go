//go:build nvidia && linux && (amd64 || arm64)

package cuda

import "github.com/gorgonia-xlstm/xlstm/internal/ops"

// These types mirror the structs Simplified and SimplifiedBack of simplified.cu.
type (
	simplifiedArgs struct {
		b, t, h, rows                                 int64
		eps                                           float64
		resets, x, r, norms, m, state, hs, next, tape address
	}
	simplifiedBackArgs struct {
		b, t, h, rows                               int64
		eps                                         float64
		resets, r, norms, m, state, tape, dh, dnext address
		dx, du, dnorms, dstate                      address
	}
)

// bindSimplified binds the simplified cell.
func bindSimplified(b *binder, op ops.Op) bool {
	switch op := op.(type) {
	case ops.Simplified:
		b.simplified(op)
	case ops.SimplifiedGrad:
		b.simplifiedGrad(op)
	default:
		return false
	}
	return true
}

// simplifiedGrid returns the grid for blocks of rows sequences, with so many numbers
// of shared memory per sequence and unit.
func (b *binder) simplifiedGrid(op ops.Simplified, rows, threads, numbers int) grid {
	return grid{x: (op.B + rows - 1) / rows, threads: min(1024, (threads+31)/32*32), shared: numbers * rows * op.H * b.size()}
}

func (b *binder) simplified(op ops.Simplified) {
	x, r, norms, m, state := b.read(), b.read(), b.read(), b.read(), b.readIf(op.State)
	resets := b.readIf(op.Resets)
	hs, next, tape := b.write(), b.write(), b.write()
	rows := b.sequencesPerBlock(op.B)
	b.kernel("simplified", "simplified", b.simplifiedGrid(op, rows, 4*op.H, 6), byValue(simplifiedArgs{
		b: int64(op.B), t: int64(op.T), h: int64(op.H), rows: int64(rows), eps: op.Eps, resets: resets,
		x: x, r: b.transposed(r, 4*op.H, op.H), norms: norms, m: m, state: state, hs: hs, next: next, tape: tape,
	}))
}

func (b *binder) simplifiedGrad(op ops.SimplifiedGrad) {
	r, norms, m := b.read(), b.read(), b.read()
	hs, _, tape, state := b.read(), b.read(), b.read(), b.readIf(op.State)
	up := b.readSome(op.Has[:])
	resets := b.readIf(op.Resets)
	dx, dr, dnorms, dm, dstate := b.write(), b.write(), b.write(), b.write(), b.writeIf(op.State)
	rows, steps := b.sequencesPerBlock(op.B), op.B*op.T
	at := b.simplifiedGrid(op.Simplified, rows, 2*op.H, 10)
	part, du := b.float(at.x*4*op.H), b.float(steps*op.H)
	b.kernel("simplified", "simplified_backward", at, byValue(simplifiedBackArgs{
		b: int64(op.B), t: int64(op.T), h: int64(op.H), rows: int64(rows), eps: op.Eps, resets: resets,
		r: r, norms: norms, m: b.transposed(m, op.H, op.H), state: state, tape: tape, dh: up[0], dnext: up[1],
		dx: dx, du: du, dnorms: part, dstate: dstate,
	}))
	b.sumParts(part, dnorms, at.x, 4*op.H)
	// The candidates g are the sixth array of the tape.
	b.multiply(product{m: op.H, n: op.H, k: steps, a: operand{at: b.at(tape, 5*steps*op.H), ld: op.H, trans: true}, b: operand{at: du, ld: op.H}, c: operand{at: dm, ld: op.H}})
	b.recurrentGrad(ops.LSTM{B: op.B, T: op.T, H: op.H}, resets, state, hs, dx, dr)
}
