package testutil

import "testing"

func TestFencesSeeWritesBesideACopy(t *testing.T) {
	f := NewFences(t, 7.0)
	for _, atEnd := range []bool{false, true} {
		for _, n := range []int{0, 3, 1000, 2} {
			x := f.Copy(1, make([]float64, n), atEnd)
			if len(x) != n || !f.Intact(1) {
				t.Errorf("%d of %d elements, intact: %v", len(x), n, f.Intact(1))
			}
		}
	}
	x := f.Copy(0, []float64{1, 2}, false)
	x[1] = 5
	if !f.Intact(0) {
		t.Error("a write to the copy counts")
	}
	x[:3][2] = 5
	if f.Intact(0) {
		t.Error("a write behind the copy is not seen")
	}
}
