package vec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"unsafe"
)

// longest covers several turns of a loop and every remainder.
const longest = 67

// eachCase calls f with random arguments for every op and length.
func eachCase(f func(o op[float32], n int, v [][]float32)) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, o := range ops[float32]() {
		for n := range longest + 1 {
			if !o.fours || n%4 == 0 {
				f(o, n, random(o, n, r))
			}
		}
	}
}

// TestOpsAgreeWithFloat64: with any set of kernels the results are those of plain
// Go in float64, nearly.
func TestOpsAgreeWithFloat64(t *testing.T) {
	exact := map[string]op[float64]{}
	for _, o := range ops[float64]() {
		exact[o.name] = o
	}
	eachCase(func(o op[float32], n int, v [][]float32) {
		want := clone[float64](v)
		wantSums := exact[o.name].run(want)
		using(func(set string) {
			got := clone[float32](v)
			sums := o.run(got)
			what, largest := fmt.Sprintf("%s %s of %d", o.name, set, n), 10.0
			for i := range want {
				checkNear(t, fmt.Sprintf("%s: vector %d", what, i), got[i], want[i], 10)
				for _, w := range want[i] {
					largest = max(largest, math.Abs(w))
				}
			}
			checkNear(t, what+": sums", sums, wantSums, largest) // their terms may cancel
		})
	})
}

// checkNear allows for the rounding of terms of the size given.
func checkNear(t *testing.T, what string, got []float32, want []float64, size float64) {
	t.Helper()
	for j, w := range want {
		if g := float64(got[j]); g != w && !(math.Abs(g-w) <= 2e-6*(size+math.Abs(w))) {
			t.Fatalf("%s: element %d is %v, want %v", what, j, g, w)
		}
	}
}

// TestSetsAgreeToTheBit: for any numbers, at any alignment.
func TestSetsAgreeToTheBit(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	eachCase(func(o op[float32], n int, v [][]float32) {
		for i := range v {
			for j := range v[i] {
				if n%2 == 1 && r.IntN(3) == 0 { // any bits at all, in every other case
					v[i][j] = math.Float32frombits(r.Uint32())
				}
			}
		}
		var first [][]float32
		using(func(set string) {
			if set == "Go" {
				return
			}
			got := unaligned(v, r)
			got = append(got, o.run(got))
			if first == nil {
				first = got
			}
			checkSame(t, fmt.Sprintf("%s %s of %d", o.name, set, n), got, first)
		})
	})
}

// unaligned copies vectors to places at odd distances from round addresses.
func unaligned(v [][]float32, r *rand.Rand) [][]float32 {
	c := make([][]float32, len(v))
	for i := range v {
		off := r.IntN(16)
		c[i] = make([]float32, off+len(v[i]))[off:]
		copy(c[i], v[i])
	}
	return c
}

// TestInPlace: a vector that is written may be one that is read.
func TestInPlace(t *testing.T) {
	eachCase(func(o op[float32], n int, v [][]float32) {
		if n != 36 || o.apart {
			return
		}
		using(func(set string) {
			reads, writes := roles(o, v)
			for _, w := range writes {
				for _, r := range reads {
					v := clone[float32](v)
					copy(v[w], v[r])
					want := clone[float32](v)
					want = append(want, o.run(want))
					want[r] = want[w]
					v[r] = v[w]
					got := append(v, o.run(v))
					checkSame(t, fmt.Sprintf("%s %s with vector %d in place of %d", o.name, set, w, r), got, want)
				}
			}
		})
	})
}

// roles finds the vectors that are only read and those that are written.
func roles(o op[float32], v [][]float32) (reads, writes []int) {
	after := clone[float32](v)
	o.run(after)
	for i := range v {
		if reflect.DeepEqual(v[i], after[i]) {
			reads = append(reads, i)
		} else {
			writes = append(writes, i)
		}
	}
	return reads, writes
}

// TestShortVectorsPanic: a vector too short is not read beyond its length, though
// there be memory.
func TestShortVectorsPanic(t *testing.T) {
	eachCase(func(o op[float32], n int, v [][]float32) {
		if n != 20 || o.vectors == 1 {
			return
		}
		using(func(set string) {
			refused := 0
			for i := range v {
				short := clone[float32](v)
				short[i] = short[i][:16]
				func() {
					defer func() {
						if recover() != nil {
							refused++
						}
					}()
					o.run(short)
				}()
			}
			if refused != o.vectors-1 { // the others are only longer than the first
				t.Errorf("%s %s refused %d of %d short vectors", o.name, set, refused, o.vectors)
			}
		})
	})
}

