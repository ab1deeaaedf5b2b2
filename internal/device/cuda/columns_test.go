//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/gorgonia-xlstm/xlstm/internal/plan"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// columnless is a card whose operations do not join operands.
type columnless struct{ *Device }

func (columnless) Joins(ops.Op, device.Half) (device.Joint, bool) { return device.Joint{}, false }

// layer is a plan of an mLSTM layer, forward and backward: q, k, v, the gates and the
// output gate of one input, which a norm writes.
type layer struct {
	plan.Plan
	t       *testing.T
	inputs  []plan.ID
	results []plan.ID
}

func (l *layer) input(shape ...int) plan.ID {
	id := l.Input(ops.Float32, shape)
	l.inputs = append(l.inputs, id)
	return id
}

func (l *layer) add(op ops.Op, in ...plan.ID) []plan.ID {
	l.t.Helper()
	return testutil.Must(l.Add(op, ops.Float32, in...))
}

// newLayer returns the plan for batches of two sequences. Its results are the gradients of
// the input and of all weights.
func newLayer(t *testing.T, steps, groups int) *layer {
	const heads, dqk, dhv, in = 4, 64, 128, 512
	l, rows, width := &layer{t: t}, 2*steps, heads*dhv
	first := ops.Norm{N: rows, Width: in, Groups: 1, Eps: 1e-6, Weight: true}
	x, w := l.input(rows, in), l.input(in)
	y := l.add(first, x, w)[0]
	grad := ops.LinearsGrad{}
	var weights, outs []plan.ID
	for _, m := range []struct {
		out  int
		bias bool
	}{{heads * dqk, false}, {heads * dqk, false}, {width, false}, {heads, true}, {heads, true}, {width, false}} {
		linear := ops.Linear{Rows: rows, In: in, Outs: []int{m.out}, Bias: m.bias}
		operands := []plan.ID{y, l.input(m.out, in)}
		weights = append(weights, operands[1])
		if m.bias {
			operands = append(operands, l.input(m.out))
		}
		outs = append(outs, l.add(linear, operands...)[0])
		grad.Maps, grad.Has = append(grad.Maps, linear), append(grad.Has, []bool{true})
	}
	cell := ops.MLSTM{B: 2, T: steps, NH: heads, DQK: dqk, DHV: dhv, Chunk: 64, ScaleQ: 1, ScaleK: 0.125, Eps: 1e-6}
	h := l.add(cell, outs[:5]...)[0]
	exit := ops.GatedNorm{Norm: ops.Norm{N: rows, Width: width, Groups: groups, Eps: 1e-6, Weight: true}, Fn: ops.Sigmoid}
	behind, weight := ops.Linear{Rows: rows, In: width, Outs: []int{in}}, l.input(in, width)
	exitWeight := l.input(width)
	u := l.add(exit, outs[5], h, exitWeight)[0]
	l.add(behind, u, weight)
	back := l.add(ops.LinearGrad{Linear: behind, Has: []bool{true}}, u, weight, l.input(rows, in))
	gate := l.add(ops.GatedNormGrad{GatedNorm: exit}, outs[5], h, exitWeight, back[0])
	ofCell := l.add(ops.MLSTMGrad{MLSTM: cell, Has: [4]bool{true}}, append(append(slices.Clone(outs[:5]), h), gate[1])...)
	all := l.add(grad, append(append([]plan.ID{y}, weights...), append(slices.Clone(ofCell[:5]), gate[0])...)...)
	dx := l.add(ops.NormGrad{Norm: first}, x, w, all[0])
	l.results = append(append(append(append(l.results, dx...), all[1:]...), back[1], gate[2]), ofCell[3:5]...)
	l.Keep(l.results...)
	return l
}

// run returns the results of the plan on a device.
func (l *layer) run(d device.Device) (results [][]float32) {
	t := l.t
	t.Helper()
	rng, given := rand.New(rand.NewPCG(1, 2)), make(map[plan.ID]device.Buffer)
	for _, id := range l.inputs {
		data := make([]float32, l.Values[id].Shape.Size())
		for i := range data {
			data[i] = float32(rng.NormFloat64()) / 16
		}
		given[id] = testutil.Must(d.Alloc(ops.Float32, len(data)))
		if err := d.Upload(given[id], data); err != nil {
			t.Fatal(err)
		}
	}
	p := testutil.Must(l.LayOut(d).Bind(given))
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	for _, id := range l.results {
		data := make([]float32, p.Buffers[id].Len())
		if err := d.Download(data, p.Buffers[id]); err != nil {
			t.Fatal(err)
		}
		results = append(results, data)
	}
	return results
}

