package blas

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"testing"
)

// The checksums of results on every processor that there are kernels for.
const (
	bitsOfSingle = 0x567990f937b0222d
	bitsOfDouble = 0x4c93cd96acf64e6d
)

// TestSameBitsOnEveryProcessor: products with tiles of all shapes, scalar products
// and copies give the bits that are written down here, whatever instruction set
// does them.
func TestSameBitsOnEveryProcessor(t *testing.T) {
	for name, impl := range sets() {
		if impl.single == nil {
			continue // gonum's, which Go compiles to other roundings elsewhere
		}
		if got := bitsOf[float32](impl); got != bitsOfSingle {
			t.Errorf("%s: the checksum for float32 is %#x, want %#x", name, got, uint64(bitsOfSingle))
		}
		if got := bitsOf[float64](impl); got != bitsOfDouble {
			t.Errorf("%s: the checksum for float64 is %#x, want %#x", name, got, uint64(bitsOfDouble))
		}
	}
}

// bitsOf is a checksum of random products.
func bitsOf[T Float](impl BLAS) uint64 {
	r, sum := rand.New(rand.NewPCG(31, 32)), fnv.New64a()
	add := func(x []T) {
		for _, v := range x {
			bits := math.Float64bits(float64(v))
			for range 8 {
				_, _ = sum.Write([]byte{byte(bits)}) // cannot fail
				bits >>= 8
			}
		}
	}
	for at := range 120 {
		g := newGemmCase[T](r, randomOf(r, transposes...), randomOf(r, transposes...),
			1+r.IntN(40), 1+r.IntN(90), 1+r.IntN(90), r.IntN(3), 1.5, randomOf[T](r, 0, 0.25))
		if at%40 == 0 { // several blocks of the inner index
			g = newGemmCase[T](r, g.tA, g.tB, 1+at/20, 70, 1100, 0, 1.5, 0.25)
		}
		for j := range g.c { // NaNs, where nothing is read, are alike
			if g.c[j] != g.c[j] {
				g.c[j] = 0
			}
		}
		add(g.run(gemmOf[T](impl)))
		add(g.run(packedGemm[T](impl)))
	}
	return sum.Sum64()
}
