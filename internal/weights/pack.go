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
	extreme := extremeOf(x)
	s, scale := rounded(abs(extreme) / 127)
	for i, v := range x {
		to[i] = byte(int8(whole(v, s, -127, 127)))
	}
	return scale
}

// int4Candidates are what the extreme of an int4 group becomes with each of the
// scales that are tried. With a negative one the extreme becomes the integer
// without a counterpart.
var int4Candidates = [...]float32{-8, -7.75, -7.5, -7.25, -7, -6.75, -6.5, -6.25, -6, -5.75, -5.5, -9, -8.5, 7, 6.5, 7.5}

// packInt4 writes a group and returns its scale.
func packInt4(x []float32, to []byte) (scale uint16) {
	extreme := extremeOf(x)
	least := math.Inf(1) // in float64, where no square overflows
	var best float32
	for _, c := range int4Candidates {
		s, bits := rounded(extreme / c)
		var sum float64
		for _, v := range x {
			e := float64(v) - float64(s)*float64(whole(v, s, -8, 7))
			sum += e * e
		}
		if sum < least {
			least, best, scale = sum, s, bits
		}
	}
	for i := range to {
		low, high := whole(x[i], best, -8, 7), whole(x[i+len(to)], best, -8, 7)
		to[i] = byte(int8(low))&15 | byte(int8(high))<<4
	}
	return scale
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

// whole returns the integer from low to high that is nearest to x/scale, 0 where
// the scale is zero.
func whole(x, scale, low, high float32) float32 {
	if scale == 0 {
		return 0
	}
	q := float32(math.RoundToEven(float64(x / scale)))
	return min(max(q, low), high)
}