// TestColumnsChangeNothing: gradients that lie beside one another are those that are
// copied there, to the bit.
func TestColumnsChangeNothing(t *testing.T) {
	d := opened(t, BF16)
	for _, steps := range []int{200, 700} {
		l := newLayer(t, steps, 4)
		want := l.run(columnless{d})
		for k, got := range l.run(d) {
			if !slices.Equal(got, want[k]) {
				t.Errorf("%d steps: result %d differs", steps, k)
			}
		}
	}
}

// newFeedForward returns the plan of a feed-forward layer behind a norm, forward and
// backward. Its results are the gradients of the input and of all weights.
func newFeedForward(t *testing.T) *layer {
	const rows, in, inner = 512, 256, 704
	l := &layer{t: t}
	first := ops.Norm{N: rows, Width: in, Groups: 1, Eps: 1e-6, Weight: true}
	up, gate := ops.Linear{Rows: rows, In: in, Outs: []int{inner}}, ops.Gated{Fn: ops.SiLU, Shape: ops.Shape{rows, inner}}
	down := ops.Linear{Rows: rows, In: inner, Outs: []int{in}}
	x, w := l.input(rows, in), l.input(in)
	wg, wu, wd := l.input(inner, in), l.input(inner, in), l.input(in, inner)
	y := l.add(first, x, w)[0]
	g, u := l.add(up, y, wg)[0], l.add(up, y, wu)[0]
	h := l.add(gate, g, u)[0]
	l.add(down, h, wd)
	back := l.add(ops.LinearGrad{Linear: down, Has: []bool{true}}, h, wd, l.input(rows, in))
	gates := l.add(ops.GatedGrad(gate), g, u, back[0])
	all := l.add(ops.LinearsGrad{Linears: ops.Linears{Maps: []ops.Linear{up, up}}, Has: [][]bool{{true}, {true}}}, y, wg, wu, gates[0], gates[1])
	l.results = append(append(l.add(ops.NormGrad{Norm: first}, x, w, all[0]), all[1:]...), back[1])
	l.Keep(l.results...)
	return l
}

// TestColumnsOfGates: the gradients of a feed-forward layer's operands as columns of one
// matrix give what products of each give, but for the rounding of the sum of the latter.
func TestColumnsOfGates(t *testing.T) {
	d := opened(t, BF16)
	l := newFeedForward(t)
	want := l.run(columnless{d})
	for k, got := range l.run(d) {
		if off := apart(testutil.Convert[float64](got), testutil.Convert[float64](want[k])); !(off < 1e-2) {
			t.Errorf("result %d is %.2g away", k, off)
		}
	}
}

// TestGatesLieBesideOneAnother: the derivative of a feed-forward layer's maps reads columns
// of one matrix, which begin at one place.
func TestGatesLieBesideOneAnother(t *testing.T) {
	d, joints := ForPlans(BF16), 0
	l := newFeedForward(t).LayOut(d)
	for _, s := range l.Plan.Steps {
		j, ok := d.Joins(s.Op, device.Half{In: slices.Repeat([]bool{true}, len(s.In))})
		if !ok {
			continue
		}
		joints++
		if g, u := s.In[j.In[0]], s.In[j.In[1]]; l.Offset[g] != l.Offset[u] {
			t.Errorf("%s: gradients at %d and %d", s.Op.Name(), l.Offset[g], l.Offset[u])
		}
	}
	if joints != 1 {
		t.Errorf("%d operations read one matrix", joints)
	}
}

// TestGradientsLieBesideOneAnother: on a card that has the kernels for it, the gradients
// of q, k, v and the output gate are columns of a matrix, and the derivative of their maps
// needs no workspace for one; where an operation cannot write columns, there is none.
func TestGradientsLieBesideOneAnother(t *testing.T) {
	older := ForPlans(BF16)
	older.major = 8
	for name, c := range map[string]struct {
		d      device.Device
		groups int
		joins  bool
	}{"Hopper": {ForPlans(BF16), 4, true}, "Ampere": {older, 4, false}, "TF32": {ForPlans(TF32), 4, false}, "narrow groups": {ForPlans(BF16), 128, false}} {
		var shared [2]int64
		l := newLayer(t, 700, c.groups)
		for k, d := range []device.Device{c.d, columnless{c.d.(*Device)}} {
			shared[k], _ = l.LayOut(d).Bytes()
		}
		if joins := shared[0] < shared[1]; joins != c.joins {
			t.Errorf("%s: %d bytes with columns, %d without", name, shared[0], shared[1])
		}
	}
}

