//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/device/cpu"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/gorgonia-xlstm/xlstm/internal/opstest"
	"github.com/pkg/errors"
)

// opened returns card 0 and skips the test if there is none.
func opened(t *testing.T, p Precision) *Device {
	t.Helper()
	d, err := Open(0, p)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// openedTwice returns card 0 with machine code, if there is any for it, and with PTX
// alone.
func openedTwice(t *testing.T, p Precision) []*Device {
	t.Helper()
	ptx := opened(t, p)
	ptx.modules.read = readPTX
	return []*Device{opened(t, p), ptx}
}

var shape = ops.Shape{37, 29}

func elementwiseCases() (cases []opstest.Example) {
	for _, fn := range []ops.Activation{ops.GELU, ops.ReLU, ops.ReLUSquared, ops.SiLU, ops.SELU, ops.Sigmoid, ops.LogSigmoid, ops.Tanh} {
		cases = append(cases, opstest.Example{Op: ops.Activate{Fn: fn, Shape: shape}, Grad: ops.ActivateGrad{Fn: fn, Shape: shape}},
			opstest.Example{Op: ops.Gated{Fn: fn, Shape: shape}, Grad: ops.GatedGrad{Fn: fn, Shape: shape}})
	}
	for _, fn := range []ops.Activation{ops.SiLU, ops.Sigmoid, ops.GELU} {
		gate := ops.Gated{Fn: fn, Shape: ops.Shape{301, 43}}
		cases = append(cases, opstest.Example{Op: ops.LinearGradAgain{Inner: gate, Map: ops.Linear{Rows: 301, In: 43, Outs: []int{32}}}})
	}
	for _, op := range []ops.Op{
		ops.SoftCap{Cap: 15, Shape: shape}, ops.SoftCapGrad{Cap: 15, Shape: shape}, ops.Add{Shape: shape}, ops.Mul{Shape: shape},
		ops.ForkGrad{N: 2, Shape: shape}, ops.ForkGrad{N: 5, Shape: shape},
		ops.SkipGate{N: 300, D: 70}, ops.SkipGateGrad{N: 300, D: 70},
		ops.Dropout{ID: 3, Rate: 0.3, Shape: shape}, ops.DropoutGrad{ID: 1 << 40, Rate: 0.1, Shape: shape},
		ops.Stack{N: 3, Shape: shape}, ops.Pick{N: 4, K: 2, Shape: shape}, ops.PickGrad{N: 4, K: 3, Shape: shape}, ops.Reshape{From: ops.Shape{4, 6}, To: ops.Shape{24}},
	} {
		cases = append(cases, opstest.Example{Op: op})
	}
	return cases
}

func rowCases() (cases []opstest.Example) {
	for _, n := range []ops.Norm{
		{N: 5, Width: 24, Groups: 1, Eps: 1e-5, Centered: true, Residual: true, Weight: true},
		{N: 300, Width: 96, Groups: 4, Eps: 1e-5, Centered: true, Weight: true},
		{N: 33, Width: 2500, Groups: 1, Eps: 1e-6, Weight: true},
		{N: 7, Width: 40, Groups: 5, Eps: 1e-6},
		{N: 9, Width: 200, Groups: 1, Eps: 1e-6, Centered: true, Weight: true}, {N: 6, Width: 800, Groups: 2, Eps: 1e-6, Weight: true},
		{N: 2, Width: 40000, Groups: 1, Eps: 1e-6, Centered: true, Weight: true},
		{N: 1500, Width: 1024, Groups: 1, Eps: 1e-6, Weight: true}, {N: 1000, Width: 1024, Groups: 4, Eps: 1e-6, Centered: true, Weight: true},
	} {
		gated := ops.GatedNorm{Norm: n, Fn: ops.Sigmoid}
		cases = append(cases, opstest.Example{Op: n, Grad: ops.NormGrad{Norm: n}}, opstest.Example{Op: gated, Grad: ops.GatedNormGrad{GatedNorm: gated}},
			opstest.Example{Op: ops.AddNorm{Norm: n}}, opstest.Example{Op: ops.NormGradAdd{Norm: n}},
			opstest.Example{Op: ops.Twin{Op: ops.AddNorm{Norm: n}}}, opstest.Example{Op: ops.Twin{Op: ops.NormGradAdd{Norm: n}}})
		if n.Width < 2000 {
			cases = append(cases, opstest.Example{Op: ops.LinearGradAgain{Inner: gated, Map: ops.Linear{Rows: n.N, In: n.Width, Outs: []int{48}}}})
			maps := []ops.Linear{{Rows: n.N, In: n.Width, Outs: []int{40}}, {Rows: n.N, In: n.Width, Outs: []int{4}, Bias: true}}
			both := ops.LinearsGradAgain{LinearsGrad: ops.LinearsGrad{Linears: ops.Linears{Maps: maps}, Has: [][]bool{{true}, {true}}}, Norm: n}
			cases = append(cases, opstest.Example{Op: both}, opstest.Example{Op: ops.Twin{Op: both}})
			both.Maps = append(both.Maps, ops.Linear{Rows: n.N, In: n.Width, Outs: []int{16}}, ops.Linear{Rows: n.N, In: n.Width, Outs: []int{n.Width / 8 * 8}})
			both.Has = append(both.Has, []bool{true}, []bool{true})
			cases = append(cases, opstest.Example{Op: both})
		}
	}
	cases = append(cases, opstest.Example{Op: ops.Largest{V: 50304, K: 1}}, opstest.Example{Op: ops.Largest{V: 5000, K: 64}}, opstest.Example{Op: ops.Largest{V: 130000, K: 128}}, opstest.Example{Op: ops.Largest{V: 2048, K: 2048}})
	for _, v := range []int{3, 97, 5000} {
		capped := ops.CappedCrossEntropy{CrossEntropy: ops.CrossEntropy{N: 50, V: v}, Cap: 3}
		cases = append(cases, opstest.Example{Op: capped, Grad: ops.CappedCrossEntropyGrad{CappedCrossEntropy: capped}})
		cases = append(cases, opstest.Example{Op: ops.CrossEntropy{N: 50, V: v}, Grad: ops.CrossEntropyGrad{N: 50, V: v}})
		for _, most := range []float64{0, 3} {
			cases = append(cases, opstest.Example{Op: ops.LossAndGrad{CrossEntropy: ops.CrossEntropy{N: 50, V: v}, Cap: most}})
		}
	}
	for _, v := range []int{8, 4104, 16384, 50304} {
		for _, most := range []float64{0.5, 30} {
			cases = append(cases, opstest.Example{Op: ops.LossAndGrad{CrossEntropy: ops.CrossEntropy{N: 7, V: v}, Cap: most}})
		}
	}
	return cases
}

func linearCases() (cases []opstest.Example) {
	for _, l := range []ops.LinearGrad{
		{Linear: ops.Linear{Rows: 1, In: 7, Outs: []int{5}}, Has: []bool{true}},
		{Linear: ops.Linear{Rows: 300, In: 64, Outs: []int{32, 48}, Bias: true}, Has: []bool{true, true}},
		{Linear: ops.Linear{Rows: 70, In: 33, Outs: []int{8, 9, 10}, Bias: true}, Has: []bool{false, true, false}},
		{Linear: ops.Linear{Rows: 3, In: 4, Outs: []int{8, 9}}, Has: []bool{false, false}},
	} {
		cases = append(cases, opstest.Example{Op: l.Linear, Grad: l})
	}
	for _, h := range []ops.Headwise{
		{N: 300, Heads: 8, In: 4, Out: 4, Stride: 4}, {N: 65, Heads: 3, In: 32, Out: 24, Stride: 24, Bias: true},
		{N: 20, Heads: 2, In: 16, Out: 16, Row: 32, Stride: 64}, {N: 20, Heads: 2, In: 5, Out: 5, Row: 10, Stride: 20, Bias: true},
		{N: 300, Heads: 70, In: 4, Out: 4, Row: 4, Stride: 12, Bias: true}, {N: 300, Heads: 3, In: 33, Out: 40, Row: 8, Stride: 60},
	} {
		cases = append(cases, opstest.Example{Op: h, Grad: ops.HeadwiseGrad{Headwise: h}})
	}
	for _, g := range []ops.MLSTMGatesGrad{
		{MLSTMGates: ops.MLSTMGates{N: 130, NH: 4, Widths: [3]int{32, 32, 48}}, Has: [2]bool{true, true}},
		{MLSTMGates: ops.MLSTMGates{N: 3, NH: 9, Widths: [3]int{5, 6, 7}}, Has: [2]bool{false, true}},
	} {
		cases = append(cases, opstest.Example{Op: g.MLSTMGates, Grad: g})
	}
	for _, g := range []ops.MLSTMGatesGrad{
		{MLSTMGates: ops.MLSTMGates{N: 301, NH: 3, Widths: [3]int{64, 64, 100}}, Has: [2]bool{true, true}},
		{MLSTMGates: ops.MLSTMGates{N: 40, NH: 4, Widths: [3]int{32, 32, 64}}, Has: [2]bool{true, false}},
	} {
		cases = append(cases, opstest.Example{Op: g.MLSTMGates, Grad: g})
	}
	for _, d := range []int{70, 200} {
		cases = append(cases, opstest.Example{Op: ops.Embedding{N: 2600, V: 1100, D: d}, Grad: ops.EmbeddingGrad{N: 2600, V: 1100, D: d}})
	}
	for _, in := range []int{256, 1024, 2048} {
		gates := ops.Linears{Maps: []ops.Linear{{Rows: 301, In: in, Outs: []int{4}, Bias: true}, {Rows: 301, In: in, Outs: []int{40}}, {Rows: 301, In: in, Outs: []int{3, 1}, Bias: true}, {Rows: 301, In: in, Outs: []int{3}}}}
		cases = append(cases, opstest.Example{Op: gates, Grad: ops.LinearsGrad{Linears: gates, Has: [][]bool{{true}, {true}, {true, false}, {true}}}})
	}
	for _, last := range []int{24, 40} { // with maps of few columns, of whose results two have no gradient
		both := ops.Linears{Maps: []ops.Linear{{Rows: 301, In: 256, Outs: []int{40}}, {Rows: 301, In: 256, Outs: []int{4}, Bias: true}, {Rows: 301, In: 256, Outs: []int{2, 1}}, {Rows: 301, In: 256, Outs: []int{last}}}}
		cases = append(cases, opstest.Example{Op: both, Grad: ops.LinearsGrad{Linears: both, Has: [][]bool{{true}, {true}, {false, true}, {true}}}})
	}
	joint := ops.Linears{Maps: []ops.Linear{{Rows: 70, In: 40, Outs: []int{8, 12, 24}}, {Rows: 70, In: 40, Outs: []int{16}, Bias: true}, {Rows: 70, In: 40, Outs: []int{32}}}}
	cases = append(cases, opstest.Example{Op: joint, Grad: ops.LinearsGrad{Linears: joint, Has: [][]bool{{true, true, false}, {true}, {true}}}})
	for _, size := range []struct{ rows, in, out int }{{300, 128, 192}, {3, 64, 64}, {1300, 192, 704}, {300, 128, 200}} {
		m := ops.Linear{Rows: size.rows, In: size.in, Outs: []int{size.out}}
		gated := ops.GatedLinears{Linears: ops.Linears{Maps: []ops.Linear{m, m}}, Fn: ops.SiLU}
		cases = append(cases, opstest.Example{Op: gated})
		gated.Alone = true
		cases = append(cases, opstest.Example{Op: gated})
	}
	maps := ops.Linears{Maps: []ops.Linear{{Rows: 300, In: 64, Outs: []int{32, 48}}, {Rows: 300, In: 64, Outs: []int{4}, Bias: true}, {Rows: 300, In: 64, Outs: []int{24}}}}
	cases = append(cases, opstest.Example{Op: maps, Grad: ops.LinearsGrad{Linears: maps, Has: [][]bool{{true, false}, {true}, {true}}}})
	cases = append(cases, opstest.Example{Op: ops.Embedding{N: 2600, V: 5, D: 70}, Grad: ops.EmbeddingGrad{N: 2600, V: 5, D: 70}})
	cases = append(cases, opstest.Example{Op: ops.Embedding{N: 700, V: 11, D: 200}, Grad: ops.EmbeddingGrad{N: 700, V: 11, D: 200}})
	return cases
}

func convCases() (cases []opstest.Example) {
	for _, c := range []ops.Conv{
		{B: 3, T: 17, D: 40, K: 4, SiLU: true, Window: true}, {B: 1, T: 1, D: 8, K: 4, SiLU: true, Window: true}, {B: 2, T: 100, D: 33, K: 3, SiLU: true, Resets: true},
		{B: 2, T: 3, D: 5, K: 6, Window: true, Resets: true}, {B: 2, T: 5, D: 5, K: 1, SiLU: true},
		{B: 3, T: 100, D: 140, K: 4, SiLU: true, Window: true, Resets: true}, {B: 2, T: 2, D: 5, K: 4, Window: true, Resets: true}, {B: 2, T: 33, D: 9, K: 4, Resets: true},
	} {
		for _, has := range [][2]bool{{true, true}, {true, false}, {false, true}} {
			cases = append(cases, opstest.Example{Op: c, Grad: ops.ConvGrad{Conv: c, Has: has}})
		}
	}
	return cases
}

func mlstmCases() (cases []opstest.Example) {
	for _, state := range []bool{false, true} {
		for _, resets := range []bool{false, true} {
			for _, size := range []struct{ b, t, dqk, dhv int }{{2, 1, 8, 16}, {2, 7, 8, 16}, {1, 64, 16, 16}, {2, 130, 24, 40}, {1, 200, 33, 65}, {3, 256, 64, 64}, {1, 600, 8, 24}, {1, 330, 70, 132}, {1, 1100, 8, 24}} {
				m := ops.MLSTM{B: size.b, T: size.t, NH: 2, DQK: size.dqk, DHV: size.dhv, Chunk: 64, ScaleQ: 1, ScaleK: 1 / math.Sqrt(float64(size.dqk)),
					Eps: 1e-6, State: state, Resets: resets}
				cases = append(cases, opstest.Example{Op: m, Grad: ops.MLSTMGrad{MLSTM: m, Has: [4]bool{true, state, state, state}}})
			}
		}
	}
	noH := ops.MLSTM{B: 2, T: 70, NH: 2, DQK: 8, DHV: 8, Chunk: 64, ScaleQ: 1, ScaleK: 1, Eps: 1e-6, State: true}
	return append(cases, opstest.Example{Op: noH, Grad: ops.MLSTMGrad{MLSTM: noH, Has: [4]bool{false, true, true, true}}})
}

// slstmSizes has, for a card of 132 processors, every way to run the sLSTM: several
// widths by steps, and all scans.
var slstmSizes = []struct{ b, t, nh, dh int }{
	{2, 1, 2, 8}, {5, 9, 2, 12}, {2, 30, 1, 300}, {17, 3, 1, 160},
	{9, 40, 3, 32}, {40, 9, 4, 32}, {150, 5, 2, 32}, {3, 60, 2, 64}, {70, 20, 2, 64},
	{5, 30, 2, 96}, {60, 7, 2, 96}, {67, 30, 2, 96}, {5, 30, 2, 128}, {43, 9, 2, 128}, {5, 30, 2, 256}, {43, 7, 2, 256},
}

func slstmCases() (cases []opstest.Example) {
	for _, state := range []bool{false, true} {
		for _, resets := range []bool{false, true} {
			for _, size := range slstmSizes {
				s := ops.SLSTM{B: size.b, T: size.t, NH: size.nh, DH: size.dh, Clip: math.Inf(1), State: state, Resets: resets}
				cases = append(cases, opstest.Example{Op: s, Grad: ops.SLSTMGrad{SLSTM: s, Has: [2]bool{true, state}}})
			}
		}
	}
	for _, dh := range []int{16, 32, 96, 256} {
		clipped := ops.SLSTM{B: 3, T: 20, NH: 2, DH: dh, Clip: 0.1}
		cases = append(cases, opstest.Example{Op: clipped, Grad: ops.SLSTMGrad{SLSTM: clipped, Has: [2]bool{true, false}}})
	}
	return cases
}

// shortSLSTMCases are those of slstmSizes with few steps, which compute-sanitizer takes
// in a minute.
func shortSLSTMCases() (cases []opstest.Example) {
	for _, size := range slstmSizes {
		for _, t := range []int{1, 4} {
			s := ops.SLSTM{B: size.b, T: t, NH: size.nh, DH: size.dh, Clip: 2, State: t > 1, Resets: t > 1}
			cases = append(cases, opstest.Example{Op: s, Grad: ops.SLSTMGrad{SLSTM: s, Has: [2]bool{true, true}}})
		}
	}
	return cases
}

// TestFastScans: with products in half precision, the sLSTM is off by what rounding
// to them is.
func TestFastScans(t *testing.T) {
	ds := openedTwice(t, TF32)
	for _, c := range append(slstmCases(), shortSLSTMCases()...) {
		compare(t, ds, c, 5e-3)
	}
}

// TestShortScans is what compute-sanitizer sees of the sLSTM. On a card with a single
// processor, a block has all rows of the gradient of the recurrent weights; only large
// batches run so. With products in half precision, one of five sequences with heads of
// 128 units would have a step whose two sides of the stabiliser's maximum are closer
// than their error. Its gradient then goes to the other gate, which is no error of the
// kernel, but among so few steps a twentieth of the norm.
func TestShortScans(t *testing.T) {
	for _, p := range []Precision{Float32, TF32} {
		d, full := opened(t, p), opened(t, p)
		full.processors = 1
		for _, on := range []*Device{d, full} {
			for _, c := range shortSLSTMCases() {
				op := c.Op.(ops.SLSTM)
				if on == full && op.B < 40 {
					continue
				}
				t.Run(fmt.Sprintf("%v/heads of %d/%d sequences of %d/%d processors", p, op.DH, op.B, op.T, on.processors), func(t *testing.T) {
					compareIn(t, []*Device{on}, c, map[ops.Dtype]float64{ops.Float32: map[Precision]float64{Float32: 3e-5, TF32: 5e-3}[p]})
				})
			}
		}
	}
}

func lstmCases() (cases []opstest.Example) {
	for _, state := range []bool{false, true} {
		for _, resets := range []bool{false, true} {
			for _, size := range []struct{ b, t, h int }{{2, 1, 8}, {5, 9, 12}, {9, 40, 32}, {3, 60, 64}, {140, 20, 64}, {5, 30, 96}, {40, 30, 128}, {1, 1, 128}, {9, 12, 130}, {1, 1, 200}, {20, 8, 256}, {2, 30, 300}, {3, 5, 520}, {600, 5, 16}} {
				s := ops.LSTM{B: size.b, T: size.t, H: size.h, State: state, Resets: resets}
				cases = append(cases, opstest.Example{Op: s, Grad: ops.LSTMGrad{LSTM: s, Has: [2]bool{true, state}}})
			}
		}
	}
	noH := ops.LSTM{B: 3, T: 20, H: 64, State: true}
	return append(cases, opstest.Example{Op: noH, Grad: ops.LSTMGrad{LSTM: noH, Has: [2]bool{false, true}}})
}

func simplifiedCases() (cases []opstest.Example) {
	for _, state := range []bool{false, true} {
		for _, resets := range []bool{false, true} {
			for _, size := range []struct{ b, t, h int }{{2, 1, 8}, {5, 9, 12}, {9, 20, 64}, {600, 5, 16}} {
				s := ops.Simplified{B: size.b, T: size.t, H: size.h, Eps: 1e-5, State: state, Resets: resets}
				cases = append(cases, opstest.Example{Op: s, Grad: ops.SimplifiedGrad{Simplified: s, Has: [2]bool{true, state}}})
			}
		}
	}
	return cases
}

// TestOperations compares every operation with the CPU's float64, with results and
// workspace poisoned beforehand.
func TestOperations(t *testing.T) {
	ds := openedTwice(t, Float32)
	for _, group := range groupsOfCases {
		t.Run(group.name, func(t *testing.T) {
			for _, c := range group.cases {
				t.Run(kindOf(c.Op), func(t *testing.T) { compare(t, ds, c, group.single) })
			}
		})
	}
}

// TestMLSTMInFloat32IsAsAccurateAsTheCPUs: products of numbers that are split in two
// parts for the tensor cores are no less accurate than those in single precision, up
// to a factor of 10 for what both leave of numbers that cancel.
func TestMLSTMInFloat32IsAsAccurateAsTheCPUs(t *testing.T) {
	d := opened(t, Float32)
	worst := 0.0
	for _, c := range mlstmCases() {
		var results [3]map[string][]float64
		for k, on := range []struct {
			d  device.Device
			dt ops.Dtype
		}{{cpu.Device{}, ops.Float64}, {cpu.Device{}, ops.Float32}, {d, ops.Float32}} {
			var err error
			if results[k], err = c.Run(on.d, on.dt, 1); err != nil {
				t.Fatal(err)
			}
		}
		for name, want := range results[0] {
			there, here := apart(results[1][name], want), apart(results[2][name], want)
			worst = max(worst, here/max(there, 1e-7))
			if !(here <= 10*max(there, 1e-7)) {
				t.Errorf("%s: %s is %.2g away, on the CPU %.2g", ops.Key(c.Op), name, here, there)
			}
		}
	}
	t.Logf("at most %.2g times the CPU's error", worst)
}

// TestMLSTMInTF32 has a wide tolerance for the examples with resets: rows with a small
// |q·n|, of which they have the most, multiply the errors of operands of 11 bits.
func TestMLSTMInTF32(t *testing.T) {
	ds := openedTwice(t, TF32)
	for _, c := range mlstmCases() {
		within := 2e-2
		if c.Op.(ops.MLSTM).Resets {
			within = 0.2
		}
		compareIn(t, ds, c, map[ops.Dtype]float64{ops.Float32: within})
	}
}

func compare(t *testing.T, ds []*Device, c opstest.Example, single float64) {
	t.Helper()
	compareIn(t, ds, c, map[ops.Dtype]float64{ops.Float64: 1e-11, ops.Float32: single})
}

// compareIn compares what each device computes with the CPU's float64. There is no
// machine code for float64.
func compareIn(t *testing.T, ds []*Device, c opstest.Example, types map[ops.Dtype]float64) {
	t.Helper()
	want, err := c.Run(cpu.Device{}, ops.Float64, 1)
	if err != nil {
		t.Fatalf("%s: %v", ops.Key(c.Op), err)
	}
	for dt, within := range types {
		for k, d := range ds {
			if k > 0 && dt == ops.Float64 {
				continue
			}
			got, err := c.Run(d, dt, 1)
			if errors.Is(err, device.ErrUnsupported) {
				continue // symbolic cells are the CPU's alone
			}
			if err != nil {
				t.Fatalf("%s: %v", ops.Key(c.Op), err)
			}
			compareResults(t, fmt.Sprintf("%s, by %s: in %v", ops.Key(c.Op), kernelsOf(k), dt), got, want, within)
		}
	}
}

// kernelsOf names the kernels of device k of openedTwice, and what follows them.
func kernelsOf(k int) string {
	return [...]string{"machine code", "PTX", "machine code on a full card"}[k]
}

func compareResults(t *testing.T, what string, got, want map[string][]float64, within float64) {
	t.Helper()
	for name := range want {
		if name == "tape" { // in the device's own order
			continue
		}
		if off := apart(got[name], want[name]); !(off <= within) {
			t.Errorf("%s %s is %.2g away", what, name, off)
		}
	}
}

// groupsOfCases are the cases of TestOperations.
var groupsOfCases = []struct {
	name   string
	cases  []opstest.Example
	single float64 // what float32 may be off by, relative to the norm
}{
	{"examples", opstest.Examples(), 1e-5}, {"elementwise", elementwiseCases(), 2e-6}, {"rows", rowCases(), 1e-5},
	{"linear", linearCases(), 5e-6}, {"conv", convCases(), 5e-6}, {"mLSTM", mlstmCases(), 3e-5}, {"sLSTM", slstmCases(), 3e-5},
	{"LSTM", lstmCases(), 3e-5}, {"simplified", simplifiedCases(), 3e-5},
}

// kindOf names an operation without its sizes.
func kindOf(op ops.Op) string {
	if twin, ok := op.(ops.Twin); ok {
		return "Twin." + kindOf(twin.Op)
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", op), "ops.")
}

// halfError is what results of the precision BF16 may be off by, relative to the norm:
// the error of the official kernels in bfloat16.
const halfError = 0.013

// TestOperationsInBfloat16 compares every operation that takes operands in bfloat16
// with the CPU's float64: with all those operands stored so, with none, and with some.
func TestOperationsInBfloat16(t *testing.T) {
	ds := openedTwice(t, BF16)
	for _, group := range groupsOfCases {
		t.Run(group.name, func(t *testing.T) {
			for _, c := range group.cases {
				t.Run(kindOf(c.Op), func(t *testing.T) { compareHalf(t, ds, c) })
			}
		})
	}
}

// TestUnreadMemoriesAreNotComputed: a cell whose new state is not read gives the same
// h and leaves the state alone.
func TestUnreadMemoriesAreNotComputed(t *testing.T) {
	for _, p := range []Precision{Float32, BF16} {
		d := opened(t, p)
		for _, steps := range []int{100, 700} {
			op := ops.MLSTM{B: 2, T: steps, NH: 2, DQK: 64, DHV: 64, Chunk: 64, ScaleQ: 1, ScaleK: 0.125, Eps: 1e-6}
			want, err := opstest.Example{Op: op}.Run(d, ops.Float32, 1)
			if err != nil {
				t.Fatal(err)
			}
			got, err := opstest.Example{Op: ops.Spared(op, []bool{false, true, true, true})}.Run(d, ops.Float32, 1)
			if err != nil {
				t.Fatal(err)
			}
			if off := apart(got["h"], want["h"]); off != 0 || !math.IsNaN(got["next C"][5]) || !math.IsNaN(got["next m"][0]) {
				t.Errorf("%v, %d steps: h is %g away; C[5] is %g, m[0] %g", p, steps, off, got["next C"][5], got["next m"][0])
			}
		}
	}
}

// TestTapesChangeNothing: the derivative of a cell gives the same bits from what the
// forward pass has kept.
func TestTapesChangeNothing(t *testing.T) {
	for _, p := range []Precision{Float32, BF16} {
		d := opened(t, p)
		for _, size := range []struct{ t, dqk, dhv int }{{100, 64, 64}, {700, 128, 64}, {300, 24, 40}} {
			for _, state := range []bool{false, true} {
				op := ops.MLSTM{B: 2, T: size.t, NH: 2, DQK: size.dqk, DHV: size.dhv, Chunk: 64, ScaleQ: 1, ScaleK: 0.125, Eps: 1e-6, State: state, Resets: state}
				has := [4]bool{true, state, state, state}
				want, err := opstest.Example{Op: op, Grad: ops.MLSTMGrad{MLSTM: op, Has: has}}.Run(d, ops.Float32, 1)
				if err != nil {
					t.Fatal(err)
				}
				op.Tape = d.Tape(op, ops.Float32)
				got, err := opstest.Example{Op: op, Grad: ops.MLSTMGrad{MLSTM: op, Has: has}}.Run(d, ops.Float32, 1)
				if err != nil {
					t.Fatal(err)
				}
				for name := range want {
					if off := apart(got[name], want[name]); off != 0 {
						t.Errorf("%v, %s: %s is %g away", p, ops.Key(op), name, off)
					}
				}
			}
		}
	}
}

// TestMLSTMInBfloat16 compares the cell with the CPU's float64 where Hopper has
// kernels of its own, and, with widths that are no multiples of 64, where it has not.
// Small cells also run as they would on a card that they fill.
func TestMLSTMInBfloat16(t *testing.T) {
	full := opened(t, BF16)
	full.processors = 1
	ds := append(openedTwice(t, BF16), full)
	for _, resets := range []bool{false, true} {
		for _, size := range []struct {
			b, t, dqk, dhv int
			state          bool
		}{
			{2, 1, 64, 64, true}, {2, 2, 64, 64, false}, {2, 77, 64, 128, true}, {3, 130, 128, 64, false}, {2, 256, 192, 192, false}, {2, 300, 64, 64, true},
			{1, 520, 128, 256, true}, {35, 260, 128, 128, false}, {1, 1030, 64, 128, false}, {1, 2200, 64, 64, true}, {3, 1000, 64, 64, false}, {2, 300, 40, 72, true},
			{1, 300, 256, 128, true}, {2, 700, 256, 256, false}, {1, 1024, 256, 128, true},
		} {
			m := ops.MLSTM{B: size.b, T: size.t, NH: 2, DQK: size.dqk, DHV: size.dhv, Chunk: 64, ScaleQ: 1 / math.Sqrt(float64(size.dqk)), ScaleK: 1,
				Eps: 1e-6, State: size.state, Resets: resets}
			t.Run(fmt.Sprintf("%d of %d, qk %d, v %d, resets %v", size.b, size.t, size.dqk, size.dhv, resets), func(t *testing.T) {
				compareHalf(t, ds, opstest.Example{Op: m, Grad: ops.MLSTMGrad{MLSTM: m, Has: [4]bool{true, size.state, size.state, size.state}}})
			})
		}
	}
}

func compareHalf(t *testing.T, ds []*Device, c opstest.Example) {
	t.Helper()
	want, err := c.Run(cpu.Device{}, ops.Float64, 1)
	if err != nil {
		t.Fatalf("%s: %v", ops.Key(c.Op), err)
	}
	rng := rand.New(rand.NewPCG(3, 5))
	for how, draw := range map[string]func() bool{
		"all": func() bool { return true }, "none": func() bool { return false }, "some": func() bool { return rng.IntN(2) == 0 },
	} {
		for k, d := range ds {
			got, err := c.RunHalf(d, 1, draw)
			if errors.Is(err, device.ErrUnsupported) {
				return
			}
			if err != nil {
				t.Fatalf("%s: %v", ops.Key(c.Op), err)
			}
			compareResults(t, fmt.Sprintf("%s, by %s: with %s of its operands in bfloat16", ops.Key(c.Op), kernelsOf(k), how), got, want, halfError)
		}
	}
}

// apart returns the distance of numbers from the wanted ones, relative to their norm
// or, if that is larger, to the norm of as many numbers of 0.01.
func apart(got, want []float64) float64 {
	var diff, norm float64
	for i, w := range want {
		diff += (got[i] - w) * (got[i] - w)
		norm += w * w
	}
	return math.Sqrt(diff / max(norm, 1e-4*float64(len(want))))
}

// TestSymbolicOperationsAreUnsupported: the cause of their error is ErrUnsupported.
func TestSymbolicOperationsAreUnsupported(t *testing.T) {
	d := opened(t, Float32)
	if _, err := (opstest.Example{Op: ops.Stabilize{Shape: shape}}).Run(d, ops.Float32, 1); !errors.Is(err, device.ErrUnsupported) {
		t.Errorf("a stabiliser on %s: %v", d.Name(), err)
	}
}
