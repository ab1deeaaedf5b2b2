package safetensors

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestSavingRoundsToTheNearest number of the encoding.
func TestSavingRoundsToTheNearest(t *testing.T) {
	for h := range 1 << 15 {
		for _, sign := range []uint16{0, 1 << 15} {
			half, brain := uint16(h)|sign, uint16(h)|sign
			if x := fromFloat16(half); x == x && toFloat16(x) != half {
				t.Fatalf("F16 %#x becomes %#x", half, toFloat16(x))
			}
			if x := math.Float32frombits(uint32(brain) << 16); x == x && toBFloat16(x) != brain {
				t.Fatalf("BF16 %#x becomes %#x", brain, toBFloat16(x))
			}
		}
		if h >= 0x7c00 { // infinite
			continue
		}
		// Between two neighbours: the half way to the even one, else the nearest.
		lo, hi := fromFloat16(uint16(h)), fromFloat16(uint16(h+1))
		if h+1 == 0x7c00 {
			hi = 65536
		}
		mid := (lo + hi) / 2
		even := uint16(h + h&1)
		for x, want := range map[float32]uint16{mid: even, math.Nextafter32(mid, 0): uint16(h), math.Nextafter32(mid, 1e9): uint16(h + 1)} {
			if got := toFloat16(x); got != want {
				t.Fatalf("F16: %v becomes %#x, want %#x", x, got, want)
			}
		}
	}
	for x, want := range map[float32]uint16{1.00390625: 0x3f80, 1.01171875: 0x3f82, 1.0039065: 0x3f81, -3.1415927: 0xc049, float32(math.Inf(1)): 0x7f80} {
		if got := toBFloat16(x); got != want {
			t.Errorf("BF16: %v becomes %#x, want %#x", x, got, want)
		}
	}
	for _, x := range []uint32{0x7f800001, 0xffffffff} { // which no rounding makes infinite
		nan := math.Float32frombits(x)
		if h, b := fromFloat16(toFloat16(nan)), math.Float32frombits(uint32(toBFloat16(nan))<<16); h == h || b == b {
			t.Errorf("%#x becomes %v and %v", x, h, b)
		}
	}
}

// FuzzEncodings: what is stored in 16 bits is the nearest that 16 bits hold.
func FuzzEncodings(f *testing.F) {
	f.Add(uint32(0x3f800001))
	f.Fuzz(func(t *testing.T, bits uint32) {
		x := math.Float32frombits(bits)
		if x != x || math.IsInf(float64(x), 0) {
			return
		}
		r := rand.New(rand.NewPCG(uint64(bits), 1))
		h, other := fromFloat16(toFloat16(x)), fromFloat16(uint16(r.IntN(0x7c00)))
		if !math.IsInf(float64(h), 0) && math.Abs(float64(other)-float64(x)) < math.Abs(float64(h)-float64(x)) {
			t.Errorf("F16: %v becomes %v, but %v is nearer", x, h, other)
		}
	})
}
