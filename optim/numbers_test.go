package optim

import "testing"

func TestRowMajor(t *testing.T) {
	for _, c := range []struct {
		shape, strides []int
		want           bool
	}{
		{nil, nil, true},
		{[]int{3}, []int{1}, true},
		{[]int{3}, []int{2}, false},
		{[]int{2, 3}, []int{3, 1}, true},
		{[]int{2, 3}, []int{1, 2}, false},
		{[]int{2, 3}, []int{4, 1}, false},
		{[]int{1, 3}, []int{99, 1}, true},
		{[]int{3, 1}, []int{1, 99}, true},
	} {
		if got := (view{shape: c.shape, strides: c.strides}).rowMajor(); got != c.want {
			t.Errorf("rowMajor of shape %v with strides %v = %v", c.shape, c.strides, got)
		}
	}
}

func TestSameExtents(t *testing.T) {
	for _, c := range []struct {
		a, b []int
		want bool
	}{
		{nil, nil, true},
		{nil, []int{1, 1}, true},
		{[]int{3}, []int{1, 3}, true},
		{[]int{3, 1}, []int{3}, true},
		{[]int{2, 1, 3}, []int{2, 3, 1}, true},
		{[]int{2, 3}, []int{3, 2}, false},
		{[]int{6}, []int{2, 3}, false},
		{[]int{2}, nil, false},
		{nil, []int{2}, false},
	} {
		if got := sameExtents(c.a, c.b); got != c.want {
			t.Errorf("sameExtents(%v, %v) = %v", c.a, c.b, got)
		}
	}
}
