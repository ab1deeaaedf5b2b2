package weights

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

var formats = []ops.Format{ops.BF16, ops.Int8, ops.Int4}

// using calls f with each set of kernels that this machine can run, and with none.
func using(f func(set string)) {
	defer func(was *table) { best = was }(best)
	for name, set := range sets() {
		best = set
		f(name)
	}
}

// normals returns numbers that no compiler can round in its own way.
func normals(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// packedOf returns numbers as a matrix.
func packedOf(f ops.Format, in int, numbers []float32) Matrix {
	m := Matrix{Format: f, In: in, Data: make([]byte, f.RowBytes(len(numbers)))}
	if f.Scaled() {
		m.Scales = make([]byte, f.ScaleBytes(len(numbers)))
	}
	Pack(f, numbers, m.Data, m.Scales)
	return m
}

// vectorOf returns x for products with m.
func vectorOf(m Matrix, x []float32) *Vector {
	v := new(Vector)
	v.Set(m.Format, x)
	return v
}

// eachCase calls f with matrices of all formats, of even and odd numbers of
// groups, and a vector for each.
func eachCase(f func(m Matrix, numbers, x []float32)) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, format := range formats {
		for _, groups := range []int{1, 2, 3, 4, 5, 6, 7, 8} {
			for _, rows := range []int{1, 2, 5} {
				numbers := normals(r, rows*groups*ops.Group)
				f(packedOf(format, groups*ops.Group, numbers), numbers, normals(r, groups*ops.Group))
			}
		}
	}
}

// TestRowsAreComputedAsAlone: how many rows there are makes no difference to any of them.
func TestRowsAreComputedAsAlone(t *testing.T) {
	const rows = 11
	r := rand.New(rand.NewPCG(21, 22))
	for _, format := range formats {
		for groups := 1; groups <= 9; groups++ {
			m := packedOf(format, groups*ops.Group, normals(r, rows*groups*ops.Group))
			x := vectorOf(m, normals(r, m.In))
			using(func(set string) {
				y, alone := make([]float32, rows), make([]float32, rows)
				m.Dots(x, y)
				for i := range alone {
					m.Cut(i, i+1).Dots(x, alone[i:i+1])
				}
				if !slices.Equal(y, alone) {
					t.Errorf("%v, %d groups, %s: %v, alone %v", format, groups, set, y, alone)
				}
			})
		}
	}
}

// TestPackedNumbersAreNear: no number is further from its original than half a
// step of its format, or than an int4 that was clipped for the sake of the others.
func TestPackedNumbersAreNear(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, format := range formats {
		for _, size := range []float64{1e-30, 1e-3, 1, 1e20} {
			x := make([]float32, 64*ops.Group)
			for i := range x {
				x[i] = float32(size * r.NormFloat64())
			}
			m, got := packedOf(format, len(x), x), make([]float32, len(x))
			m.Unpack(0, got)
			var squares, errors float64
			for i, v := range x {
				e := math.Abs(float64(got[i] - v))
				squares, errors = squares+float64(v)*float64(v)/size/size, errors+e*e/size/size
				switch format {
				case ops.BF16:
					if e > math.Abs(float64(v))/256 {
						t.Fatalf("bf16 of %v is %v", v, got[i])
					}
				case ops.Int8:
					if s := float64(m.scale(i / ops.Group)); e > 0.51*s+0.01*math.Abs(float64(v)) {
						t.Fatalf("int8 of %v is %v with a scale of %v", v, got[i], s)
					}
				}
			}
			most := map[ops.Format]float64{ops.BF16: 2e-3, ops.Int8: 6e-3, ops.Int4: 0.1}[format]
			if share := math.Sqrt(errors / squares); share > most || share < most/4 {
				t.Errorf("%v of numbers near %g: the error is %.2g of their size, want up to %g", format, size, share, most)
			}
		}
	}
}

// TestPackKeepsWhatAFormatHolds: zeros, and whole numbers times a scale that fits.
func TestPackKeepsWhatAFormatHolds(t *testing.T) {
	for _, format := range formats {
		for _, sign := range []float32{1, -1} {
			x := make([]float32, 2*ops.Group)
			for i := range ops.Group {
				x[i] = sign * 0.5 * float32(i%16-8)
			}
			if format == ops.Int8 {
				x[0] = sign * 0.5 * 127
			}
			got := make([]float32, len(x))
			packedOf(format, len(x), x).Unpack(0, got)
			for i := range x {
				if got[i] != x[i] {
					t.Errorf("%v: %v became %v", format, x[i], got[i])
				}
			}
		}
	}
}

