//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"fmt"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// The structs Forward and Backward of the kernels in slstm_scan.cuh, and WeightGrad of
// slstm_weights.cuh.
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
	scanWeightArgs struct {
		b, t, nh         int64
		resets, state, y address
		dx               [4]address
		part             address
		stretch          int64
	}
)

// scanShape says how a scan is spread: the sequences of a block, the lanes of a unit
// and the blocks of a cluster, which share the units of a head. half is for products
// in half precision.
type scanShape struct {
	rows, lanes, blocks int
	half                bool
}

// scanShapes chooses the scans that keep the recurrent weights of a head in registers,
// as was measured on an H100, by the number of sequences of all heads. ok is false
// where there are none: for other widths, and for heads that take clusters on cards
// without.
func (b *binder) scanShapes(op ops.SLSTM) (forward, backward scanShape, ok bool) {
	if b.dt != ops.Float32 {
		return forward, backward, false
	}
	pairs, processors := op.B*op.NH, int(b.d.processors)
	clusters, fast := b.d.major >= 9, b.d.precision != Float32
	both := func(s scanShape) (scanShape, scanShape, bool) { return s, s, true }
	switch {
	case op.DH == 32 && pairs <= processors:
		return scanShape{1, 4, 1, false}, scanShape{1, 1, 1, false}, true
	case op.DH == 32 && pairs <= 2*processors:
		return scanShape{1, 2, 1, false}, scanShape{1, 1, 1, false}, true
	case op.DH == 32:
		return both(scanShape{1, 1, 1, false})
	case op.DH == 64 && pairs <= processors:
		return both(scanShape{1, 2, 1, false})
	case op.DH == 64:
		return both(scanShape{2, 2, 1, false})
	case op.DH == 96 && pairs <= processors/2 && clusters:
		return both(scanShape{1, 4, 2, false})
	case op.DH == 96 && pairs <= processors:
		return both(scanShape{1, 4, 1, false})
	case op.DH == 96:
		return both(scanShape{2, 4, 1, false})
	case op.DH == 128 && clusters && pairs <= processors/2:
		return both(scanShape{1, 4, 2, false})
	case op.DH == 128 && clusters && fast:
		return both(scanShape{8, 4, 2, true})
	case op.DH == 128 && clusters:
		return both(scanShape{2, 4, 2, false})
	case op.DH == 256 && clusters && fast:
		return both(scanShape{8, 4, 8, true})
	case op.DH == 256 && clusters && pairs <= processors/2:
		return scanShape{4, 8, 8, false}, scanShape{2, 8, 8, false}, true
	case op.DH == 256 && clusters:
		return both(scanShape{4, 8, 8, false})
	}
	return forward, backward, false
}

func (s scanShape) grid(op ops.SLSTM) grid {
	return grid{x: op.NH * s.blocks, y: (op.B + s.rows - 1) / s.rows, threads: op.DH / s.blocks * s.lanes}
}

func (s scanShape) module(op ops.SLSTM) string {
	switch {
	case s.half:
		return fmt.Sprintf("slstm_%d_half", op.DH)
	case s.blocks > 1:
		return fmt.Sprintf("slstm_%d_cluster", op.DH)
	}
	return fmt.Sprintf("slstm_%d", op.DH)
}

// kernel is the scan's name in its module, from the beginning that it has.
func (s scanShape) kernel(direction string) string {
	if s.half {
		return "scan_half" + direction
	}
	return fmt.Sprintf("scan%s_%d_%d", direction, s.rows, s.lanes)
}

// ringSteps is the number of steps whose operands a scan has under way, of backSize
// bytes a thread and sequence when it goes back.
const (
	ringSteps = 4
	backSize  = 28
)

// shared and sharedBack are the bytes of dynamic shared memory that slstm_scan.cuh and
// slstm_half.cuh lay out.
func (s scanShape) shared(op ops.SLSTM) int {
	if !s.half {
		return 0
	}
	return 2*s.rows*(op.DH+8)*2 + ringSteps*4*s.rows*(op.DH/s.blocks+4)*4
}

