package trace

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/internal/golden"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"gorgonia.org/tensor"
)

func smallConfig() xlstm.Config {
	cfg := xlstm.DefaultConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.SLSTMAt = 11, 16, 3, xlstm.Blocks(1)
	cfg.MLSTMBlock.MLSTM.RoundProjUpToMultipleOf = 16
	return cfg
}

func smallLarge(t *testing.T, mode string, dt tensor.Dtype) *xlstm.Model {
	t.Helper()
	cfg := xlstm.DefaultLargeConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks = 11, 16, 3
	cfg.Large.NumHeads, cfg.Large.WeightMode, cfg.Large.UseBias = 2, mode, true
	return smallModel(t, cfg, dt)
}

// smallModel is a model whose parameters are away from their initial values.
func smallModel(t *testing.T, cfg xlstm.Config, dt tensor.Dtype) *xlstm.Model {
	t.Helper()
	m, err := xlstm.New(cfg, xlstm.WithDtype(dt), xlstm.WithSeed(3))
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(4, 4))
	for _, p := range m.Params() {
		testutil.Perturb(r, p.Value.Data())
	}
	return m
}

// tracedModels are small models of both architectures, and with the other cells, in
// one element type.
func tracedModels(t *testing.T, dt tensor.Dtype) map[string]*xlstm.Model {
	others := smallConfig()
	others.SLSTMAt, others.LSTMAt, others.SimplifiedAt = xlstm.Blocks(), xlstm.Blocks(0), xlstm.Blocks(2)
	plain := xlstm.DefaultLSTMConfig()
	plain.VocabSize, plain.EmbeddingDim, plain.NumBlocks, plain.LSTM.HiddenSize = 11, 8, 2, 12
	noConv := smallConfig()
	noConv.SLSTMBlock.SLSTM.Conv1dKernelSize = 0
	return map[string]*xlstm.Model{
		"paper":               smallModel(t, smallConfig(), dt),
		"no convolution":      smallModel(t, noConv, dt),
		"other cells":         smallModel(t, others, dt),
		"plain LSTM":          smallModel(t, plain, dt),
		"xLSTM-7B":            smallLarge(t, xlstm.SingleWeights, dt),
		"xLSTM-7B, all fused": smallLarge(t, xlstm.FusedWeights, dt),
	}
}

func traced(t *testing.T, m *xlstm.Model, tokens []int, cfg Config) *Trace {
	t.Helper()
	trace, err := Of(m, tokens, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return trace
}

// TestTraceIsTheModelsOwn: the equations give what the model's cells gave, at
// every step and, as norms, in the state after the last.
func TestTraceIsTheModelsOwn(t *testing.T) {
	for dt, bound := range map[tensor.Dtype]float64{tensor.Float64: 1e-9, tensor.Float32: 1e-4} {
		for name, m := range tracedModels(t, dt) {
			t.Run(fmt.Sprint(name, " ", dt), func(t *testing.T) {
				tokens := testutil.Tokens(7, 300, 11) // more than one piece
				trace := traced(t, m, tokens, Config{})
				for b, block := range trace.Blocks {
					if !(block.Deviation < bound) {
						t.Errorf("the outputs of block %d are %.3g away", b, block.Deviation)
					}
				}
				wantTracedState(t, m, trace, bound)
			})
		}
	}
}

// wantTracedState compares the end of a trace with the state that the model has
// after reading the text at once.
func wantTracedState(t *testing.T, m *xlstm.Model, trace *Trace, bound float64) {
	t.Helper()
	state, err := m.NewState(1)
	if err != nil {
		t.Fatal(err)
	}
	p, err := m.Compile(xlstm.ProgramConfig{Batch: 1, Steps: len(trace.Tokens), Carry: true})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Run(xlstm.Input{Tokens: trace.Tokens, State: state}); err != nil {
		t.Fatal(err)
	}
	last := len(trace.Tokens) - 1
	want := func(what string, got, from []float64) {
		t.Helper()
		if d := golden.Apart(got, from, 1); d > bound {
			t.Errorf("%s is %v, the state has %v", what, got, from)
		}
	}
	for _, part := range state.Tensors() {
		var b int
		var name string
		if _, err := fmt.Sscanf(part.Name, "block_%d.%s", &b, &name); err != nil {
			t.Fatal(err)
		}
		var c, n, ms []float64
		for _, h := range trace.Blocks[b].MLSTM {
			c, n, ms = append(c, h.CNorm[last]), append(n, h.NNorm[last]), append(ms, h.M[last])
		}
		x := elements(part.Value)
		unitsOf := func(units LSTM) {
			for k, spread := range []Spread{units.H, units.C} {
				var of Spread
				of.add(x[k*len(x)/2:][:len(x)/2])
				want(fmt.Sprint(part.Name, k), []float64{spread.Mean[last], spread.Min[last], spread.Max[last]}, []float64{of.Mean[0], of.Min[0], of.Max[0]})
			}
		}
		switch name {
		case "lstm":
			unitsOf(trace.Blocks[b].LSTM[0])
		case "simplified":
			unitsOf(trace.Blocks[b].Simplified[0])
		case "mlstm_c":
			want(part.Name, c, pieceNorms(x, len(c)))
		case "mlstm_n":
			want(part.Name, n, pieceNorms(x, len(n)))
		case "mlstm_m":
			want(part.Name, ms, x)
		case "slstm":
			d := len(x) / 4
			for h, s := range trace.Blocks[b].SLSTM {
				dh := d / len(trace.Blocks[b].SLSTM)
				for k, spread := range []Spread{s.H, {}, s.N, s.M} {
					var of Spread
					if of.add(x[k*d+h*dh:][:dh]); spread.Mean != nil {
						want(fmt.Sprint(part.Name, k), []float64{spread.Mean[last], spread.Min[last], spread.Max[last]}, []float64{of.Mean[0], of.Min[0], of.Max[0]})
					}
				}
			}
		}
	}
}

// pieceNorms returns the norms of n equal pieces.
func pieceNorms(x []float64, n int) (norms []float64) {
	size := len(x) / n
	for i := range n {
		norms = append(norms, norm(x[i*size:][:size]))
	}
	return norms
}

// TestTraceDoesNotDependOnThePieces in which the model reads.
func TestTraceDoesNotDependOnThePieces(t *testing.T) {
	for name, m := range tracedModels(t, tensor.Float64) {
		tokens := testutil.Tokens(8, 20, 11)
		cfg := Config{From: 3, To: 17}
		whole := traceNumbers(traced(t, m, tokens, cfg))
		for _, piece := range []int{1, 7, 64} {
			got, err := of(m, tokens, cfg, piece)
			if err != nil {
				t.Fatal(err)
			}
			if d := golden.Apart(traceNumbers(got), whole, 1); d > 1e-10 {
				t.Errorf("%s: in pieces of %d it is %.3g away", name, piece, d)
			}
		}
	}
}

// traceNumbers returns all the numbers of a trace but what rounding alone makes.
func traceNumbers(trace *Trace) (all []float64) {
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Float64:
			all = append(all, v.Float())
		case reflect.Slice:
			for i := range v.Len() {
				walk(v.Index(i))
			}
		case reflect.Struct:
			for i := range v.NumField() {
				if v.Type().Field(i).Name != "Deviation" {
					walk(v.Field(i))
				}
			}
		}
	}
	walk(reflect.ValueOf(*trace))
	return all
}

