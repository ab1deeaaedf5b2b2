//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"slices"
	"unsafe"

	"github.com/gorgonia-xlstm/xlstm/internal/dynlib"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/pkg/errors"
)

// tensorMap is a CUtensorMap, the driver's description of a matrix from which a card's
// copies take boxes.
type tensorMap [16]uint64

// Constants of cuda.h for tensor maps.
const (
	mapBFloat16    = 9
	mapSwizzle128  = 3
	mapPromotion   = 3 // the second-level cache reads 256 bytes at a time
	mapPanel       = 64
	mapAlignment   = 64
	mapInterleaved = 0
	mapFillZero    = 0
)

// panelsOf returns the map of a matrix in bfloat16 of which kernels take panels of 64 rows
// of 64 elements, their 16-byte pieces swizzled by the row number.
func (d *Device) panelsOf(at address, rows, columns int) (tensorMap, error) {
	size, pitch := [2]uint64{uint64(columns), uint64(rows)}, uint64(columns)*2
	box, stride := [2]uint32{mapPanel, mapPanel}, [2]uint32{1, 1}
	room := make([]byte, unsafe.Sizeof(tensorMap{})+mapAlignment)
	m := unsafe.Pointer(&room[mapAlignment-uintptr(unsafe.Pointer(&room[0]))%mapAlignment])
	r := dynlib.Call(d.drv.TensorMapEncodeTiled, uintptr(m), mapBFloat16, 2, uintptr(at), uintptr(unsafe.Pointer(&size[0])), uintptr(unsafe.Pointer(&pitch)),
		uintptr(unsafe.Pointer(&box[0])), uintptr(unsafe.Pointer(&stride[0])), mapInterleaved, mapSwizzle128, mapPromotion, mapFillZero)
	return *(*tensorMap)(m), errors.Wrapf(d.drv.check("cuTensorMapEncodeTiled", r), "cuda: a map of %d x %d elements", rows, columns)
}

// gatedMaps and gatedSizes mirror Maps and Sizes of gated_linears.cu.
type (
	gatedMaps  struct{ x, wg, wu tensorMap }
	gatedSizes struct{ rows, columns, deep, group int32 }
)

const (
	// gatedTile is the number of rows and columns of a tile of gated_linears.cu.
	gatedTile = 128
	// gatedGroup is how many rows of tiles are computed for all columns before the next
	// ones: few enough for their inputs to stay in the second-level cache.
	gatedGroup = 8
	// gatedShared is the kernel's dynamic shared memory: four stages of six panels, the
	// sums of 64 rows, barriers and what aligns them.
	gatedShared = 4*6*8192 + 4*8192 + 256 + 1024
)

// gates reports whether gated_linears.cu computes linear maps and their gate.
func (d *Device) gates(op ops.GatedLinears) bool {
	of := func(m ops.Linear) bool { return !m.Bias && m.In%mapPanel == 0 && m.Outs[0]%mapPanel == 0 }
	return d.precision == BF16 && d.major == 9 && op.Fn == ops.SiLU && op.Fits() && of(op.Maps[0]) && of(op.Maps[1])
}

// gatesWell reports whether the kernel is worth it: where every processor has some tiles.
func (d *Device) gatesWell(op ops.GatedLinears) bool {
	const some = 4
	m := op.Maps[0]
	return d.gates(op) && ceil(m.Rows, gatedTile)*ceil(m.Outs[0], gatedTile) >= some*int(d.processors)
}

// gatedLinears enqueues two linear maps and their gate, as one kernel if it takes the
// operands.
func (b *binder) gatedLinears(op ops.GatedLinears) {
	whole := func(x buffer) bool { return x.dt != ops.BFloat16 }
	if !b.halves() || !b.d.gates(op) || slices.ContainsFunc(b.out, whole) {
		b.mapsAndGate(op)
		return
	}
	m := op.Maps[0]
	x, wg, wu := b.factor(b.readRef(), m.Rows*m.In), b.factor(b.readRef(), m.Outs[0]*m.In), b.factor(b.readRef(), m.Outs[0]*m.In)
	g, u, y := b.writeRefIf(!op.Alone), b.writeRefIf(!op.Alone), b.writeRef()
	maps := gatedMaps{b.panels(x.at, m.Rows, m.In), b.panels(wg.at, m.Outs[0], m.In), b.panels(wu.at, m.Outs[0], m.In)}
	sizes := gatedSizes{rows: int32(m.Rows), columns: int32(m.Outs[0]), deep: int32(m.In), group: gatedGroup}
	b.kernel("gated_linears", "gated_linears", grid{x: int(b.d.processors), threads: 384, shared: gatedShared}, byValue(maps), byValue(sizes), g.at, u.at, y.at)
	if !b.counting && b.err == nil { // no argument is the address of what the maps are of
		t := &b.tasks[len(b.tasks)-1]
		t.spans = b.appendSpans(t.spans, x.at, wg.at, wu.at)
	}
}

// mapsAndGate enqueues the maps and then the gate.
func (b *binder) mapsAndGate(op ops.GatedLinears) {
	if op.Alone {
		n := op.Gate().Shape.Size()
		between := func() buffer {
			r := b.scratch(n)
			if r.half {
				return buffer{at: r.at, dt: ops.BFloat16, n: n}
			}
			return buffer{at: r.at, dt: b.dt, n: n}
		}
		b.out = append([]buffer{between(), between()}, b.out...)
	}
	g, u := refTo(b.out[0]), refTo(b.out[1])
	b.linears(op.Linears)
	b.gated(op.Gate(), g, u, b.writeRef())
}

// panels is panelsOf, but for the map's being empty while counting.
func (b *binder) panels(at address, rows, columns int) (m tensorMap) {
	if !b.counting && b.err == nil {
		m, b.err = b.d.panelsOf(at, rows, columns)
	}
	return m
}
