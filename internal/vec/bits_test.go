package vec

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// bitsOfKernels is the checksum of what all kernels compute, on every processor
// that there are kernels for.
const bitsOfKernels = 0xa1cfb380d7c969ab

// TestSameBitsOnEveryProcessor: the kernels of every instruction set give the bits
// that are written down here, for numbers of common size and for any bits at all.
func TestSameBitsOnEveryProcessor(t *testing.T) {
	using(func(set string) {
		if set == "Go" {
			return // which is compiled to other roundings elsewhere
		}
		var all uint64
		for _, o := range ops[float32]() {
			if strings.HasPrefix(o.name, "ReLU") || strings.HasPrefix(o.name, "SELU") {
				continue // there are no kernels
			}
			all ^= bitsOf(o) // the order of ops is none
		}
		if all != bitsOfKernels {
			t.Errorf("%s: the checksum is %#x, want %#x", set, all, uint64(bitsOfKernels))
		}
	})
}

// bitsOf is a checksum of what an op computes. The numbers are made such that no
// compiler can round them in its own way.
func bitsOf(o op[float32]) uint64 {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(o.name)) // cannot fail, nor can those below
	r := rand.New(rand.NewPCG(41, sum.Sum64()))
	for n := 4; n <= longest; n++ {
		if o.fours && n%4 != 0 {
			continue
		}
		v := make([][]float32, o.vectors)
		for i := range v {
			v[i] = make([]float32, n)
			for j := range v[i] {
				v[i][j] = float32(8*r.Float64() - 4)
				if n%3 == 0 && r.IntN(3) == 0 {
					v[i][j] = math.Float32frombits(r.Uint32())
				}
			}
		}
		for _, x := range append(v, o.run(v)) {
			for _, y := range x {
				bits := math.Float32bits(y)
				if y != y {
					bits = 0x7fc00000 // all NaNs are alike
				}
				_, _ = sum.Write(binary.LittleEndian.AppendUint32(nil, bits))
			}
		}
	}
	return sum.Sum64()
}
