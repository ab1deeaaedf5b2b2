//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"fmt"
	"strings"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/pkg/errors"
)

// bindRows binds the operations that reduce rows: norms and the loss.
func bindRows(b *binder, op ops.Op) bool {
	switch op := op.(type) {
	case ops.Norm, ops.AddNorm, ops.GatedNorm, ops.NormGrad, ops.NormGradAdd, ops.GatedNormGrad:
		b.norms(op, false)
	case ops.Twin:
		b.norms(op.Op, true)
	case ops.Largest:
		b.largest(op)
	case ops.CrossEntropy:
		b.crossEntropy("cross_entropy_rows", op, 0)
	case ops.CappedCrossEntropy:
		b.crossEntropy("capped_cross_entropy_rows", op.CrossEntropy, op.Cap)
	case ops.CrossEntropyGrad:
		b.crossEntropyGrad("cross_entropy_grad", op, 0)
	case ops.CappedCrossEntropyGrad:
		b.crossEntropyGrad("capped_cross_entropy_grad", ops.CrossEntropyGrad{N: op.N, V: op.V}, op.Cap)
	case ops.LossAndGrad:
		b.lossAndGrad(op)
	default:
		return false
	}
	return true
}

// norms binds the norms and their derivatives, with a twin of the first result or
// without.
func (b *binder) norms(op ops.Op, twin bool) {
	switch op := op.(type) {
	case ops.Norm:
		b.normForward(op, normPass{x: b.readRef(), w: b.readIf(op.Weight), y: b.writeRef()})
	case ops.AddNorm:
		x, rests := b.readSplit()
		p := normPass{x: x, rests: rests, more: b.readRef(), w: b.readIf(op.Weight)}
		p.sum, p.toRests = b.writeSplit()
		p.y, p.twin = b.writeRef(), b.writeRefIf(twin)
		b.normForward(op.Norm, p)
	case ops.GatedNorm:
		b.normForward(op.Norm, normPass{gate: b.readRef(), x: b.readRef(), w: b.readIf(op.Weight), y: b.writeRef()})
	case ops.NormGrad:
		p := normPass{x: b.readRef(), w: b.readIf(op.Weight), dy: b.readRef()}
		b.writeStream(op.Norm, &p)
		p.twin = b.writeRefIf(twin)
		b.normBackward(op.Norm, p)
	case ops.NormGradAdd:
		p := normPass{x: b.readRef(), w: b.readIf(op.Weight), dy: b.readRef()}
		p.more, p.rests = b.readSplit()
		b.writeStream(op.Norm, &p)
		p.twin = b.writeRefIf(twin)
		b.normBackward(op.Norm, p)
	case ops.GatedNormGrad:
		p := normPass{gate: b.readRef(), x: b.readRef(), w: b.readIf(op.Weight), dy: b.readRef()}
		b.writeGated(op.Norm, &p)
		b.normBackward(op.Norm, p)
	}
}

// largest enqueues a kernel that leaves the largest of every 2048 numbers, until those
// are all.
func (b *binder) largest(op ops.Largest) {
	const atOnce = 2048 // AT_ONCE of largest.cu
	x, values, at := b.read(), b.write(), b.write()
	from, n := address(0), op.V
	if n > atOnce && op.K > atOnce/2 {
		b.err = errors.Errorf("the largest %d numbers; there are kernels for up to %d", op.K, atOnce/2)
		return
	}
	for {
		blocks := (n + atOnce - 1) / atOnce
		g := grid{x: blocks, threads: atOnce / 2}
		if blocks == 1 {
			b.kernel("largest", "largest", g, x, from, int64(n), values, at, address(0), int64(op.K))
			return
		}
		left, places := b.float(blocks*op.K), b.take(4*blocks*op.K)
		b.kernel("largest", "largest", g, x, from, int64(n), left, address(0), places, int64(op.K))
		x, from, n = left, places, blocks*op.K
	}
}

func (b *binder) crossEntropy(kernel string, op ops.CrossEntropy, bound float64) {
	logits, targets, loss := b.readRef(), b.read(), b.write()
	rows := b.double(op.N)
	b.kernel("crossentropy", kernel, grid{x: op.N, threads: rowThreads(op.V)}, logits.arg(), targets, rows, int64(op.V), b.scalar(bound))
	b.kernel("crossentropy", "cross_entropy_mean", grid{x: 1, threads: 1024}, rows, targets, loss, address(0), int64(op.N))
}

