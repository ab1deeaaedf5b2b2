package blas

import (
	"fmt"
	"testing"
	"time"

	"github.com/gorgonia-xlstm/xlstm/internal/peak"
)

// peakCases are squares, and the products of a step of the model B of the
// documentation: forward, gradients of inputs, gradients of weights.
func peakCases() []benchCase {
	cases := []benchCase{{"NN", 64, 64, 64, 1}, {"NN", 256, 256, 256, 1}, {"NN", 512, 512, 512, 1}, {"NN", 1024, 1024, 1024, 1}}
	for _, s := range [][2]int{{768, 384}, {384, 768}, {512, 384}, {384, 512}} { // outputs, inputs
		out, in := s[0], s[1]
		for _, rows := range []int{4096, 256} { // of a batch, of a sequence
			cases = append(cases, benchCase{"NT", rows, out, in, 1}, benchCase{"NN", rows, in, out, 1}, benchCase{"TN", out, in, rows, 1})
		}
	}
	return append(cases, benchCase{"NT", 256, 512, 128, 1}, benchCase{"NN", 256, 128, 512, 1}, benchCase{"TN", 512, 128, 256, 1}, benchCase{"TN", 1024, 256, 256, 1}, benchCase{"TN", 1024, 256, 4096, 1}, benchCase{"NT", 4096, 1536, 384, 1}, benchCase{"TN", 1536, 384, 4096, 1}, benchCase{"TN", 512, 128, 4096, 1}, benchCase{"TN", 128, 256, 4096, 1})
}

// BenchmarkShareOfPeak compares products with loops of independent
// multiply-adds. Both are timed in turn, and the best times compared, so that
// neither other programs nor changes of the clock frequency matter much.
func BenchmarkShareOfPeak(b *testing.B) {
	if peak.Loop(1) == 0 {
		b.Skip("gonum's implementation")
	}
	impl := gemmOf[float32](Implementation())
	for _, c := range peakCases() {
		b.Run(fmt.Sprintf("%s%dx%dx%d", c.form, c.m, c.n, c.k), func(b *testing.B) {
			g := operands[float32](c)
			work := c.m * c.n * c.k
			times := max(1, (1<<22)/work)
			var ours, loop float64 // multiply-adds per second
			for b.Loop() {
				loop = max(loop, rate(func() int { return peak.Loop(1 << 22) }))
				ours = max(ours, rate(func() int {
					for range times {
						g.call(impl)
					}
					return times * work
				}))
			}
			b.ReportMetric(2*ours/1e9, "GFLOP/s")
			b.ReportMetric(2*loop/1e9, "peak-GFLOP/s")
			b.ReportMetric(100*ours/loop, "%-of-peak")
		})
	}
}

// rate is how many of what f counts are done in a second.
func rate(f func() int) float64 {
	began := time.Now()
	n := f()
	return float64(n) / time.Since(began).Seconds()
}