// TestEveryKernelIsTested: the ops call each kernel of the table.
func TestEveryKernelIsTested(t *testing.T) {
	if best == nil {
		t.Skip("there are no kernels here")
	}
	defer func(was *table) { best = was }(best)
	spied, called := *best, map[string]bool{}
	fields := reflect.ValueOf(&spied).Elem()
	for i := range fields.NumField() {
		name := fields.Type().Field(i).Name
		field := reflect.NewAt(fields.Field(i).Type(), unsafe.Pointer(fields.Field(i).UnsafeAddr())).Elem()
		kernel := reflect.ValueOf(field.Interface())
		field.Set(reflect.MakeFunc(kernel.Type(), func(args []reflect.Value) []reflect.Value {
			called[name] = true
			return kernel.Call(args)
		}))
	}
	best = &spied
	eachCase(func(o op[float32], n int, v [][]float32) {
		if n == turn {
			o.run(v)
		}
	})
	for i := range fields.NumField() {
		if name := fields.Type().Field(i).Name; !called[name] {
			t.Errorf("no op calls %s", name)
		}
	}
}

// TestRowsGiveTheBitsOfOneByOne: several rows, wherever they are, are each what Quads makes
// of them, and what is between them is left alone.
func TestRowsGiveTheBitsOfOneByOne(t *testing.T) {
	using(func(set string) {
		r := rand.New(rand.NewPCG(7, 8))
		for n := 4; n <= longest; n += 4 {
			for _, rows := range []int{1, 2, 9, 20} {
				xRow, yRow := n+4*r.IntN(3), n+4*r.IntN(3)
				w := random(op[float32]{vectors: 4}, n, r)
				v := random(op[float32]{vectors: 3}, rows*(n+8), r)
				x, got, want := v[0], v[1], slices.Clone(v[1])
				QuadsMany(rows, x[:(rows-1)*xRow+n], xRow, Taps[float32](w), got[:(rows-1)*yRow+n], yRow)
				for i := range rows {
					Quads(x[i*xRow:][:n], Taps[float32](w), want[i*yRow:][:n], false)
				}
				checkSame(t, set+": QuadsMany", [][]float32{got}, [][]float32{want})
			}
		}
	})
}

// TestTwoRowsGiveTheBitsOfOneAndOne: the forms for two rows are for speed alone.
func TestTwoRowsGiveTheBitsOfOneAndOne(t *testing.T) {
	using(func(set string) {
		r := rand.New(rand.NewPCG(5, 6))
		for n := 4; n <= longest; n += 4 {
			v := random(op[float32]{vectors: 8}, n, r)
			for _, add := range []bool{false, true} {
				two, one := clone[float32](v), clone[float32](v)
				QuadsTwo([2][]float32(two), Taps[float32](two[2:]), [2][]float32(two[6:]), add)
				Quads(one[0], Taps[float32](one[2:]), one[6], add)
				Quads(one[1], Taps[float32](one[2:]), one[7], add)
				checkSame(t, set+": QuadsTwo", two, one)
			}
			two, one := clone[float32](v), clone[float32](v)
			QuadsWeightsTwo([2][]float32(two), [2][]float32(two[2:]), Taps[float32](two[4:]))
			QuadsWeights(one[0], one[2], Taps[float32](one[4:]))
			QuadsWeights(one[1], one[3], Taps[float32](one[4:]))
			checkSame(t, set+": QuadsWeightsTwo", two, one)
		}
	})
}

// TestConvolutionKeptOnTheWayBack: it is that of the way forward to the bit, and
// keeping it does not change the gradient.
func TestConvolutionKeptOnTheWayBack(t *testing.T) {
	using(func(set string) {
		r := rand.New(rand.NewPCG(7, 8))
		for n := 1; n <= longest; n++ {
			v := random(op[float32]{vectors: 12}, n, r)
			x, w := Taps[float32](v), Taps[float32](v[4:])
			y, dpre := make([]float32, n), make([]float32, n)
			Conv4(x, w, v[8], y, true)
			Conv4SiLUGrad(x, w, v[8], v[9], dpre, nil)
			Conv4SiLUGrad(x, w, v[8], v[9], v[10], v[11])
			checkSame(t, set, v[10:], [][]float32{dpre, y})
		}
	})
}
