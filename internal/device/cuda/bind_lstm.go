//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"fmt"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// These types mirror the structs LSTM and LSTMBack of lstm.cu.
type (
	lstmArgs struct {
		b, t, h, rows                     int64
		resets                            address
		x, r, bias, state, hs, next, tape address
	}
	lstmBackArgs struct {
		b, t, h, rows                                 int64
		resets, r, state, tape, dh, dnext, dx, dstate address
	}
)

// These types mirror the structs Forward and Backward of lstm_scan.cu.
type (
	lstmScanArgs struct {
		b, t                                      int64
		resets, x, r, bias, state, hs, next, tape address
	}
	lstmScanBackArgs struct {
		b, t                                          int64
		resets, r, state, tape, dh, dnext, dx, dstate address
	}
)

// bindLSTM binds the classic LSTM's cell.
func bindLSTM(b *binder, op ops.Op) bool {
	switch op := op.(type) {
	case ops.LSTM:
		b.lstm(op)
	case ops.LSTMGrad:
		b.lstmGrad(op)
	default:
		return false
	}
	return true
}

// These types mirror the structs LSTM and LSTMBack of lstm_steps.cu.
type (
	lstmStepArgs struct {
		b, t, h                                   int64
		resets, x, r, bias, state, hs, next, tape address
	}
	lstmStepBackArgs struct {
		b, t, h                                       int64
		resets, r, state, tape, dh, dnext, dx, dstate address
	}
)

// onProcessor reports whether a scan that keeps the recurrent weights on the
// processor exists for the operation.
func (b *binder) onProcessor(op ops.LSTM) bool {
	return b.dt == ops.Float32 && (op.H == 32 || op.H == 64 || op.H == 96 || op.H == 128)
}

// scanRegisters is REGISTERS of lstm_scan.cu.
const scanRegisters = 88

// lstmScan enqueues such a scan.
func (b *binder) lstmScan(op ops.LSTM, name string, args structure) {
	b.kernel("lstm_scan", fmt.Sprintf("%s_%d", name, op.H), grid{x: op.B, threads: 4 * op.H, shared: max(0, op.H-scanRegisters) * 4 * op.H * b.size()}, args)
}

// inSteps reports whether the scan takes a launch a step: with so many units one
// block would read more weights in a step than it can hold.
func inSteps(op ops.LSTM) bool { return op.H > 128 }

// lstmSteps enqueues a launch for every step from first on to last, of the kernels of
// lstm_steps.cu with that name.
func (b *binder) lstmSteps(op ops.LSTM, name string, first, last int, args structure) {
	const units, sequences = 4, 16 // of a block
	if op.H%4 == 0 {
		name += "4"
	}
	at := grid{x: (op.H + units - 1) / units, y: (op.B + sequences - 1) / sequences, threads: 256}
	step := 1
	if last < first {
		step = -1
	}
	for t := first; t != last+step; t += step {
		b.kernel("lstm_steps", name, at, args, int64(t))
	}
}

// sequencesPerBlock returns the number of sequences per block of the other scans:
// more of them share what is read of the weights, fewer give more blocks. It is 1, 2
// or 4, of which lstm.cu and simplified.cu know.
func (b *binder) sequencesPerBlock(batch int) int {
	rows := 1
	for rows < 4 && batch/(2*rows) >= int(b.d.processors) {
		rows *= 2
	}
	return rows
}

// lstmGrid returns the grid for blocks of rows sequences, with so many numbers of
// shared memory per sequence and unit.
func (b *binder) lstmGrid(op ops.LSTM, rows, numbers int) grid {
	return grid{x: (op.B + rows - 1) / rows, threads: min(1024, (4*op.H+31)/32*32), shared: numbers * rows * op.H * b.size()}
}

