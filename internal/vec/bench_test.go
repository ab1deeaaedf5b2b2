package vec

import (
	"math/rand/v2"
	"testing"
)

// BenchmarkOps measures every function with every set of kernels. The vectors stay
// in the nearest cache, where a power of two would put all of them in one place.
func BenchmarkOps(b *testing.B) {
	const n = 33 * 16
	for _, o := range ops[float32]() {
		fresh := random(o, n, rand.New(rand.NewPCG(1, 1)))
		v := clone[float32](fresh)
		_, writes := roles(o, fresh)
		using(func(set string) {
			b.Run(o.name+"/"+set, func(b *testing.B) {
				for i := 0; b.Loop(); i++ {
					if i%4 == 0 { // before what a call changes grows, or vanishes
						for _, w := range writes {
							copy(v[w], fresh[w])
						}
					}
					o.run(v)
				}
				b.ReportMetric(n*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "elements/ns")
			})
		})
	}
}
