//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"fmt"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// These types mirror the structs Forward and Backward of slstm_scan.cuh.
type (
	scanArgs struct {
		b, t, nh                 int64
		resets                   address
		x                        [4]address
		r, bias, state           address
		y, next, gates, memories address
	}
	scanBackArgs struct {
		b, t, nh                        int64
		clip                            float64
		resets                          address
		r, state, next, gates, memories address
		dy, dnext                       address
		dx                              [4]address
		dstate, dbias                   address
	}
)

// registers reports whether a scan that keeps the recurrent weights of a head in
// registers exists for the operation.
func (b *binder) registers(op ops.SLSTM) bool {
	return b.dt == ops.Float32 && (op.DH == 32 || op.DH == 64 || op.DH == 96)
}

// scanShape is the division of a scan: sequences per block, lanes per unit.
type scanShape struct{ rows, lanes int }

// scanShapes chooses the shapes by the number of blocks that one sequence per block
// would give, as measured on an H100.
func (b *binder) scanShapes(op ops.SLSTM) (forward, backward scanShape) {
	pairs, processors := op.B*op.NH, int(b.d.processors)
	switch op.DH {
	case 32:
		switch {
		case pairs <= processors:
			return scanShape{1, 4}, scanShape{1, 1}
		case pairs <= 2*processors:
			return scanShape{1, 2}, scanShape{1, 1}
		}
		return scanShape{1, 1}, scanShape{1, 1}
	case 64:
		if pairs <= processors {
			return scanShape{1, 2}, scanShape{1, 2}
		}
		return scanShape{2, 2}, scanShape{2, 2}
	}
	if pairs <= processors {
		return scanShape{1, 4}, scanShape{1, 4}
	}
	return scanShape{2, 4}, scanShape{2, 4}
}

func (s scanShape) grid(op ops.SLSTM) grid {
	return grid{x: op.NH, y: (op.B + s.rows - 1) / s.rows, threads: op.DH * s.lanes}
}

func (s scanShape) kernel(name string) string { return fmt.Sprintf("%s_%d_%d", name, s.rows, s.lanes) }

// splitTape returns the tape's two parts, {s, z, o, 1 − σ(f~)} and {c, n}.
func (b *binder) splitTape(op ops.SLSTM, tape address) (gates, memories address) {
	return tape, b.at(tape, 4*op.B*op.T*op.NH*op.DH)
}

func scanModule(op ops.SLSTM) string { return fmt.Sprintf("slstm_%d", op.DH) }

func (b *binder) scan(op ops.SLSTM) {
	s := scanArgs{b: int64(op.B), t: int64(op.T), nh: int64(op.NH), x: [4]address(b.readMany(4)), r: b.read(), bias: b.read()}
	s.state = b.readIf(op.State)
	s.resets = b.readIf(op.Resets)
	s.y, s.next = b.write(), b.write()
	s.gates, s.memories = b.splitTape(op, b.write())
	shape, _ := b.scanShapes(op)
	b.kernel(scanModule(op), shape.kernel("scan"), shape.grid(op), byValue(s))
}

// ringBytes is the shared memory per thread of a backward scan: four steps of seven
// floats.
const ringBytes = 4 * 28

func (b *binder) scanBack(op ops.SLSTMGrad, g slstmGrads) {
	_, shape := b.scanShapes(op.SLSTM)
	at := shape.grid(op.SLSTM)
	at.shared = at.threads * ringBytes
	size := 4 * op.NH * op.DH
	part := b.float(at.y * size)
	s := scanBackArgs{
		b: int64(op.B), t: int64(op.T), nh: int64(op.NH), clip: op.Clip, resets: g.resets, r: g.r, state: g.state, next: g.next,
		dy: g.dy, dnext: g.dnext, dx: g.dx, dstate: g.dstate, dbias: part,
	}
	s.gates, s.memories = b.splitTape(op.SLSTM, g.tape)
	b.kernel(scanModule(op.SLSTM), shape.kernel("scan_back"), at, byValue(s))
	b.sumParts(part, g.dbias, at.y, size)
}
