package blas

import "testing"

// TestEverySetHasAName, which users see.
func TestEverySetHasAName(t *testing.T) {
	for set, impl := range sets() {
		if impl.Kernels() == "" {
			t.Errorf("%s has none", set)
		}
	}
}