// TestTraceShapes: every series over time has an element for each token, and
// gates and stabilisers keep their promises.
func TestTraceShapes(t *testing.T) {
	m := smallModel(t, smallConfig(), tensor.Float64)
	trace := traced(t, m, testutil.Tokens(9, 12, 11), Config{})
	if len(trace.Blocks) != 3 || len(trace.Blocks[0].MLSTM) != 4 || len(trace.Blocks[1].SLSTM) != 4 || trace.Blocks[1].MLSTM != nil {
		t.Fatalf("blocks are %+v", trace.Blocks)
	}
	if n := len(traceNumbers(trace)); n != 12*(1+2*4*11+4*8*3) {
		t.Errorf("the trace has %d numbers", n)
	}
	for _, h := range trace.Blocks[0].MLSTM {
		if h.Retrieval != nil {
			t.Error("there is a matrix that was not asked for")
		}
		for s := range 12 {
			if math.Max(h.Input[s], h.Forget[s]) != 1 || h.Normalizer[s] != math.Max(math.Abs(h.QN[s]), math.Exp(-h.M[s])) {
				t.Errorf("step %d: i' is %v, f' %v, the normaliser %v", s, h.Input[s], h.Forget[s], h.Normalizer[s])
			}
		}
	}
}

// TestTraceRetrieval: a row's weights sum up to q·n over the normaliser, a window
// has the rows of the whole, and only heads to keep have any.
func TestTraceRetrieval(t *testing.T) {
	for name, m := range tracedModels(t, tensor.Float64) {
		tokens := testutil.Tokens(10, 24, 11)
		whole := traced(t, m, tokens, Config{To: 24})
		window := traced(t, m, tokens, Config{From: 9, To: 20, Keep: func(block, head int) bool { return block == 2 && head == 1 }})
		for b, block := range whole.Blocks {
			for h, head := range block.MLSTM {
				wantRowSums(t, head, whole.From)
				part := window.Blocks[b].MLSTM[h]
				if b != 2 || h != 1 {
					if part.Retrieval != nil {
						t.Errorf("%s: head %d of block %d has a matrix", name, h, b)
					}
					continue
				}
				wantRowSums(t, part, 9)
				for r, row := range part.Retrieval {
					if d := golden.Apart(row, head.Retrieval[9+r][9:], 1e-3); len(part.Retrieval) != 11 || d > 1e-9 {
						t.Errorf("%s: row %d of %d is %.3g away", name, r, len(part.Retrieval), d)
					}
				}
			}
		}
	}
}

