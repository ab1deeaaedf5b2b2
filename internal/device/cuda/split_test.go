//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// splitNumbers returns the twins of numbers and their rests; see norm.cuh.
func splitNumbers(x []float32) (twins, rests []uint16) {
	for _, v := range x {
		bits := math.Float32bits(v)
		twins, rests = append(twins, uint16((bits+0x8000)>>16)), append(rests, uint16(bits))
	}
	return twins, rests
}

func joinedNumbers(twins, rests []uint16) (x []float32) {
	for i := range twins {
		x = append(x, math.Float32frombits(uint32(twins[i])<<16+uint32(int16(rests[i]))))
	}
	return x
}

// splitCases are operations on streams that their kernels take split.
func splitCases() (cases []ops.Op) {
	for _, width := range []int{24, 256, 1024, 2048, 2104, 4096} {
		n := ops.Norm{N: 301, Width: width, Groups: 1, Eps: 1e-6, Weight: true, Centered: width == 2048}
		maps := ops.LinearsGrad{Linears: ops.Linears{Maps: []ops.Linear{{Rows: n.N, In: width, Outs: []int{40}}, {Rows: n.N, In: width, Outs: []int{24}}}}, Has: [][]bool{{true}, {true}}}
		cases = append(cases, ops.AddNorm{Norm: n}, ops.Twin{Op: ops.AddNorm{Norm: n}}, ops.Twin{Op: ops.NormGrad{Norm: n}},
			ops.NormGradAdd{Norm: n}, ops.Twin{Op: ops.NormGradAdd{Norm: n}}, ops.LinearsGradAgain{LinearsGrad: maps, Norm: n}, ops.Twin{Op: ops.LinearsGradAgain{LinearsGrad: maps, Norm: n}})
	}
	return cases
}

// TestSplitStreams: an operation that reads a stream split, and writes it so where it has a
// twin, gives the same numbers as with streams in float32.
func TestSplitStreams(t *testing.T) {
	for _, d := range openedTwice(t, BF16) {
		for _, op := range splitCases() {
			t.Run(fmt.Sprintf("%s/%v", op.Name(), op.Outputs()[0].Shape), func(t *testing.T) {
				whole, split := onStream(t, d, op, false, false), onStream(t, d, op, true, false)
				mixed := onStream(t, d, op, false, true)
				for k := range whole {
					const within = 1e-4 // without rests, streams are 1e-3 away
					for how, got := range map[string][]float64{"split": split[k], "read as it is, written split": mixed[k]} {
						if off := apart(got, whole[k]); !(off <= within) {
							t.Errorf("%s: result %d is %.2g away", how, k, off)
						}
					}
				}
			})
		}
	}
}

// onStream returns the results of an operation on random numbers, with the stream that it
// reads split or not, and that which it writes split where it can be, if either is set.
func onStream(t *testing.T, d *Device, op ops.Op, reads, writes bool) (results [][]float64) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	in, canWrite := d.Splits(op)
	half := d.Half(op)
	alloc := func(dt ops.Dtype, data any, n int) device.Buffer {
		b := testutil.Must(d.Alloc(dt, n))
		if err := d.Upload(b, data); err != nil {
			t.Fatal(err)
		}
		return b
	}
	var ins, outs []device.Buffer
	for k, arg := range op.Inputs() {
		x := make([]float32, arg.Shape.Size())
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		switch {
		case k == in && reads:
			twins, rests := splitNumbers(x)
			ins = append(ins, splitBuffer(d, alloc(ops.BFloat16, twins, len(x)), alloc(ops.BFloat16, rests, len(x))))
		case half.Reads(k):
			ins = append(ins, alloc(ops.BFloat16, x, len(x)))
		default:
			ins = append(ins, alloc(ops.Float32, x, len(x)))
		}
	}
	split := canWrite && (reads || writes)
	for k, arg := range op.Outputs() {
		dt := ops.Float32
		if half.Writes(k) && k > 0 || k == 0 && split {
			dt = ops.BFloat16
		}
		n := arg.Shape.Size()
		outs = append(outs, alloc(dt, make([]float32, n), n))
	}
	bound := append([]device.Buffer(nil), outs...)
	if split {
		bound[0] = splitBuffer(d, outs[len(outs)-1], outs[0])
	}
	work := testutil.Must(d.Alloc(ops.Float32, max(1, d.Workspace(op, ops.Float32, half))))
	if err := testutil.Must(d.Bind(op, bound, ins, work))(); err != nil {
		t.Fatal(err)
	}
	for k, b := range outs {
		x := make([]float32, b.Len())
		if k == 0 && split {
			x = joinedNumbers(downloaded(t, d, outs[len(outs)-1]), downloaded(t, d, b))
		} else if err := d.Download(x, b); err != nil {
			t.Fatal(err)
		}
		wide := make([]float64, len(x))
		for i, v := range x {
			wide[i] = float64(v)
		}
		results = append(results, wide)
	}
	return results
}

