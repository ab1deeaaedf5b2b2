package weights

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// Vector is a vector as it is multiplied with packed matrices of a format. In Int8
// and Int4 it is rounded: each group of 32 numbers to integers from −127 to 127,
// with the scale that makes the largest magnitude 127. The zero Vector is ready for
// Set, and keeps its memory for the next Set.
//
// The kernels read the integers in units of as many groups as 64 bytes of the matrix
// have, two or four, of which a last one is filled up with zeros. A unit is
//
//	64 bytes for Int8, two times 64 for Int4: the integers as the bytes of the
//	    matrix have them, for Int4 those for the lower halves of the bytes first
//	16 int32: what each sum of four products, or of eight, has to be corrected
//	    by where the integers of the matrix are made positive
//	16 float32: the scale for each of these sums
type Vector struct {
	format ops.Format
	n      int
	floats []float32
	units  []byte
}

// layout is how the units of a format are made.
type layout struct {
	groups int // in a unit
	bytes  int // of a unit
	sums   int // of a group
	offset int // that makes the integers of the matrix positive
}

func layoutOf(f ops.Format) layout {
	if f == ops.Int8 {
		return layout{groups: 2, bytes: 3 * 64, sums: 8, offset: 128}
	}
	return layout{groups: 4, bytes: 4 * 64, sums: 4, offset: 8}
}

// Set makes v the vector x, whole groups, for matrices of the format. It keeps x for
// formats without scales.
func (v *Vector) Set(f ops.Format, x []float32) {
	v.format, v.n, v.floats = f, len(x), nil
	if !f.Scaled() {
		v.floats = x
		return
	}
	l, groups := layoutOf(f), len(x)/ops.Group
	units := (groups + l.groups - 1) / l.groups
	v.units = slices.Grow(v.units[:0], units*l.bytes)[:units*l.bytes]
	if groups%l.groups != 0 {
		clear(v.units[(units-1)*l.bytes:])
	}
	if rounding != nil {
		v.round(x, l)
		return
	}
	var q [ops.Group]int8
	for g := range groups {
		s := roundGroup(x[g*ops.Group:][:ops.Group], &q)
		l.put(v.units[g/l.groups*l.bytes:][:l.bytes], g%l.groups, s, &q)
	}
}

// round is the part of Set that rounds, with kernels.
func (v *Vector) round(x []float32, l layout) {
	run, each := rounding.int8, ops.Group
	if v.format == ops.Int4 {
		run, each = rounding.int4, ops.Group/2
	}
	for g := range len(x) / ops.Group {
		unit := v.units[g/l.groups*l.bytes:][:l.bytes]
		run(&x[g*ops.Group:][:ops.Group][0], &unit[g%l.groups*each], &unit[l.bytes-128+g%l.groups*4*l.sums])
	}
}

// put writes group g of a unit.
func (l layout) put(unit []byte, g int, scale float32, q *[ops.Group]int8) {
	corrections := unit[l.bytes-128:]
	per := ops.Group / l.sums // products to a sum
	for i := range l.sums {
		sum := 0
		if l.groups == 2 {
			for k, v := range q[per*i:][:per] {
				unit[g*ops.Group+per*i+k] = byte(v)
				sum += int(v)
			}
		} else {
			for k := range per / 2 {
				at := per/2*i + k
				low, high := q[at], q[at+ops.Group/2]
				unit[g*ops.Group/2+at], unit[64+g*ops.Group/2+at] = byte(low), byte(high)
				sum += int(low) + int(high)
			}
		}
		lane := 4 * (g*l.sums + i)
		binary.LittleEndian.PutUint32(corrections[lane:], uint32(int32(-l.offset*sum)))
		binary.LittleEndian.PutUint32(corrections[64+lane:], math.Float32bits(scale))
	}
}

// group returns the integers of group g and their scale.
func (v *Vector) group(g int) (q [ops.Group]int8, scale float32) {
	l := layoutOf(v.format)
	unit, g := v.units[g/l.groups*l.bytes:][:l.bytes], g%l.groups
	for i := range q {
		at := g*ops.Group + i
		if l.groups == 4 {
			at = i/16*64 + g*16 + i%16
		}
		q[i] = int8(unit[at])
	}
	return q, math.Float32frombits(binary.LittleEndian.Uint32(unit[l.bytes-64+4*g*l.sums:]))
}

// roundGroup writes the integers of a group and returns its scale, which is not a
// number if one of the group is not finite.
func roundGroup(x []float32, q *[ops.Group]int8) (scale float32) {
	var largest uint32
	for _, v := range x {
		largest = max(largest, math.Float32bits(v)&^(1<<31))
	}
	const (
		infinite   = 0xff << 23
		negligible = 0x08 << 23 // a magnitude with a finite inverse
	)
	if largest >= infinite || largest < negligible {
		clear(q[:])
		if largest >= infinite {
			return float32(math.NaN())
		}
		return 0
	}
	top := math.Float32frombits(largest)
	inverse := 127 / top
	for i, v := range x {
		// Adding and taking away a large number rounds to an integer, of two to the
		// even one. The conversions keep the compiler from rounding once for both.
		const large = 3 << 22
		q[i] = int8(float32(float32(v*inverse)+large) - large)
	}
	return top / 127
}

// Round sets dst to x, whole groups, as products with matrices of the format take
// it.
func Round(f ops.Format, x, dst []float32) {
	if !f.Scaled() {
		copy(dst, x)
		return
	}
	var q [ops.Group]int8
	for g := 0; g < len(x); g += ops.Group {
		s := roundGroup(x[g:][:ops.Group], &q)
		for i, v := range q {
			dst[g+i] = s * float32(v)
		}
	}
}