func (b *binder) crossEntropyGrad(kernel string, op ops.CrossEntropyGrad, bound float64) {
	logits, targets, g, dlogits := b.readRef(), b.read(), b.read(), b.writeRef()
	count := b.take(4)
	b.kernel("crossentropy", "cross_entropy_mean", grid{x: 1, threads: 1024}, address(0), targets, address(0), count, int64(op.N))
	b.kernel("crossentropy", kernel, grid{x: op.N, threads: rowThreads(op.V)}, logits.arg(), targets, g, count, dlogits.arg(), int64(op.V), b.scalar(bound))
}

// lossAndGrad binds the loss and its derivative, which take the same sums of a row.
func (b *binder) lossAndGrad(op ops.LossAndGrad) {
	logits, targets, g, loss, dlogits := b.readRef(), b.read(), b.read(), b.write(), b.writeRef()
	count, rows := b.take(4), b.double(op.N)
	kernel := "loss_and_grad"
	if op.Cap != 0 {
		kernel = "capped_loss_and_grad"
	}
	b.kernel("crossentropy", "cross_entropy_mean", grid{x: 1, threads: 1024}, address(0), targets, address(0), count, int64(op.N))
	if logits.half && dlogits.half && b.rowsFit(op) {
		b.kernel("loss_row", "loss_row", grid{x: op.N, threads: 512, shared: 2 * op.V}, logits.at, targets, g, count, rows, dlogits.at, int64(op.V), b.scalar(op.Cap))
	} else {
		b.kernel("crossentropy", kernel, grid{x: op.N, threads: rowThreads(op.V)}, logits.arg(), targets, g, count, rows, dlogits.arg(), int64(op.V), b.scalar(op.Cap))
	}
	b.kernel("crossentropy", "cross_entropy_mean", grid{x: 1, threads: 1024}, rows, targets, loss, address(0), int64(op.N))
}

// rowsFit reports whether loss_row.cu takes the rows of a loss in bfloat16: whole eights,
// no more than its threads have pieces for, and two rows at a time in a processor's shared
// memory, of which a block takes a kilobyte more; and a cap that keeps exponentials
// within the range of float32.
func (b *binder) rowsFit(op ops.LossAndGrad) bool {
	const most, bound, own = 512 * 16 * 8, 30, 1024
	return b.dt == ops.Float32 && op.V%8 == 0 && op.V <= most && 0 < op.Cap && op.Cap <= bound && 2*(2*op.V+own) <= int(b.d.sharedMax)+own
}

// rowThreads returns the number of threads for a row of n elements: a multiple of a
// warp, with at least four elements a thread where that leaves a warp.
func rowThreads(n int) int { return min(1024, max(32, (n+3)/4/32*32)) }

// normArgs mirrors the struct Norm of norm.cuh.
type normArgs struct {
	n, groups, width   int64
	eps                float64
	centered, residual int64
	rests, toRests     address
}

// normShape is how the kernels of the norm take its groups.
type normShape struct {
	wide          bool // whether a thread's columns are eights of neighbours
	per           int  // columns of a thread
	lanes, groups int  // threads of a group, and groups of a block
}

// newNormShape gives a group of columns the threads that keep eight columns each where
// those are neighbours, as many as make a block; else a warp, or as many as keep 16
// columns each. A thread has more columns where a block is full.
func newNormShape(width int) (normShape, error) {
	const threads = 256 // of a block, unless a group takes more
	s := normShape{per: 4, lanes: 32}
	if width%8 == 0 {
		for s.per = 8; s.lanes*s.per < width && s.lanes < threads; s.lanes *= 2 {
		}
	}
	for s.lanes*s.per < width && s.per < 16 {
		s.per *= 2
	}
	for s.lanes*s.per < width && s.lanes < threads {
		s.lanes *= 2
	}
	if s.wide = width%8 == 0; s.lanes*s.per < width {
		s.wide, s.per = false, 64
	}
	for s.lanes*s.per < width && s.lanes < 1024 {
		s.lanes *= 2
	}
	s.groups = max(1, threads/s.lanes)
	if s.lanes*s.per < width {
		return s, errors.Errorf("a norm takes groups of %d columns at most on a card, not %d", s.lanes*s.per, width)
	}
	return s, nil
}