func (s scanShape) sharedBack(op ops.SLSTM) int {
	units := op.DH / s.blocks
	if !s.half {
		return ringSteps * units * s.lanes * backSize
	}
	return 2*s.rows*(4*units+8)*2 + 2*op.DH*4*8 + ringSteps*2*units*s.lanes*backSize
}

// splitTape cuts the tape into {s, z, o, 1 − σ(f~)} and {c, n}.
func (b *binder) splitTape(op ops.SLSTM, tape address) (gates, memories address) {
	return tape, b.at(tape, 4*op.B*op.T*op.NH*op.DH)
}

func (b *binder) scan(op ops.SLSTM, shape scanShape) {
	s := scanArgs{b: int64(op.B), t: int64(op.T), nh: int64(op.NH), x: [4]address(b.readMany(4)), r: b.read(), bias: b.read()}
	s.state = b.readIf(op.State)
	s.resets = b.readIf(op.Resets)
	s.y, s.next = b.write(), b.write()
	s.gates, s.memories = b.splitTape(op, b.write())
	at := shape.grid(op)
	at.shared = shape.shared(op)
	b.kernel(shape.module(op), shape.kernel(""), at, byValue(s))
}

func (b *binder) scanBack(op ops.SLSTMGrad, g slstmGrads, shape scanShape) {
	at := shape.grid(op.SLSTM)
	at.shared = shape.sharedBack(op.SLSTM)
	size := 4 * op.NH * op.DH
	part := b.float(at.y * size)
	s := scanBackArgs{
		b: int64(op.B), t: int64(op.T), nh: int64(op.NH), clip: op.Clip, resets: g.resets, r: g.r, state: g.state, next: g.next,
		dy: g.dy, dnext: g.dnext, dx: g.dx, dstate: g.dstate, dbias: part,
	}
	s.gates, s.memories = b.splitTape(op.SLSTM, g.tape)
	b.kernel(shape.module(op.SLSTM), shape.kernel("_back"), at, byValue(s))
	b.sumParts(part, g.dbias, at.y, size)
}

// scanWeightGrad is slstmWeightGrad for the widths that have a scan: one product, by
// stretches of rows that fill the card.
func (b *binder) scanWeightGrad(op ops.SLSTM, g slstmGrads) {
	const outputs = 128                                                     // of a tile
	kernel, threads, inputs, blocks, shared := "weight_grad", 256, 32, 4, 0 // inputs of a tile, blocks a processor
	switch {
	case b.d.precision != Float32:
		kernel, inputs, blocks = "weight_grad_fast", min(op.DH, 128), 2
		threads = map[int]int{32: 128, 64: 256, 96: 384, 128: 256}[inputs]
		shared = 3 * 16 * (inputs + outputs + 16) * 4 // stages, rows, padded columns
	case op.DH >= 96:
		inputs, blocks = min(op.DH, 128), 2
		threads = 2 * inputs
	}
	tiles, size := op.NH*(op.DH/inputs)*(4*op.DH/outputs), 4*op.NH*op.DH*op.DH
	parts, length := b.fullStretches(tiles, blocks, op.B*op.T)
	s := scanWeightArgs{
		b: int64(op.B), t: int64(op.T), nh: int64(op.NH), resets: g.resets, state: g.state, y: g.y, dx: g.dx, stretch: int64(length),
	}
	s.part = b.float(parts * size)
	b.kernel(fmt.Sprintf("slstm_weights_%d", op.DH), kernel, grid{x: tiles, y: parts, threads: threads, shared: shared}, byValue(s))
	b.sumParts(s.part, g.dr, parts, size)
}

// fullStretches cuts rows into as many stretches, of a multiple of 32 rows, as give
// every processor a number of blocks.
func (b *binder) fullStretches(tiles, blocks, rows int) (parts, length int) {
	parts = max(1, blocks*int(b.d.processors)/tiles)
	length = ((rows+parts-1)/parts + 31) / 32 * 32
	return (rows + length - 1) / length, length
}