// splitBuffer returns the numbers with these twins and rests.
func splitBuffer(d *Device, twins, rests device.Buffer) device.Buffer {
	return d.AsSplit(buffer{at: rests.(buffer).at, dt: ops.Float32, n: (rests.Len() + 1) / 2}, twins)
}

func downloaded(t *testing.T, d *Device, b device.Buffer) []uint16 {
	t.Helper()
	x := make([]uint16, b.Len())
	if err := d.Download(x, b); err != nil {
		t.Fatal(err)
	}
	return x
}

// TestSplitNumbersKeepEveryBit: a sum with zeros, read split and written split, has the
// bits that it had, or is not a number as before; and so is its twin.
func TestSplitNumbersKeepEveryBit(t *testing.T) {
	d := opened(t, BF16)
	const rows, width = 64, 1024
	op := ops.Twin{Op: ops.AddNorm{Norm: ops.Norm{N: rows, Width: width, Groups: 1, Eps: 1e-6}}}
	r, x := rand.New(rand.NewPCG(3, 4)), make([]float32, rows*width)
	for i := range x {
		bits := r.Uint32()
		if i%4 == 0 {
			bits = bits&^0xffff | uint32([]int{0, 1, 0x7fff, 0x8000, 0x8001, 0xffff}[r.IntN(6)])
		}
		x[i] = math.Float32frombits(bits)
	}
	copy(x, []float32{float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), math.Float32frombits(0x7fffffff), math.Float32frombits(0xffffffff), math.MaxFloat32, math.SmallestNonzeroFloat32})
	whole := testutil.Must(d.Alloc(ops.Float32, len(x)))
	if err := d.Upload(whole, x); err != nil {
		t.Fatal(err)
	}
	halves := func() device.Buffer { return testutil.Must(d.Alloc(ops.BFloat16, len(x))) }
	zeros, y := halves(), halves()
	if err := d.Zero(zeros); err != nil {
		t.Fatal(err)
	}
	from := whole
	for range 2 { // as it is, and split
		twins, rests := halves(), halves()
		to := splitBuffer(d, twins, rests)
		if err := testutil.Must(d.Bind(op, []device.Buffer{to, y, twins}, []device.Buffer{from, zeros}, nil))(); err != nil {
			t.Fatal(err)
		}
		from = to
		upper := downloaded(t, d, twins)
		for i, got := range joinedNumbers(upper, downloaded(t, d, rests)) {
			want, twin := x[i], math.Float32frombits(uint32(upper[i])<<16)
			if want != want && got != got && twin != twin {
				continue
			}
			if want == 0 {
				want = 0 // −0 + 0
			}
			if math.Float32bits(got) != math.Float32bits(want) || !(math.Abs(float64(twin-got)) <= math.Abs(float64(got))/256+1e-40 || math.IsInf(float64(twin), 0)) {
				t.Fatalf("%08x has become %08x with the twin %04x", math.Float32bits(x[i]), math.Float32bits(got), upper[i])
			}
		}
	}
}
