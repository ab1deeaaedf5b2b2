package kernels

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestLowerTriangularProducts: for sizes about the blocks', each product is that
// of whole matrices, with whatever lies above the diagonal's blocks.
func TestLowerTriangularProducts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, l := range []int{1, 2, 15, 16, 17, 32, 33, 64, 70} {
		for _, n := range []int{1, 7, 40} {
			random := func(rows, cols int) matrix[float64] {
				return matrix[float64]{normals(r, rows*(cols+2), 1, 0), cols + 2}
			}
			a, b, x, c := random(l, l), random(l, n), random(l, n), random(l, n)
			whole := matrix[float64]{make([]float64, l*l), l}
			for i := range l {
				for j := i + 1; j < l; j++ {
					a.row(i, l)[j] = math.NaN()
				}
				clearAbove(a, i, l)
				copy(whole.row(i, i+1), a.row(i, i+1))
			}
			for name, multiplyBy := range map[string]func(beta float64, c matrix[float64], lower bool){
				"A·B": func(beta float64, c matrix[float64], lower bool) {
					if lower {
						lowerTimes(false, l, n, 0.5, a, b, beta, c)
					} else {
						multiply(false, false, l, n, l, 0.5, whole, b, beta, c)
					}
				},
				"Aᵀ·B": func(beta float64, c matrix[float64], lower bool) {
					if lower {
						lowerTimes(true, l, n, 0.5, a, b, beta, c)
					} else {
						multiply(true, false, l, n, l, 0.5, whole, b, beta, c)
					}
				},
			} {
				for _, beta := range []float64{0, 1} {
					got, want := matrix[float64]{append([]float64{}, c.data...), c.ld}, matrix[float64]{append([]float64{}, c.data...), c.ld}
					multiplyBy(beta, got, true)
					multiplyBy(beta, want, false)
					if d := apart(got.data, want.data); d > 1e-14 {
						t.Errorf("%s with %d×%d and beta %g: %.3g away", name, l, n, beta, d)
					}
				}
			}
			got, want := random(l, l), random(l, l)
			lowerOf(l, n, 0.5, b, x, got)
			multiply(false, true, l, l, n, 0.5, b, x, 0, want)
			for i := range l {
				if d := apart(got.row(i, i+1), want.row(i, i+1)); d > 1e-14 {
					t.Errorf("row %d of B·Xᵀ with %d×%d: %.3g away", i, l, n, d)
				}
			}
		}
	}
}
