//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// BenchmarkCells times the cells at the sizes of docs/gpu.md, each as a graph, in
// every precision.
func BenchmarkCells(b *testing.B) {
	for _, p := range []Precision{Float32, TF32, BF16} {
		d, err := Open(0, p)
		if err != nil {
			b.Skip(err)
		}
		cell := func(op ops.Op) { bench(b, d, fmt.Sprintf("%v/%s%v", p, op.Name(), sizes(op)), op) }
		for _, s := range []struct{ b, t, nh, dqk, dhv int }{{16, 256, 4, 64, 64}, {16, 256, 4, 192, 192}, {8, 2048, 4, 128, 256}, {8, 8192, 8, 256, 512}} {
			op := ops.MLSTM{B: s.b, T: s.t, NH: s.nh, DQK: s.dqk, DHV: s.dhv, Chunk: 64, ScaleQ: 1, ScaleK: 1 / math.Sqrt(float64(s.dqk)), Eps: 1e-6}
			op.Unread, op.Tape = true, d.Tape(op, ops.Float32) // as in training
			cell(op)
			cell(ops.MLSTMGrad{MLSTM: op, Has: [4]bool{true}})
		}
		for _, dh := range []int{32, 96, 192, 256} {
			op := ops.SLSTM{B: 16, T: 256, NH: 4, DH: dh, Clip: math.Inf(1)}
			cell(op)
			cell(ops.SLSTMGrad{SLSTM: op, Has: [2]bool{true}})
		}
		for _, h := range []int{64, 128, 256, 512} {
			op := ops.LSTM{B: 16, T: 256, H: h}
			cell(op)
			cell(ops.LSTMGrad{LSTM: op, Has: [2]bool{true}})
		}
		if err := d.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func sizes(op ops.Op) string {
	switch op := op.(type) {
	case ops.MLSTM:
		return fmt.Sprintf(" %dx%d heads x%d, qk %d, v %d", op.B, op.NH, op.T, op.DQK, op.DHV)
	case ops.MLSTMGrad:
		return sizes(op.MLSTM)
	case ops.SLSTM:
		return fmt.Sprintf(" %dx%d, %d heads of %d", op.B, op.T, op.NH, op.DH)
	case ops.SLSTMGrad:
		return sizes(op.SLSTM)
	case ops.LSTM:
		return fmt.Sprintf(" %dx%d, %d units", op.B, op.T, op.H)
	case ops.LSTMGrad:
		return sizes(op.LSTM)
	}
	return ""
}

// BenchmarkLinear times the linear maps of the model of 407 M parameters on 16384
// tokens in bfloat16, forward and backward, and reports TFLOP/s.
func BenchmarkLinear(b *testing.B) {
	d, err := Open(0, BF16)
	if err != nil {
		b.Skip(err)
	}
	for _, l := range []ops.Linear{
		{Rows: 16384, In: 1024, Outs: []int{512}}, {Rows: 16384, In: 1024, Outs: []int{1024}}, {Rows: 16384, In: 1024, Outs: []int{4}, Bias: true},
		{Rows: 16384, In: 1024, Outs: []int{2752}}, {Rows: 16384, In: 2752, Outs: []int{1024}}, {Rows: 16384, In: 1024, Outs: []int{50304}},
		{Rows: 16384, In: 1024, Outs: []int{3072}}, {Rows: 16384, In: 1024, Outs: []int{5504}},
	} {
		for _, op := range []ops.Op{l, ops.LinearGrad{Linear: l, Has: []bool{true}}} {
			bench(b, d, fmt.Sprintf("%s%+v", op.Name(), op), op)
		}
	}
	for _, outs := range [][]int{{512, 512, 1024, 4, 4, 1024}, {2752, 2752}} { // of a cell and of a feed-forward layer
		maps, grad := ops.Linears{}, ops.LinearsGrad{}
		for _, width := range outs {
			maps.Maps, grad.Has = append(maps.Maps, ops.Linear{Rows: 16384, In: 1024, Outs: []int{width}, Bias: width < 8}), append(grad.Has, []bool{true})
		}
		grad.Linears = maps
		again := ops.LinearsGradAgain{LinearsGrad: grad, Norm: ops.Norm{N: 16384, Width: 1024, Groups: 1, Eps: 1e-6, Weight: true}}
		for _, op := range []ops.Op{maps, grad, ops.Twin{Op: again}} {
			bench(b, d, fmt.Sprintf("%s %v", op.Name(), outs), op)
		}
	}
	wide := ops.Linear{Rows: 16384, In: 1024, Outs: []int{2752}}
	gated := ops.GatedLinears{Linears: ops.Linears{Maps: []ops.Linear{wide, wide}}, Fn: ops.SiLU}
	bench(b, d, gated.Name(), gated)
	if err := d.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkRows times what the model of 407 M parameters does on 16384 tokens between
// its products and cells, in bfloat16, and reports how many gigabytes of operands a
// second it reads and writes.
func BenchmarkRows(b *testing.B) {
	d, err := Open(0, BF16)
	if err != nil {
		b.Skip(err)
	}
	const rows, width, inner, words = 16384, 1024, 2752, 50304
	norm := ops.Norm{N: rows, Width: width, Groups: 1, Eps: 1e-6, Weight: true}
	gated := ops.GatedNorm{Norm: norm, Fn: ops.Sigmoid}
	gated.Groups = 4
	gate := ops.Gated{Fn: ops.SiLU, Shape: ops.Shape{rows, inner}}
	for _, op := range []ops.Op{
		norm, ops.Twin{Op: ops.AddNorm{Norm: norm}}, ops.Twin{Op: ops.NormGradAdd{Norm: norm}}, gated, ops.GatedNormGrad{GatedNorm: gated}, gate, ops.GatedGrad(gate),
		ops.LossAndGrad{CrossEntropy: ops.CrossEntropy{N: rows, V: words}, Cap: 30}, ops.Embedding{N: rows, V: words, D: width}, ops.EmbeddingGrad{N: rows, V: words, D: width},
		ops.ClipNorm{Sizes: []int{100 << 20}}, ops.AdamStep{Sizes: []int{100 << 20}, Decay: []float64{0.1}, Decoupled: true, Copies: []int{0}},
	} {
		bench(b, d, op.Name(), op)
	}
	if err := d.Close(); err != nil {
		b.Fatal(err)
	}
}

// bench times an operation on random numbers, as a graph, with all operands in
// bfloat16 that may be, and streams split that may be if there is a twin.
func bench(b *testing.B, d *Device, name string, op ops.Op) {
	b.Run(name, func(b *testing.B) {
		check := func(err error) {
			if err != nil {
				b.Helper()
				b.Fatal(err)
			}
		}
		half := d.Half(op)
		var all []device.Buffer
		bytes := 0
		alloc := func(args []ops.Arg, half []bool) (bs []device.Buffer) {
			for k, a := range args {
				dt, n := ops.Float32, a.Shape.Size()
				if k < len(half) && half[k] {
					dt = ops.BFloat16
				}
				if a.Int {
					dt = ops.Int
				}
				buf, err := d.Alloc(dt, n)
				check(err)
				bytes += n * dt.Size()
				if a.Int {
					ids, zipf := make([]int, n), rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.2, 3, 50303) // as in a text
					for i := range ids {
						ids[i] = int(zipf.Uint64())
					}
					check(d.Upload(buf, ids))
					bs = append(bs, buf)
					continue
				}
				piece := make([]float32, min(n, 1<<20))
				for i := range piece {
					piece[i] = rand.Float32() - 0.5
				}
				for at := 0; at < n; at += len(piece) {
					m := min(len(piece), n-at)
					check(d.Upload(buf.Slice(at, m), piece[:m]))
				}
				bs = append(bs, buf)
			}
			all = append(all, bs...)
			return bs
		}
		in, out := alloc(op.Inputs(), half.In), alloc(op.Outputs(), half.Out)
		if k, splits := d.Splits(op); splits {
			if k >= 0 {
				in[k] = d.AsSplit(in[k], alloc(op.Inputs()[k:k+1], []bool{true})[0])
				bytes -= 2 * in[k].Len()
			}
			out[0] = d.AsSplit(out[0], out[len(out)-1])
			bytes -= 2 * out[0].Len()
		}
		var work device.Buffer
		if n := d.Workspace(op, ops.Float32, half); n > 0 {
			var err error
			work, err = d.Alloc(ops.Float32, n)
			check(err)
			all = append(all, work)
		}
		launch, err := d.Bind(op, out, in, work)
		check(err)
		step, err := d.Record([]device.Launch{launch})
		check(err)
		for range 3 {
			check(step())
		}
		check(d.Sync())
		b.ResetTimer()
		for range b.N {
			check(step())
		}
		check(d.Sync())
		if n := op.MulAdds(); n > 0 {
			b.ReportMetric(2e-12*float64(n)*float64(b.N)/b.Elapsed().Seconds(), "TFLOP/s")
		} else {
			b.ReportMetric(1e-9*float64(bytes)*float64(b.N)/b.Elapsed().Seconds(), "GB/s")
		}
		b.StopTimer()
		for _, x := range all {
			check(d.Free(x))
		}
	})
}

// BenchmarkSequence times the pass over a token of the model of 407 M parameters.
func BenchmarkSequence(b *testing.B) {
	d, err := Open(0, BF16)
	if err != nil {
		b.Skip(err)
	}
	defer d.Close()
	model := func(at address) *token { return generated(at, ops.BFloat16, 24, 1024, 2752, 50304) }
	n := int(model(0).free)
	memory, err := d.Alloc(ops.Byte, n)
	if err != nil {
		b.Fatal(err)
	}
	r, bits := rand.New(rand.NewPCG(1, 2)), make([]uint32, n/4)
	for k := range bits {
		bits[k] = 0x3c003c00 | r.Uint32()&0x81ff81ff // numbers of about 0.01, as one or as two
	}
	if err := d.Upload(memory, bytesOf(bits)); err != nil {
		b.Fatal(err)
	}
	k := model(memory.(buffer).at)
	if err := d.Upload(buffer{at: k.steps[0].InBuffers[0].(buffer).at, dt: ops.Int, n: 1}, []int{7}); err != nil {
		b.Fatal(err)
	}
	launch, release, err := d.Sequence(k.steps)
	if err != nil || launch == nil {
		b.Fatal("no sequence", err)
	}
	defer release()
	run := func(times int) {
		for range times {
			if err := launch(); err != nil {
				b.Fatal(err)
			}
		}
		if err := d.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	run(10)
	b.ResetTimer()
	run(b.N)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/1e3/float64(b.N), "µs/token")
}