// TestDotsAgreeWithFloat64: with any set of kernels the products are those of the
// packed numbers, nearly.
func TestDotsAgreeWithFloat64(t *testing.T) {
	eachCase(func(m Matrix, _, x []float32) {
		using(func(set string) {
			y, row, x := make([]float32, m.Rows()), make([]float32, m.In), slices.Clone(x)
			m.Dots(vectorOf(m, x), y)
			Round(m.Format, x, x)
			for r := range y {
				m.Unpack(r, row)
				var want, size float64
				for i, v := range row {
					want += float64(v) * float64(x[i])
					size += math.Abs(float64(v) * float64(x[i]))
				}
				if math.Abs(float64(y[r])-want) > 1e-6*size {
					t.Fatalf("%v %s: row %d of %d·%d is %v, want %v", m.Format, set, r, m.Rows(), m.In, y[r], want)
				}
			}
		})
	})
}

// TestVectorsAreRoundedToTheNearest: no number is further from its original than half
// a step of its group, and what products take is what Round gives.
func TestVectorsAreRoundedToTheNearest(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, size := range []float64{1e-45, 1e-37, 1e-20, 1, 1e30} {
		x := make([]float32, 3*ops.Group)
		for i := range x {
			x[i] = float32(size * r.NormFloat64())
		}
		clear(x[ops.Group : 2*ops.Group])
		for _, format := range []ops.Format{ops.Int8, ops.Int4} {
			var v Vector
			v.Set(format, x)
			rounded := make([]float32, len(x))
			Round(format, x, rounded)
			for g := range 3 {
				q, scale := v.group(g)
				largest := 0.0
				for i, n := range q {
					at := g*ops.Group + i
					if scale*float32(n) != rounded[at] {
						t.Fatalf("%v: number %d is %d·%v in a vector, and %v rounded", format, at, n, scale, rounded[at])
					}
					if e := math.Abs(float64(x[at] - rounded[at])); e > 0.501*float64(scale) && e > 1e-35 {
						t.Fatalf("%v: %v is rounded to %v with a scale of %v", format, x[at], rounded[at], scale)
					}
					largest = max(largest, math.Abs(float64(n)))
				}
				if size > 1e-30 && g != 1 && largest != 127 {
					t.Errorf("%v: the largest integer of a group is %v", format, largest)
				}
			}
		}
	}
}

// TestRoundingKernelsGiveTheBitsOfGo: for numbers of all sizes, among them such that
// are halfway between two integers, or not finite.
func TestRoundingKernelsGiveTheBitsOfGo(t *testing.T) {
	defer func(was *roundingTable) { rounding = was }(rounding)
	if rounding == nil {
		t.Skip("there are no kernels here")
	}
	r, kernels := rand.New(rand.NewPCG(9, 10)), rounding
	for trial := range 2000 {
		x := normals(r, (1+trial%5)*ops.Group)
		for i := range x {
			switch trial % 4 {
			case 1:
				x[i] = float32(r.IntN(509)-254) / 2 // up to 127, halves
			case 2:
				x[i] = math.Float32frombits(r.Uint32())
			case 3:
				x[i] *= float32(math.Ldexp(1, r.IntN(250)-140))
			}
		}
		for _, format := range []ops.Format{ops.Int8, ops.Int4} {
			var got, want Vector
			rounding = kernels
			got.Set(format, x)
			rounding = nil
			want.Set(format, x)
			if !slices.Equal(got.units, want.units) {
				t.Fatalf("%v: %v is rounded otherwise by the kernel", format, x)
			}
		}
	}
}

// TestWhatIsNotFiniteStaysSo: an infinity or a NaN in x makes every product NaN.
func TestWhatIsNotFiniteStaysSo(t *testing.T) {
	eachCase(func(m Matrix, _, x []float32) {
		for _, bad := range []float32{float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN())} {
			if m.Format == ops.BF16 {
				continue // as in any product of floats
			}
			x, y := slices.Clone(x), make([]float32, m.Rows())
			x[len(x)-5] = bad
			using(func(set string) {
				if m.Dots(vectorOf(m, x), y); y[0] == y[0] {
					t.Errorf("%v %s: %v among x gives %v", m.Format, set, bad, y[0])
				}
			})
		}
	})
}

// TestUnpackIsExact: every set unpacks to the bits of plain Go, which are those of
// the numbers and scales that are stored.
func TestUnpackIsExact(t *testing.T) {
	eachCase(func(m Matrix, _, _ []float32) {
		want, got := make([]float32, m.In), make([]float32, m.In)
		for r := range m.Rows() {
			for g := range m.In / ops.Group {
				m.unpackGroup(r*m.In/ops.Group+g, (*[ops.Group]float32)(want[g*ops.Group:]))
			}
			using(func(set string) {
				m.Unpack(r, got)
				for i := range want {
					if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
						t.Fatalf("%v %s: number %d of row %d is %v, not %v", m.Format, set, i, r, got[i], want[i])
					}
				}
			})
		}
	})
}