// TestJoins: the inputs of a joint are the gradients of the wide maps, wherever in the
// list of inputs they are.
func TestJoins(t *testing.T) {
	maps := func(widths ...int) (g ops.LinearsGrad) {
		for _, n := range widths {
			g.Maps, g.Has = append(g.Maps, ops.Linear{Rows: 512, In: 1024, Outs: []int{n}}), append(g.Has, []bool{true})
		}
		return g
	}
	gates := maps(512, 4, 512, 1024)
	gates.Maps[1].Bias = true
	partly := maps(512, 512, 1024)
	partly.Maps[1].Outs, partly.Has[1] = []int{256, 256}, []bool{false, true}
	biased := maps(512, 512)
	biased.Maps[0].Bias = true
	norm := ops.Norm{N: 512, Width: 1024, Groups: 1, Eps: 1e-6, Weight: true}
	for name, c := range map[string]struct {
		op          ops.Op
		in, columns []int
		ld          int
	}{
		"with gates":   {gates, []int{5, 7, 8}, []int{0, 512, 1024}, 2112},
		"of a norm":    {ops.Twin{Op: ops.LinearsGradAgain{LinearsGrad: gates, Norm: norm}}, []int{6, 8, 9}, []int{0, 512, 1024}, 2112},
		"of some":      {partly, []int{4, 5, 6}, []int{0, 512, 768}, 1792},
		"with a bias":  {biased, nil, nil, 0},
		"one":          {maps(512), nil, nil, 0},
		"not of maps":  {norm, nil, nil, 0},
		"very wide":    {maps(2752, 2752), []int{3, 4}, []int{0, 2752}, 5504},
		"odd width":    {maps(512, 514, 512), []int{4, 6}, []int{0, 512}, 1024},
		"three narrow": {maps(4, 3, 1), nil, nil, 0},
	} {
		d := ForPlans(BF16)
		j, ok := d.Joins(c.op, d.Half(c.op))
		if ok != (c.in != nil) || !slices.Equal(j.In, c.in) || !slices.Equal(j.Columns, c.columns) || ok && (j.LD != c.ld || j.Rows != 512) {
			t.Errorf("%s: %+v, %v", name, j, ok)
		}
	}
}

// TestWrites: the weights and their gradients follow one another as their rows do in the
// joint: those of narrow maps last, of which there must be eight columns.
func TestWrites(t *testing.T) {
	norm := ops.Norm{N: 512, Width: 1024, Groups: 1, Eps: 1e-6, Weight: true}
	for name, c := range map[string]struct {
		widths, want, back, forward []int // results, and inputs of the derivative and of the maps
	}{
		"with gates":     {[]int{512, 512, 1024, 4, 4, 1024}, []int{2, 3, 4, 9, 5, 7}, []int{2, 3, 4, 7, 5, 6}, []int{1, 2, 3, 8, 4, 6}},
		"seven columns":  {[]int{512, 512, 1024, 4, 3, 1024}, nil, nil, nil},
		"without gates":  {[]int{512, 512, 1024}, []int{2, 3, 4}, []int{2, 3, 4}, []int{1, 2, 3}},
		"very wide":      {[]int{2752, 2752}, []int{2, 3}, []int{2, 3}, []int{1, 2}},
		"with odd ones":  {[]int{512, 514, 512}, nil, nil, nil},
		"without joints": {[]int{1024}, nil, nil, nil},
	} {
		g, d := ops.LinearsGrad{}, ForPlans(BF16)
		for _, n := range c.widths {
			g.Maps, g.Has = append(g.Maps, ops.Linear{Rows: 512, In: 1024, Outs: []int{n}, Bias: n < 8}), append(g.Has, []bool{true})
		}
		again := ops.LinearsGradAgain{LinearsGrad: g, Norm: norm}
		if got := d.Writes(again); !slices.Equal(got, c.want) {
			t.Errorf("%s: results %v, want %v", name, got, c.want)
		}
		if back, forward := d.Rows(again), d.Rows(g.Linears); !slices.Equal(back, c.back) || !slices.Equal(forward, c.forward) {
			t.Errorf("%s: weights %v and %v, want %v and %v", name, back, forward, c.back, c.forward)
		}
		if gated := d.Rows(ops.GatedLinears{Linears: g.Linears, Fn: ops.SiLU}); !slices.Equal(gated, c.forward) {
			t.Errorf("%s: weights %v of gated maps, want %v", name, gated, c.forward)
		}
		if ForPlans(TF32).Writes(g) != nil {
			t.Errorf("%s: results are joined without bfloat16", name)
		}
	}
}
