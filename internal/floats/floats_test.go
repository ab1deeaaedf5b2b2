package floats

import (
	"slices"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// both calls f with a Slice of the same elements in each type.
func both(t *testing.T, f func(t *testing.T, x Slice)) {
	for _, data := range []any{[]float32{1, 2.5, -3, 0}, []float64{1, 2.5, -3, 0}} {
		t.Run(Of(data).Dtype().String(), func(t *testing.T) { f(t, Of(data)) })
	}
}

func wantFloats(t *testing.T, what string, got Slice, want ...float64) {
	t.Helper()
	if !slices.Equal(got.Float64s(), want) {
		t.Errorf("%s: %v, want %v", what, got.Float64s(), want)
	}
}

func TestSliceSharesMemory(t *testing.T) {
	both(t, func(t *testing.T, x Slice) {
		same := Of(x.Data())
		same.Cut(1, 3).Write([]float64{8, 9})
		wantFloats(t, "x", x, 1, 8, 9, 0)
		if x.At(2) != 9 || x.Len() != 4 {
			t.Errorf("element 2 of %d is %v", x.Len(), x.At(2))
		}
		fresh := x.Like(2)
		wantFloats(t, "Like", fresh, 0, 0)
		if fresh.Dtype() != x.Dtype() {
			t.Errorf("Like is of %v", fresh.Dtype())
		}
		x.Float64s()[0] = 7
		wantFloats(t, "x after writing to a copy", x, 1, 8, 9, 0)
	})
}

func TestCopyAndMove(t *testing.T) {
	both(t, func(t *testing.T, x Slice) {
		y := x.Like(4)
		if !y.Copy(x) {
			t.Error("equal types and lengths do not fit")
		}
		wantFloats(t, "copy", y, 1, 2.5, -3, 0)
		y.Move(x.Like(4), 0.5)
		wantFloats(t, "moved", y, 0.5, 1.25, -1.5, 0)
		for _, other := range []Slice{x.Cut(0, 3), {}, Make(ops.Float32, 4), Make(ops.Float64, 4)} {
			if fits := other.Dtype() == x.Dtype() && other.Len() == 4; y.Copy(other) != fits {
				t.Errorf("Copy of %d elements of %v does not return %v", other.Len(), other.Dtype(), fits)
			}
		}
	})
}

func TestAll(t *testing.T) {
	both(t, func(t *testing.T, x Slice) {
		if x.All(func(v float64) bool { return v < 2 }) || !x.All(func(v float64) bool { return v < 3 }) {
			t.Errorf("not the elements of %v", x)
		}
	})
}

func TestScalarsAndOtherTypes(t *testing.T) {
	wantFloats(t, "a float32", Of(float32(2)), 2)
	wantFloats(t, "a float64", Of(2.0), 2)
	if x := Of([]int{1}); x.Len() != 0 || x.Cut(0, 0).Len() != 0 || !x.All(func(float64) bool { return false }) {
		t.Errorf("ints are %v", x)
	}
}