// TestEveryPattern: all bytes stand for what the documentation says.
func TestEveryPattern(t *testing.T) {
	scale := binary.LittleEndian.AppendUint16(nil, toBF16(0.25))
	for b := range 256 {
		for _, format := range []ops.Format{ops.Int8, ops.Int4} {
			m := Matrix{Format: format, In: ops.Group, Data: make([]byte, format.RowBytes(ops.Group)), Scales: scale}
			m.Data[3] = byte(b)
			want := map[int]float32{3: 0.25 * float32(int8(b))}
			if format == ops.Int4 {
				signed := func(q int) float32 { return 0.25 * float32((q+8)%16-8) }
				want = map[int]float32{3: signed(b & 15), 19: signed(b >> 4)}
			}
			using(func(set string) {
				got := make([]float32, ops.Group)
				m.Unpack(0, got)
				for i, v := range got {
					if v != want[i] {
						t.Errorf("%v %s: number %d of pattern %#x is %v, want %v", format, set, i, b, v, want[i])
					}
				}
			})
		}
	}
}

// bitsOfKernels is the checksum of what all kernels compute, on every processor
// that there are kernels for.
const bitsOfKernels = 0x276e3418897f337

// TestSameBitsOnEveryProcessor: the kernels of every instruction set give the bits
// that are written down here.
func TestSameBitsOnEveryProcessor(t *testing.T) {
	using(func(set string) {
		if set == "Go" {
			return // which is compiled to other roundings elsewhere
		}
		sum := fnv.New64a()
		eachCase(func(m Matrix, _, x []float32) {
			y := make([]float32, m.Rows()+m.In)
			m.Dots(vectorOf(m, x), y[:m.Rows()])
			m.Unpack(m.Rows()-1, y[m.Rows():])
			for _, v := range y {
				_, _ = sum.Write(binary.LittleEndian.AppendUint32(nil, math.Float32bits(v))) // cannot fail
			}
		})
		if got := sum.Sum64(); got != bitsOfKernels {
			t.Errorf("%s: the checksum is %#x, want %#x", set, got, uint64(bitsOfKernels))
		}
	})
}

// TestShortVectorsPanic: nothing is read or written beyond a vector's length,
// though there be memory.
func TestShortVectorsPanic(t *testing.T) {
	eachCase(func(m Matrix, _, x []float32) {
		using(func(set string) {
			y, v := make([]float32, m.Rows()), vectorOf(m, x)
			short := m
			short.Scales = m.Scales[:len(m.Scales)/2]
			for what, f := range map[string]func(){
				"x":      func() { m.Dots(vectorOf(m, x[ops.Group:]), y) },
				"format": func() { m.Dots(new(Vector), y) },
				"y":      func() { m.Dots(v, y[:m.Rows()-1]) },
				"dst":    func() { m.Unpack(0, x[:m.In-1]) },
				"scales": func() { short.Dots(v, y) },
			} {
				if what == "scales" && !m.Format.Scaled() {
					continue
				}
				func() {
					defer func() {
						if recover() == nil {
							t.Errorf("%v %s: a short %s is accepted", m.Format, set, what)
						}
					}()
					f()
				}()
			}
		})
	})
}

// BenchmarkDots measures the products of a matrix of some size with one vector,
// in bytes of the matrix.
func BenchmarkDots(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, c := range []struct {
		name     string
		rows, in int
	}{{"near", 64, 512}, {"far", 32768, 4096}} {
		for _, format := range formats {
			m := packedOf(format, c.in, normals(r, c.in))
			all := Matrix{Format: format, In: c.in}
			for range c.rows {
				all.Data, all.Scales = append(all.Data, m.Data...), append(all.Scales, m.Scales...)
			}
			x, y := vectorOf(m, normals(r, c.in)), make([]float32, c.rows)
			using(func(set string) {
				b.Run(format.String()+"/"+c.name+"/"+set, func(b *testing.B) {
					b.SetBytes(int64(len(all.Data) + len(all.Scales)))
					for b.Loop() {
						all.Dots(x, y)
					}
				})
			})
		}
	}
}

// BenchmarkPack measures packing, in numbers.
func BenchmarkPack(b *testing.B) {
	x := normals(rand.New(rand.NewPCG(5, 6)), 1<<18)
	for _, format := range formats {
		data, scales := make([]byte, format.RowBytes(len(x))), make([]byte, format.ScaleBytes(len(x)))
		b.Run(format.String(), func(b *testing.B) {
			for b.Loop() {
				Pack(format, x, data, scales)
			}
			b.ReportMetric(float64(len(x))*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "numbers/ns")
		})
	}
}
