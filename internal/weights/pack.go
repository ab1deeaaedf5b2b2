package weights

import (
	"encoding/binary"
	"math"

	"github.com/gorgonia-xlstm/xlstm/internal/cores"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// packPiece is how many numbers are packed by one core at a time.
const packPiece = 1 << 12

// Pack writes numbers, whole groups of them, to data and scales in the format's
// layout. The numbers must be finite; magnitudes from 2^127 on may become
// infinite.
func Pack(f ops.Format, numbers []float32, data, scales []byte) {
	cores.Run((len(numbers)+packPiece-1)/packPiece, func(i int) {
		lo, hi := i*packPiece, min(len(numbers), (i+1)*packPiece)
		pack(f, numbers[lo:hi], data[f.RowBytes(lo):], scales[f.ScaleBytes(lo):])
	})
}

// Finite reports whether all numbers are finite.
func Finite(x []float32) bool {
	for _, v := range x {
		if v-v != 0 {
			return false
		}
	}
	return true
}

// FiniteScales reports whether all scales are finite.
func FiniteScales(scales []byte) bool {
	for i := 1; i < len(scales); i += 2 {
		if scales[i]&0x7f == 0x7f && scales[i-1]&0x80 != 0 {
			return false
		}
	}
	return true
}

// pack is Pack in the caller's goroutine.
func pack(f ops.Format, numbers []float32, data, scales []byte) {
	size := f.RowBytes(ops.Group)
	for g := range len(numbers) / ops.Group {
		x := numbers[g*ops.Group:][:ops.Group]
		to := data[g*size:][:size]
		switch f {
		case ops.BF16:
			for i, v := range x {
				binary.LittleEndian.PutUint16(to[2*i:], toBF16(v))
			}
		case ops.Int8:
			binary.LittleEndian.PutUint16(scales[f.ScaleBytes(g*ops.Group):], packInt8(x, to))
		case ops.Int4:
			binary.LittleEndian.PutUint16(scales[f.ScaleBytes(g*ops.Group):], packInt4(x, to))
		}
	}
}

// packInt8 writes a group and returns its scale.
func packInt8(x []float32, to []byte) (scale uint16) {
	s, scale := rounded(abs(extremeOf(x)) / 127)
	inverse := inverseOf(s)
	for i, v := range x {
		to[i] = byte(int8(whole(v, inverse, -127, 127)))
	}
	return scale
}

// int4Starts are what the extreme of an int4 group becomes with each of the scales
// that are tried first. With a negative scale the extreme becomes the integer
// without a counterpart, −8, and in the first case is beyond it.
var int4Starts = [...]float32{-9, -8, -7}

// packInt4 writes a group and returns its scale: the best of those that are tried,
// and of the least-squares scales for the integers that each of them gives.
func packInt4(x []float32, to []byte) (scale uint16) {
	extreme := extremeOf(x)
	least := math.Inf(1)
	var best float64
	try := func(s float32, bits uint16) (next float64) {
		sum, next := int4Errors(x, s)
		if sum < least {
			least, best, scale = sum, inverseOf(s), bits
		}
		return next
	}
	for _, start := range int4Starts {
		s, bits := rounded(extreme / start)
		s, bits = rounded(float32(try(s, bits)))
		try(s, bits)
	}
	for i := range to {
		low, high := whole(x[i], best, -8, 7), whole(x[i+len(to)], best, -8, 7)
		to[i] = byte(int8(low))&15 | byte(int8(high))<<4
	}
	return scale
}

// int4Errors returns the sum of the squared errors that a scale gives, in float64,
// where no square overflows, and the scale that is best for the same integers.
func int4Errors(x []float32, scale float32) (sum, next float64) {
	s, inverse := float64(scale), inverseOf(scale)
	var products, squares float64
	for _, v := range x {
		q := whole(v, inverse, -8, 7)
		// The conversions keep compilers from rounding once for two operations, so
		// that every processor packs to the same bits.
		e := float64(v) - float64(s*q)
		sum += float64(e * e)
		products += float64(float64(v) * q)
		squares += q * q
	}
	if squares == 0 {
		return sum, 0
	}
	return sum, products / squares
}

// extremeOf returns the element of the largest magnitude.
func extremeOf(x []float32) (extreme float32) {
	for _, v := range x {
		if abs(v) > abs(extreme) {
			extreme = v
		}
	}
	return extreme
}

func abs(x float32) float32 { return math.Float32frombits(math.Float32bits(x) &^ (1 << 31)) }

// rounded returns s rounded to a bf16, and its bits.
func rounded(s float32) (float32, uint16) {
	bits := toBF16(s)
	return math.Float32frombits(uint32(bits) << 16), bits
}

// inverseOf returns 1/s, and 0 for 0, so that everything becomes 0.
func inverseOf(s float32) float64 {
	if s == 0 {
		return 0
	}
	return 1 / float64(s)
}

// whole returns the integer from low to high that is nearest to x·inverse.
func whole(x float32, inverse, low, high float64) float64 {
	// Adding and taking away a large number rounds to an integer, of two to the even
	// one. The conversion keeps the compiler from rounding once for both.
	const large = 3 << 51
	q := float64(float64(x)*inverse) + large - large
	if q < low {
		return low
	}
	if q > high {
		return high
	}
	return q
}