// norm returns the shape and the argument of the kernels of a norm's pass.
func (b *binder) norm(op ops.Norm, p normPass) (normShape, structure) {
	s, err := newNormShape(op.Width / op.Groups)
	if err != nil && b.err == nil {
		b.err = err
	}
	return s, byValue(normArgs{int64(op.N * op.Groups), int64(op.Groups), int64(op.Width / op.Groups), op.Eps, int64(flag(op.Centered)), int64(flag(op.Residual)), p.rests, p.toRests})
}

// normPass is a pass of a norm: forward y = norm(x + more)⊙σ(gate), where sum
// receives x + more, and backward dx, to which more is added, dgate and dw, and y,
// perhaps in the memory of dy. The rows of dgate are ldGate elements apart. twin is a copy
// of sum or of dx. rests are those of x or more, and toRests those of sum or dx, where
// these are split. What a pass lacks is zero.
type normPass struct {
	x, more, gate  ref
	w              address
	sum, y, twin   ref
	rests, toRests address
	dy, dx, dgate  ref
	ldGate         int
	dw             address
}

// writeStream takes dx, the gradient of a residual stream, and dw from the outputs.
func (b *binder) writeStream(op ops.Norm, p *normPass) {
	p.dx, p.toRests = b.writeSplit()
	p.dw = b.writeIf(op.Weight)
}

// writeGated takes the results of the derivative of a norm with a gate from the outputs.
func (b *binder) writeGated(op ops.Norm, p *normPass) {
	p.dgate, p.ldGate = b.writeColumns(op.Width)
	p.dx, p.dw = b.writeRef(), b.writeIf(op.Weight)
}

// gateGrad is the struct GateGrad of norm_halves.
type gateGrad struct {
	y  ref
	ld int64
}

// gateArg returns dgate as the argument of a module's kernel.
func (b *binder) gateArg(module string, op ops.Norm, p normPass) structure {
	if strings.HasPrefix(module, "norm_"+halvesKind) {
		return byValue(gateGrad{p.dgate, int64(p.ldGate)})
	}
	if p.ldGate > op.Width && b.err == nil {
		b.err = errColumns
	}
	return p.dgate.arg()
}

// halvesKind is part of the names of modules whose kernels read bfloat16 alone.
const halvesKind = "halves_"

// module returns the name of the kernels' module for a pass that reads these operands.
func (s normShape) module(operands ...ref) string {
	kind := ""
	switch {
	case s.wide && allHalf(operands...):
		kind = halvesKind
	case s.wide:
		kind = "wide_"
	}
	return fmt.Sprint("norm_", kind, s.per)
}

func (b *binder) normForward(op ops.Norm, p normPass) {
	s, args := b.norm(op, p)
	n := op.N * op.Groups
	g := grid{x: ceil(n, s.groups), threads: s.lanes, rows: s.groups, shared: 32 * s.groups * b.size()}
	b.kernel(s.module(p.x, p.more, p.gate), "norm_forward", g, args, p.x.arg(), p.more.arg(), p.w, p.gate.arg(), p.sum.arg(), p.twin.arg(), p.y.arg())
}

func (b *binder) normBackward(op ops.Norm, p normPass) {
	s, args := b.norm(op, p)
	n := op.N * op.Groups
	const resident = 3 // blocks of norm_wide_8 and norm_halves_8 on a processor
	blocks := max(1, min((n+s.groups-1)/s.groups, resident*int(b.d.processors)))
	blocks = (blocks + op.Groups - 1) / op.Groups * op.Groups
	parts, part, shared := blocks, address(0), 64*s.groups
	if op.Groups > 1 {
		parts = blocks * s.groups / op.Groups
	} else if s.groups > 1 {
		shared += s.per * s.lanes
	}
	if op.Weight {
		part = b.float(parts * op.Width)
	}
	g := grid{x: blocks, threads: s.lanes, rows: s.groups, shared: shared * b.size()}
	module := s.module(p.x, p.dy, p.gate)
	b.kernel(module, "norm_backward", g, args, p.x.arg(), p.w, p.dy.arg(), p.more.arg(), p.gate.arg(), p.dx.arg(), p.twin.arg(), b.gateArg(module, op, p), p.y.arg(), part)
	if op.Weight {
		b.sumParts(part, p.dw, parts, op.Width)
	}
}

func flag(x bool) int32 {
	if x {
		return 1
	}
	return 0
}
