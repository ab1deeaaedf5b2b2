package weights

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// batchOf returns n vectors for products with m.
func batchOf(m Matrix, n int, x []float32) *Batch {
	b := new(Batch)
	b.Set(m.Format, n, m.In, x)
	return b
}

// eachBatch calls f, with each set of kernels, with matrices of both formats with
// integers, of numbers of rows and groups that fill tiles and registers or do not, and
// n vectors for each.
func eachBatch(t *testing.T, f func(set string, m Matrix, n int, x []float32)) {
	t.Helper()
	if len(tileSets()) == 0 {
		t.Skip("there are no kernels here")
	}
	defer func(was *tileTable) { tiled = was }(tiled)
	r := rand.New(rand.NewPCG(11, 12))
	for _, format := range []ops.Format{ops.Int8, ops.Int4} {
		for _, groups := range []int{1, 2, 3, 5, 32, 35} {
			for _, rows := range []int{1, 15, 16, 50} {
				for _, n := range []int{1, 2, 7, 16, 33} {
					in := groups * ops.Group
					m, x := packedOf(format, in, normals(r, rows*in)), normals(r, n*in)
					for name, set := range tileSets() {
						tiled = set
						f(fmt.Sprintf("%v %s", format, name), m, n, x)
					}
				}
			}
		}
	}
}

// products returns what Products is to compute: the sum of a group is exact, and is
// multiplied by the scale of the vector and added, multiplied by that of the matrix,
// to the groups before it, with one rounding for both.
func products(m Matrix, n int, x []float32) []float32 {
	groups, y := m.In/ops.Group, make([]float32, n*m.Rows())
	for t := range n {
		for g := range groups {
			var q [ops.Group]int8
			s := roundGroup(x[t*m.In+g*ops.Group:][:ops.Group], &q)
			for r := range m.Rows() {
				at := r*groups + g
				scaled := float32(float32(m.product(at, q)) * s)
				sum := &y[t*m.Rows()+r]
				*sum = float32(math.FMA(float64(scaled), float64(m.scale(at)), float64(*sum)))
			}
		}
	}
	return y
}

// TestProductsAreExactByGroups: the kernels give the bits that their description in Go
// gives, and leave what is between the rows of y as it is.
func TestProductsAreExactByGroups(t *testing.T) {
	eachBatch(t, func(set string, m Matrix, n int, x []float32) {
		const gap, untouched = 3, 12345
		want, ld := products(m, n, x), m.Rows()+gap
		y := slices.Repeat([]float32{untouched}, n*ld)
		m.Products(batchOf(m, n, x), y, ld)
		for i, v := range y {
			w := float32(untouched)
			if r := i % ld; r < m.Rows() {
				w = want[i/ld*m.Rows()+r]
			}
			if math.Float32bits(v) != math.Float32bits(w) {
				t.Fatalf("%s: product of vector %d of %d with row %d of %d, of %d numbers, is %v, want %v", set, i/ld, n, i%ld, m.Rows(), m.In, v, w)
			}
		}
	})
}

// TestProductsAgreeWithDots except for the order of sums.
func TestProductsAgreeWithDots(t *testing.T) {
	eachBatch(t, func(set string, m Matrix, n int, x []float32) {
		y, one := make([]float32, n*m.Rows()), make([]float32, m.Rows())
		m.Products(batchOf(m, n, x), y, m.Rows())
		for v := range n {
			m.Dots(vectorOf(m, x[v*m.In:][:m.In]), one)
			for r, want := range one {
				if got := y[v*m.Rows()+r]; math.Abs(float64(got-want)) > 1e-6*float64(m.In) {
					t.Fatalf("%s: product of vector %d with row %d is %v, and alone %v", set, v, r, got, want)
				}
			}
		}
	})
}

// TestIntegersOfABatchAtTheirLimits: all patterns of bytes, and the greatest integers
// in all places, where sums of 16 bits are fullest; groups of zeros, and such that are
// not finite.
func TestIntegersOfABatchAtTheirLimits(t *testing.T) {
	eachBatch(t, func(set string, m Matrix, n int, x []float32) {
		x = slices.Clone(x)
		for _, greatest := range []bool{false, true} {
			for i := range m.Data {
				m.Data[i] = byte(i * 37)
				if greatest {
					m.Data[i] = map[ops.Format]byte{ops.Int8: 0x7f, ops.Int4: 0x77}[m.Format]
				}
			}
			for i := range x {
				x[i] = float32(127 * (i%3 - 1))
				if greatest {
					x[i] = float32(127 - 254*(i/ops.Group%2))
				}
			}
			if !greatest {
				clear(x[:ops.Group])
				x[len(x)-1] = float32(math.Inf(1))
			}
			y := make([]float32, n*m.Rows())
			m.Products(batchOf(m, n, x), y, m.Rows())
			for i, want := range products(m, n, x) {
				if y[i] != want && (y[i] == y[i] || want == want) {
					t.Fatalf("%s: product %d is %v, want %v", set, i, y[i], want)
				}
			}
			if last := y[len(y)-1]; !greatest && last == last {
				t.Fatalf("%s: an infinity among x gives %v", set, last)
			}
		}
	})
}

// TestBatchesOfOtherSizesPanic: nothing is read or written beyond a slice's length.
// There are no batches of floats.
func TestBatchesOfOtherSizesPanic(t *testing.T) {
	eachBatch(t, func(set string, m Matrix, n int, x []float32) {
		b, y := batchOf(m, n, x), make([]float32, n*m.Rows())
		short := m
		short.Scales = m.Scales[:len(m.Scales)-2]
		for what, f := range map[string]func(){
			"x":      func() { batchOf(m, n, x[1:]) },
			"batch":  func() { m.Products(new(Batch), y, m.Rows()) },
			"y":      func() { m.Products(b, y[1:], m.Rows()) },
			"ld":     func() { m.Products(b, y, m.Rows()-1) },
			"scales": func() { short.Products(b, y, m.Rows()) },
		} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s: a wrong %s is accepted", set, what)
					}
				}()
				f()
			}()
		}
	})
	testutil.Equal(t, "batches of bf16", Batches(ops.BF16), false)
}

// BenchmarkProducts measures the products of a matrix, which is far from the
// processor, with so many vectors on one core, in multiply-adds; the matrix is
// one of those of a model of seven billion parameters.
func BenchmarkProducts(b *testing.B) {
	defer func(was *tileTable) { tiled = was }(tiled)
	const rows, in = 16384, 4096
	r := rand.New(rand.NewPCG(5, 6))
	for _, format := range []ops.Format{ops.Int8, ops.Int4} {
		few := packedOf(format, in, normals(r, 16*in))
		m := Matrix{Format: format, In: in, Data: slices.Repeat(few.Data, rows/16), Scales: slices.Repeat(few.Scales, rows/16)}
		for name, set := range tileSets() {
			tiled = set
			for _, n := range []int{2, 4, 8, 16, 64, 256} {
				x, y := batchOf(m, n, normals(r, n*in)), make([]float32, n*rows)
				b.Run(fmt.Sprintf("%v/%d/%s", format, n, name), func(b *testing.B) {
					for b.Loop() {
						m.Products(x, y, rows)
					}
					b.ReportMetric(float64(n*rows*in)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "products/ns")
				})
			}
		}
	}
}
