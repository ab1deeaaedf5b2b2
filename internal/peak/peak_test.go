package peak

import "testing"

// TestLoopCounts: the number of multiply-adds is the one asked for, to a step.
func TestLoopCounts(t *testing.T) {
	if best == nil {
		t.Skip("products have no assembly here")
	}
	for _, n := range []int{1, 1000, 1 << 20} {
		if got := Loop(n); got > max(n, best.each) || got <= n-best.each {
			t.Errorf("asked for %d multiply-adds, %d were done", n, got)
		}
	}
}

// BenchmarkLoop is the rate on all of the cores that -cpu gives it together.
func BenchmarkLoop(b *testing.B) {
	if best == nil {
		b.Skip("products have no assembly here")
	}
	const each = 1 << 20
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			Loop(each)
		}
	})
	b.ReportMetric(2*each*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
}