func (b *binder) lstm(op ops.LSTM) {
	x, r, bias, state := b.read(), b.read(), b.read(), b.readIf(op.State)
	resets := b.readIf(op.Resets)
	hs, next, tape := b.write(), b.write(), b.write()
	if b.onProcessor(op) {
		b.lstmScan(op, "scan", byValue(lstmScanArgs{
			b: int64(op.B), t: int64(op.T), resets: resets, x: x, r: r, bias: bias, state: state, hs: hs, next: next, tape: tape,
		}))
		return
	}
	if inSteps(op) {
		args := byValue(lstmStepArgs{
			b: int64(op.B), t: int64(op.T), h: int64(op.H), resets: resets, x: x, r: r, bias: bias, state: state, hs: hs, next: next, tape: tape,
		})
		b.lstmSteps(op, "lstm_step", 0, op.T-1, args)
		b.each("lstm_steps", "lstm_end", op.B*op.H, args)
		return
	}
	rows := b.sequencesPerBlock(op.B)
	b.kernel("lstm", "lstm", b.lstmGrid(op, rows, 6), byValue(lstmArgs{
		b: int64(op.B), t: int64(op.T), h: int64(op.H), rows: int64(rows), resets: resets,
		x: x, r: b.transposed(r, 4*op.H, op.H), bias: bias, state: state, hs: hs, next: next, tape: tape,
	}))
}

func (b *binder) lstmGrad(op ops.LSTMGrad) {
	r, hs, _, tape, state := b.read(), b.read(), b.read(), b.read(), b.readIf(op.State)
	up := b.readSome(op.Has[:])
	resets := b.readIf(op.Resets)
	dx, dr, dbias, dstate := b.write(), b.write(), b.write(), b.writeIf(op.State)
	switch {
	case b.onProcessor(op.LSTM):
		b.lstmScan(op.LSTM, "scan_back", byValue(lstmScanBackArgs{
			b: int64(op.B), t: int64(op.T), resets: resets, r: r, state: state, tape: tape, dh: up[0], dnext: up[1], dx: dx, dstate: dstate,
		}))
	case inSteps(op.LSTM):
		if !op.State {
			dstate = b.float(2 * op.B * op.H)
		}
		args := byValue(lstmStepBackArgs{
			b: int64(op.B), t: int64(op.T), h: int64(op.H), resets: resets,
			r: b.transposed(r, 4*op.H, op.H), state: state, tape: tape, dh: up[0], dnext: up[1], dx: dx, dstate: dstate,
		})
		b.lstmSteps(op.LSTM, "lstm_step_back", op.T-1, -1, args)
	default:
		rows := b.sequencesPerBlock(op.B)
		b.kernel("lstm", "lstm_backward", b.lstmGrid(op.LSTM, rows, 10), byValue(lstmBackArgs{
			b: int64(op.B), t: int64(op.T), h: int64(op.H), rows: int64(rows), resets: resets,
			r: r, state: state, tape: tape, dh: up[0], dnext: up[1], dx: dx, dstate: dstate,
		}))
	}
	b.recurrentGrad(op.LSTM, resets, state, hs, dx, dr)
	b.columnSums(plain(dx), dbias, op.B*op.T, 4*op.H)
}

// recurrentGrad enqueues the gradient of the recurrent weights from those of the
// pre-activations, dx.
func (b *binder) recurrentGrad(op ops.LSTM, resets, state, hs, dx, dr address) {
	steps := op.B * op.T
	before := b.float(steps * op.H)
	b.each("lstm", "lstm_before", steps*op.H, resets, state, hs, before, int64(op.B), int64(op.T), int64(op.H))
	b.multiply(product{m: 4 * op.H, n: op.H, k: steps, a: operand{at: dx, ld: 4 * op.H, trans: true}, b: operand{at: before, ld: op.H}, c: operand{at: dr, ld: op.H}})
}

// transposed enqueues the transpose of a matrix [m,n] and returns it.
func (b *binder) transposed(a address, m, n int) address {
	out := b.float(m * n)
	b.each("lstm", "lstm_transpose", m*n, a, out, int64(m), int64(n))
	return out
}