func wantRowSums(t *testing.T, head MLSTM, from int) {
	t.Helper()
	const eps = 1e-6 // of both architectures
	for r, row := range head.Retrieval {
		sum := head.Earlier[r]
		for _, w := range row {
			sum += w
		}
		if want := head.QN[from+r] / (head.Normalizer[from+r] + eps); len(row) != r+1 || math.Abs(sum-want) > 1e-10 || math.Abs(sum) > 1 {
			t.Errorf("row %d has %d weights, sum %v, want %v", r, len(row), sum, want)
		}
	}
}

func TestTraceSurpriseIsWhatTheGeneratorSays(t *testing.T) {
	m := smallModel(t, smallConfig(), tensor.Float64)
	tokens := testutil.Tokens(11, 30, 11)
	g, err := m.NewGenerator()
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	logs, err := g.LogProbs(tokens...)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range traced(t, m, tokens, Config{}).Surprise {
		if i == 0 && s != 0 || i > 0 && math.Abs(s+logs[i]) > 1e-10 {
			t.Errorf("token %d: %v, want %v", i, s, -logs[i])
		}
	}
}

func TestTraceErrors(t *testing.T) {
	m := smallModel(t, smallConfig(), tensor.Float32)
	for _, c := range []struct {
		tokens []int
		cfg    Config
		want   string
	}{
		{nil, Config{}, "empty text"},
		{[]int{1, 11}, Config{}, "token 1 of the text is 11, outside the vocabulary of 11"},
		{[]int{-1}, Config{}, "outside the vocabulary"},
		{[]int{1, 2}, Config{To: 3}, "from 0 to 3 is not within a text of 2"},
		{[]int{1, 2}, Config{From: 2, To: 1}, "from 2 to 1"},
		{[]int{1, 2}, Config{From: -1, To: 1}, "from -1"},
	} {
		if _, err := Of(m, c.tokens, c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, %+v: %v", c.tokens, c.cfg, err)
		}
	}
	for _, name := range []string{"xlstm_block_stack.blocks.0.xlstm.mlstm_cell.igate.bias", "xlstm_block_stack.blocks.1.xlstm.slstm_cell._bias_", "lm_head.weight"} {
		broken := smallModel(t, smallConfig(), tensor.Float32)
		p, ok := broken.Param(name)
		if !ok {
			t.Fatal(name)
		}
		p.Float32s()[0] = float32(math.NaN())
		if _, err := Of(broken, []int{1, 2, 3}, Config{}); err == nil || !strings.Contains(err.Error(), "not finite") {
			t.Errorf("%s is NaN: %v", name, err)
		}
	}
}

// TestTracesOfOneModelRunAtTheSameTime, since they only read its parameters.
func TestTracesOfOneModelRunAtTheSameTime(t *testing.T) {
	m := smallModel(t, smallConfig(), tensor.Float32)
	tokens := testutil.Tokens(3, 20, 11)
	want := traced(t, m, tokens, Config{To: 5})
	got := make([]*Trace, 4)
	var all sync.WaitGroup
	for i := range got {
		all.Go(func() { got[i], _ = Of(m, tokens, Config{To: 5}) })
	}
	all.Wait()
	for i, g := range got {
		if !reflect.DeepEqual(g, want) {
			t.Errorf("trace %d differs from the one that ran alone", i)
		}
	}
}

func TestTraceIsJSON(t *testing.T) {
	trace := traced(t, smallModel(t, smallConfig(), tensor.Float32), []int{1, 2, 3}, Config{From: 1, To: 3})
	data, err := json.Marshal(trace)
	if err != nil {
		t.Fatal(err)
	}
	var again Trace
	if err := json.Unmarshal(data, &again); err != nil || !reflect.DeepEqual(*trace, again) {
		t.Errorf("%v: JSON does not give the trace back", err)
	}
}

// TestRetrievalTimesTheValuesIsTheOutput, on a head by itself.
func TestRetrievalTimesTheValuesIsTheOutput(t *testing.T) {
	const dqk, dhv, steps = 3, 5, 9
	head := mlstmHeadTracer{
		trace: &MLSTM{}, dqk: dqk, dhv: dhv, scaleQ: 1, scaleK: 0.5, eps: 1e-6,
		c: make([]float64, dqk*dhv), n: make([]float64, dqk), window: &retrieval{to: steps, before: make([]float64, dqk)},
	}
	r := rand.New(rand.NewPCG(1, 2))
	normal := func(n int) []float64 {
		x := make([]float64, n)
		for i := range x {
			x[i] = 2 * r.NormFloat64()
		}
		return x
	}
	var values [][]float64
	for s := range steps {
		q, v := normal(dqk), normal(dhv)
		values = append(values, v)
		if !head.step(s, q, normal(dqk), v, r.NormFloat64(), r.NormFloat64(), make([]float64, dhv)) {
			t.Fatal("not finite")
		}
		h := make([]float64, dhv)
		for j, w := range head.trace.Retrieval[s] {
			for d := range h {
				h[d] += w * values[j][d]
			}
		}
		if want := head.recall(q, 1/(head.trace.Normalizer[s]+head.eps)); golden.Apart(h, want, 0) > 1e-12 {
			t.Errorf("step %d: the weights give %v, the memory %v", s, h, want)
		}
	}
}
