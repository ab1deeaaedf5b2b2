// Package safetensors reads and writes tensor files in the format in which the
// official implementations store weights. The tensors of an open file stay in
// the file until they are read.
package safetensors

import (
	"encoding/binary"
	"io"
	"math"

	format "github.com/nlpodyssey/safetensors"
	"github.com/pkg/errors"
	"gorgonia.org/tensor"
)

// Encoding is the format of numbers in a safetensors file.
type Encoding string

// The supported encodings.
const (
	F64  Encoding = "F64"  // float64
	F32  Encoding = "F32"  // float32
	F16  Encoding = "F16"  // IEEE half: 11 bits of precision, up to 65504
	BF16 Encoding = "BF16" // the upper half of a float32: 8 bits of precision
)

// Encodings of integers, of which only the bytes can be read and written; see
// Stored.
const (
	I8 Encoding = "I8" // signed bytes
	U8 Encoding = "U8" // unsigned bytes
)

// integers are the traits of the encodings of integers.
var integers = map[Encoding]traits{I8: {format.I8, 1, math.MaxInt8}, U8: {format.U8, 1, math.MaxUint8}}

// traitsOf returns the traits of an encoding of any kind.
func traitsOf(e Encoding) (t traits, ok bool) {
	if t, ok = encodings[e]; !ok {
		t, ok = integers[e]
	}
	return t, ok
}

// traits are what there is to know of an encoding.
type traits struct {
	dtype   format.DType
	width   int     // bytes of a number
	largest float64 // a number up to which none is rounded to infinity
}

var encodings = map[Encoding]traits{
	F64:  {format.F64, 8, math.MaxFloat64},
	F32:  {format.F32, 4, math.MaxFloat32},
	F16:  {format.F16, 2, float64(math.Nextafter32(65520, 0))},
	BF16: {format.BF16, 2, float64(math.Nextafter32(0x1.ffp127, 0))},
}

// EncodingOf returns the encoding that represents every number of an element
// type exactly.
func EncodingOf(dt tensor.Dtype) Encoding {
	if dt == tensor.Float64 {
		return F64
	}
	return F32
}

// Known reports whether the encoding is one of floating-point numbers that can be
// read and written.
func (e Encoding) Known() bool { _, ok := encodings[e]; return ok }

// dtype is the type that keeps every number.
func (e Encoding) dtype() tensor.Dtype {
	if e == F64 {
		return tensor.Float64
	}
	return tensor.Float32
}

// Holds reports whether all numbers of t are finite in the encoding.
func (e Encoding) Holds(t *tensor.Dense) bool {
	if t.Dtype() == tensor.Float64 {
		return allWithin(t.Float64s(), encodings[e].largest)
	}
	return allWithin(t.Float32s(), encodings[e].largest)
}

func allWithin[T float32 | float64](x []T, largest float64) bool {
	for _, v := range x {
		if !(math.Abs(float64(v)) <= largest) { // so that NaN is not
			return false
		}
	}
	return true
}

// encode returns the numbers of t, rounded to the nearest.
func encode(t *tensor.Dense, as Encoding) []byte {
	out := make([]byte, 0, t.Shape().TotalSize()*encodings[as].width)
	if t.Dtype() == tensor.Float64 {
		return appendNumbers(out, t.Float64s(), as)
	}
	return appendNumbers(out, t.Float32s(), as)
}

func appendNumbers[T float32 | float64](out []byte, numbers []T, as Encoding) []byte {
	little := binary.LittleEndian
	switch as {
	case F64:
		for _, x := range numbers {
			out = little.AppendUint64(out, math.Float64bits(float64(x)))
		}
	case F32:
		for _, x := range numbers {
			out = little.AppendUint32(out, math.Float32bits(float32(x)))
		}
	case F16:
		for _, x := range numbers {
			out = little.AppendUint16(out, toFloat16(float32(x)))
		}
	case BF16:
		for _, x := range numbers {
			out = little.AppendUint16(out, toBFloat16(float32(x)))
		}
	}
	return out
}

// readNumbers fills dst with numbers that are next in r.
func readNumbers[T float32 | float64](dst []T, r io.Reader, from Encoding) error {
	const most = 1 << 13 // numbers at once
	if !from.Known() {
		return errors.Errorf("it is of dtype %.20q; only F64, F32, F16 and BF16 can be read as numbers", string(from))
	}
	width := encodings[from].width
	buf := make([]byte, min(len(dst), most)*width)
	for len(dst) > 0 {
		n := min(len(dst), most)
		if _, err := io.ReadFull(r, buf[:n*width]); err != nil {
			return err
		}
		decodeNumbers(dst[:n], buf, from)
		dst = dst[n:]
	}
	return nil
}

// decodeNumbers sets dst to the numbers that b begins with.
func decodeNumbers[T float32 | float64](dst []T, b []byte, from Encoding) {
	little := binary.LittleEndian
	switch from {
	case F64:
		for i := range dst {
			dst[i] = T(math.Float64frombits(little.Uint64(b[8*i:])))
		}
	case F32:
		for i := range dst {
			dst[i] = T(math.Float32frombits(little.Uint32(b[4*i:])))
		}
	case F16:
		for i := range dst {
			dst[i] = T(fromFloat16(little.Uint16(b[2*i:])))
		}
	case BF16:
		for i := range dst {
			dst[i] = T(math.Float32frombits(uint32(little.Uint16(b[2*i:])) << 16))
		}
	}
}

// fromFloat16 widens an IEEE half: a sign, 5 bits of exponent and 10 of fraction.
func fromFloat16(h uint16) float32 {
	sign, exponent, fraction := uint32(h&0x8000)<<16, uint32(h>>10)&31, uint32(h)&1023
	switch exponent {
	case 0: // subnormal, in units of 2^-24
		return math.Float32frombits(sign | math.Float32bits(float32(fraction)*0x1p-24))
	case 31: // infinite or not a number
		return math.Float32frombits(sign | 255<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
}

// toFloat16 rounds to the nearest IEEE half, of two to the even one.
func toFloat16(x float32) uint16 {
	bits := math.Float32bits(x)
	sign, abs := uint16(bits>>16)&0x8000, bits&0x7fffffff
	switch {
	case abs > 0x7f800000: // not a number: quiet, with what fits of its payload
		return sign | 0x7e00 | uint16(abs>>13)&0x1ff
	case abs < 0x38800000: // below 2^-14: subnormal, in units of 2^-24
		return sign | uint16(math.RoundToEven(float64(math.Float32frombits(abs))*0x1p24))
	case abs >= 0x477ff000: // from 65520 on
		return sign | 0x7c00
	}
	// The exponent's bias goes from 127 to 15; a carry out of the fraction goes
	// into the exponent, where it belongs.
	return sign | uint16(roundOff(abs-(127-15)<<23, 13))
}

// toBFloat16 rounds to the nearest number of 8 bits, of two to the even one.
func toBFloat16(x float32) uint16 {
	bits := math.Float32bits(x)
	if bits&0x7fffffff > 0x7f800000 { // not a number, and not to be rounded to one
		return uint16(bits>>16) | 0x40
	}
	return uint16(roundOff(bits, 16))
}

// roundOff drops the lowest n bits of x, rounding to the nearest, of two to the
// even one.
func roundOff(x uint32, n int) uint32 {
	return (x + 1<<(n-1) - 1 + x>>n&1) >> n
}
