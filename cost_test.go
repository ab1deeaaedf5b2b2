package xlstm

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

func costOf(t *testing.T, cfg Config, opts CostOptions) Cost {
	t.Helper()
	c, err := cfg.Cost(opts)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// pick returns one of the values.
func pick[E any](r *rand.Rand, values ...E) E { return values[r.IntN(len(values))] }

// randomConfig is a valid configuration that is small and unlikely.
func randomConfig(seed uint64) Config {
	r := rand.New(rand.NewPCG(seed, 9))
	switch seed % 7 {
	case 2, 5:
		return randomLargeConfig(r)
	case 6:
		return randomLSTMConfig(r)
	}
	return randomPaperConfig(r)
}

// randomPaperConfig is of the paper's architecture.
func randomPaperConfig(r *rand.Rand) Config {
	yes := func() bool { return r.IntN(2) == 0 }
	cfg := DefaultConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks = 1+r.IntN(9), 4*(1+r.IntN(5)), 1+r.IntN(3)
	cfg.AddPostBlocksNorm, cfg.AddEmbeddingDropout, cfg.Bias, cfg.TieWeights = yes(), yes(), yes(), yes()
	cfg.Dropout = pick(r, 0, 0.1)
	for i := range cfg.NumBlocks {
		if list := pick(r, &cfg.SLSTMAt, &cfg.LSTMAt, &cfg.SimplifiedAt, new(BlockList)); yes() {
			list.Indices = append(list.Indices, i)
		}
	}
	m := &cfg.MLSTMBlock.MLSTM
	m.Conv1dKernelSize, m.NumHeads, m.QKVProjBlocksize = 1+r.IntN(5), pick(r, 1, 2, 4), pick(r, 1, 2, 4, 8)
	m.UpProjection = UpProjection{ProjFactor: pick(r, 1, 1.5, 2), RoundProjUpDimUp: true, RoundProjUpToMultipleOf: 8}
	s := &cfg.SLSTMBlock.SLSTM
	s.NumHeads, s.Conv1dKernelSize, s.GroupNormWeight = pick(r, 1, 2, 4), r.IntN(5), yes()
	if yes() {
		cfg.SLSTMBlock.FeedForward = nil
	} else {
		cfg.SLSTMBlock.FeedForward.Bias = yes()
		cfg.SLSTMBlock.FeedForward.UpProjection = UpProjection{ProjFactor: 1 + r.Float64(), RoundProjUpDimUp: yes(), RoundProjUpToMultipleOf: 1 + r.IntN(3)}
	}
	return cfg
}

// randomLSTMConfig is a plain LSTM.
func randomLSTMConfig(r *rand.Rand) Config {
	yes := func() bool { return r.IntN(2) == 0 }
	cfg := Config{VocabSize: 1 + r.IntN(9), EmbeddingDim: 1 + r.IntN(9), NumBlocks: 1 + r.IntN(4), LSTM: &LSTMConfig{HiddenSize: 1 + r.IntN(9)}}
	cfg.Dropout, cfg.AddEmbeddingDropout = pick(r, 0, 0.1), yes()
	if cfg.TieWeights = yes(); cfg.TieWeights {
		cfg.EmbeddingDim = cfg.LSTM.HiddenSize
	}
	return cfg
}

// withModels calls f for models of random configurations.
func withModels(t *testing.T, n uint64, f func(t *testing.T, r *rand.Rand, m *Model)) {
	for seed := range n {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			m, err := New(randomConfig(seed))
			if err != nil {
				t.Fatal(err)
			}
			f(t, rand.New(rand.NewPCG(seed, 10)), m)
		})
	}
}

// TestCostHasTheModelsTensors: the shapes are known without the model, and so
// are the sizes that follow from them.
func TestCostHasTheModelsTensors(t *testing.T) {
	withModels(t, 100, func(t *testing.T, r *rand.Rand, m *Model) {
		total := costOf(t, m.Config(), CostOptions{Batch: 1, Steps: 1}).Total()
		tensors, err := m.Config().tensors()
		if err != nil {
			t.Fatal(err)
		}
		if total.Params != int64(m.NumParams()) || len(tensors) != len(m.Params()) {
			t.Errorf("%d parameters in %d tensors, the model has %d in %d", total.Params, len(tensors), m.NumParams(), len(m.Params()))
		}
		for _, s := range tensors {
			if p, ok := m.Param(s.Name); !ok || !p.Shape().Eq(tensor.Shape(s.Shape)) {
				t.Errorf("the model has no %s of shape %v", s.Name, s.Shape)
			}
		}
		state, err := m.NewState(2)
		if err != nil {
			t.Fatal(err)
		}
		var bytes int64
		for _, p := range state.Tensors() {
			bytes += int64(p.Value.MemSize())
		}
		if got := costOf(t, m.Config(), CostOptions{Batch: 5, Steps: 7}).StateBytes(); 2*got != bytes {
			t.Errorf("a state of %d bytes for a sequence, the model's for two has %d", got, bytes)
		}
	})
}

// TestCostCountsOfficialModels compares with the counts of the official models,
// which are far too large to build here.
func TestCostCountsOfficialModels(t *testing.T) {
	model := func(vocab, dim, blocks int, at ...int) Config {
		cfg := DefaultConfig()
		cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.SLSTMAt = vocab, dim, blocks, Blocks(at...)
		return cfg
	}
	const gpt2 = 50304
	mixed := []int{3, 5, 7, 40, 42, 44}
	for _, c := range []struct {
		name string
		cfg  Config
		want int64
	}{
		{"README", model(gpt2, 128, 7, 1), 13642672},
		{"125M [1:0]", model(gpt2, 768, 24), 163806144},
		{"125M [7:1]", model(gpt2, 768, 24, 3, 20), 163690928},
		{"350M [1:0]", model(gpt2, 1024, 48), 409290112},
		{"350M [7:1]", model(gpt2, 1024, 48, mixed...), 408436048},
		{"760M [1:0]", model(gpt2, 1536, 48), 840427392},
		{"760M [7:1]", model(gpt2, 1536, 48, mixed...), 839736144},
		{"1.3B [1:0]", model(gpt2, 2048, 48), 1422559616},
		{"1.3B [7:1]", model(gpt2, 2048, 48, mixed...), 1420065104},
		{"2.7B [1:0]", model(gpt2, 2560, 64), 2788396032},
	} {
		if got := costOf(t, c.cfg, CostOptions{Batch: 1, Steps: 2048}).Total().Params; got != c.want {
			t.Errorf("%s: %d parameters, want %d", c.name, got, c.want)
		}
	}
	blocks := costOf(t, model(gpt2, 768, 24, 3, 20), CostOptions{Batch: 1, Steps: 1})
	if m, s := blocks.OfBlock(0).Params, blocks.OfBlock(3).Params; m != 3605768 || s != 3548160 {
		t.Errorf("an mLSTM block of %d and an sLSTM block of %d parameters, want 3605768 and 3548160", m, s)
	}
}

// TestCostIsTheSumOfItsBlocks: every part is in a block or outside all of them.
func TestCostIsTheSumOfItsBlocks(t *testing.T) {
	for seed := range uint64(50) {
		cfg := randomConfig(seed)
		c := costOf(t, cfg, CostOptions{Batch: 3, Steps: 128})
		got, want := PartCost{Name: "total", Block: -1, Times: 1}, c.Total()
		for i := -1; i < cfg.NumBlocks; i++ {
			got.add(c.OfBlock(i), 1)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("seed %d: the blocks sum to\n%+v, the total is\n%+v", seed, got, want)
		}
		m := c.TrainingMemory()
		if m.Total() != 16*want.Params+c.Activations {
			t.Errorf("seed %d: training takes %d bytes: %+v", seed, m.Total(), m)
		}
		if c.TrainingFLOPs() != 2*(want.Forward+want.Backward) || c.EvaluationFLOPs() != 2*want.Forward || c.DecodeFLOPs() != 2*want.Decode {
			t.Errorf("seed %d: the FLOPs are not twice the multiply-adds", seed)
		}
	}
}

// TestEveryWeightIsMultipliedOnceAToken: outside the mLSTM cells, which have no
// weights, a forward pass has one multiply-add for each element of a matrix. The
// backward pass has two, and a third where the convolution repeats itself.
func TestEveryWeightIsMultipliedOnceAToken(t *testing.T) {
	for seed := range uint64(50) {
		cfg := randomConfig(seed)
		cfg.TieWeights = false
		for _, p := range costOf(t, cfg, CostOptions{Batch: 2, Steps: 33, Chunk: 8}).Parts {
			if p.Name == "cell" && len(p.Tensors) == 0 || p.Name == "embedding" {
				continue
			}
			var want float64
			for _, s := range p.Tensors {
				if len(s.Shape) > 1 {
					want += float64(tensor.Shape(s.Shape).TotalSize())
				}
			}
			back := 2.0
			if p.Name == "convolution" {
				back = 3
			}
			if p.Forward != want || p.Decode != want || p.Backward != back*want {
				t.Errorf("seed %d: %s of block %d: %v multiply-adds, %v back and %v alone for a weight of %v", seed, p.Name, p.Block, p.Forward, p.Backward, p.Decode, want)
			}
		}
	}
}

// TestCellProducts compares with sums made by hand, for one head of width 16.
func TestCellProducts(t *testing.T) {
	cfg := DefaultConfig()
	cfg.VocabSize, cfg.EmbeddingDim = 1, 8
	cfg.MLSTMBlock.MLSTM.NumHeads, cfg.MLSTMBlock.MLSTM.RoundProjUpToMultipleOf = 1, 16
	for _, c := range []struct {
		steps, chunk      int
		forward, backward float64
	}{
		{1, 0, 2*16 + 2*256, 5*16 + 4*256},
		{64, 0, 2*64*16 + 2*256, 5*64*16 + 4*256},
		{64, 1000, 2*64*16 + 2*256, 5*64*16 + 4*256},
		{128, 0, 2*64*16 + 2*256, 5*64*16 + 4*256 + 256.0/2},
		{6, 4, (2*(16+4)*16 + 2*6*256) / 6.0, (5*(16+4)*16 + 4*6*256 + 4*256) / 6.0},
	} {
		p := cellOf(t, costOf(t, cfg, CostOptions{Batch: 3, Steps: c.steps, Chunk: c.chunk}))
		if math.Abs(p.Forward-c.forward) > 1e-9 || math.Abs(p.Backward-c.backward) > 1e-9 || p.Decode != 2*16+2*256 {
			t.Errorf("%d steps in chunks of %d: %v forward, %v backward, %v alone, want %v, %v and 544", c.steps, c.chunk, p.Forward, p.Backward, p.Decode, c.forward, c.backward)
		}
	}
}

// TestCostCountsTheProductsOfTheGraph adds up what the operations of a training
// graph multiply.
func TestCostCountsTheProductsOfTheGraph(t *testing.T) {
	withModels(t, 30, func(t *testing.T, r *rand.Rand, m *Model) {
		batch, steps, chunk := 1+r.IntN(3), 1+r.IntN(80), pick(r, 0, 16)
		p, err := m.design(ProgramConfig{Batch: batch, Steps: steps, Grad: true, FwdConfig: FwdConfig{Training: true, Chunk: chunk}})
		if err != nil {
			t.Fatal(err)
		}
		var sum int64
		for _, n := range p.graph.AllNodes() {
			if o, ok := n.Op().(interface{ MulAdds() int64 }); ok {
				sum += o.MulAdds()
			}
		}
		cost := costOf(t, m.Config(), CostOptions{Batch: batch, Steps: steps, Chunk: chunk})
		want := cost.TrainingFLOPs() / 2 * float64(batch*steps)
		if math.Abs(float64(sum)/want-1) > 1e-12 {
			t.Errorf("%d multiply-adds in the graph, %v expected", sum, want)
		}
	})
}

// cellOf returns the part of the first cell.
func cellOf(t *testing.T, c Cost) PartCost {
	t.Helper()
	i := slices.IndexFunc(c.Parts, func(p PartCost) bool { return p.Name == "cell" })
	if i < 0 {
		t.Fatal("there is no cell")
	}
	return c.Parts[i]
}

// heldBytes is what the tensors in a graph hold after a run, where they overlap
// counted once. Integers, which are ids and keys, do not count. Results are
// rounded up to lines of so many bytes.
func heldBytes(ns gorgonia.Nodes, line uintptr) (total int64) {
	type span struct{ lo, hi uintptr }
	var spans []span
	for _, n := range ns {
		if d, ok := n.Value().(*tensor.Dense); ok && d.Dtype() != tensor.Int {
			size := d.MemSize()
			if n.Op() != nil {
				size = (size + line - 1) / line * line
			}
			spans = append(spans, span{d.Uintptr(), d.Uintptr() + size})
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.lo, b.lo) })
	var end uintptr
	for _, s := range spans {
		if s.hi > end {
			total += int64(s.hi - max(s.lo, end))
			end = s.hi
		}
	}
	return total
}

func wantBytes(t *testing.T, what string, estimate, real int64) {
	t.Helper()
	if off := math.Abs(float64(estimate)/float64(real) - 1); off > 0.05 {
		t.Errorf("%s: an estimate of %d bytes for %d in the graph, %.1f %% off", what, estimate, real, 100*off)
	}
}

// TestTrainingMemoryIsWhatTheGraphHolds compares with the plan of the real
// program, and adds up the memory of its inputs and of all its results after a
// training step. The nodes hold no more: there are values without a node.
func TestTrainingMemoryIsWhatTheGraphHolds(t *testing.T) {
	withModels(t, 30, func(t *testing.T, r *rand.Rand, m *Model) {
		batch, steps := 1+r.IntN(3), 1+r.IntN(80)
		p := compileProgram(t, m, ProgramConfig{Batch: batch, Steps: steps, Grad: true, FwdConfig: FwdConfig{Training: true}, dropLogits: true})
		ids := make([]int, batch*steps)
		runProgram(t, p, ids, ids, nil)
		memory := costOf(t, m.Config(), CostOptions{Batch: batch, Steps: steps}).TrainingMemory()
		if got := memory.Activations + memory.Gradients; got != p.resultBytes() {
			t.Errorf("%d bytes of activations and gradients, the program has planned %d", got, p.resultBytes())
		}
		held, results := heldBytes(p.Graph().AllNodes(), 64), p.machine.(*nodes.Sequence).Bytes()
		wantBytes(t, fmt.Sprintf("%d×%d", batch, steps), memory.Total()-memory.Moments, heldBytes(p.Graph().Inputs(), 64)+results)
		if held > memory.Total()-memory.Moments {
			t.Errorf("%d×%d: %d bytes for %d in the nodes", batch, steps, memory.Total()-memory.Moments, held)
		}
	})
}

// TestGenerationMemoryIsWhatTheGraphsHold compares with the plans of a
// generator that has compiled all of its programs. The memory of the values of
// all nodes is at most as much: results without a reader are not visible.
func TestGenerationMemoryIsWhatTheGraphsHold(t *testing.T) {
	withModels(t, 10, func(t *testing.T, _ *rand.Rand, m *Model) {
		g, err := m.NewGenerator()
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		n := 0
		for _, size := range readSizes {
			n += size
		}
		if err := g.Read(make([]int, n)...); err != nil {
			t.Fatal(err)
		}
		c := costOf(t, m.Config(), CostOptions{Batch: 1, Steps: 1})
		held, want := c.StateBytes(), c.StateBytes()
		for _, p := range g.programs {
			// All of them hold the one state.
			held += heldBytes(p.Graph().AllNodes(), 1) - 4*int64(m.NumParams()) - c.StateBytes()
			want += p.resultBytes()
		}
		if c.Generation != want || held > want {
			t.Errorf("%d bytes to generate, the programs have planned %d and hold %d", c.Generation, want, held)
		}
	})
}

// TestCostOfManyBlocksIsThatOfThePlan: what is carried over from a few blocks is
// to a thousandth, or a tenth for many kinds, what a plan of all would give, whatever
// the order of the kinds.
func TestCostOfManyBlocksIsThatOfThePlan(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	orders := []BlockList{Blocks(), AllBlocks(), Blocks(1), Blocks(0), Blocks(5), Blocks(1, 3, 5, 7, 9, 11, 13, 15), Blocks(7, 15)}
	for range 4 {
		var at BlockList
		for i := range 18 {
			if r.IntN(2) == 0 {
				at.Indices = append(at.Indices, i)
			}
		}
		orders = append(orders, at)
	}
	for i, at := range orders {
		for seed := range uint64(2) {
			cfg := randomPaperConfig(rand.New(rand.NewPCG(seed, 9)))
			cfg.NumBlocks, cfg.SLSTMAt, cfg.LSTMAt, cfg.SimplifiedAt = 18, at, Blocks(), Blocks()
			if i%2 == 1 && !at.All {
				for block := range 18 {
					if !at.has(block) && (block%5 == 3 || block > 14) {
						list := pick(r, &cfg.LSTMAt, &cfg.SimplifiedAt)
						list.Indices = append(list.Indices, block)
					}
				}
			}
			c, within := costOf(t, cfg, CostOptions{Batch: 2, Steps: 70}), 1e-3
			if len(slices.Compact(slices.Sorted(slices.Values(cfg.kinds())))) > 2 {
				within = 0.1
			}
			m, err := cfg.outline()
			if err != nil {
				t.Fatal(err)
			}
			train, err := m.programBytes(ProgramConfig{Batch: 2, Steps: 70, Grad: true, FwdConfig: FwdConfig{Training: true}, dropLogits: true})
			if err != nil {
				t.Fatal(err)
			}
			if train -= 4 * c.Total().Params; math.Abs(float64(c.Activations)/float64(train)-1) > within {
				t.Errorf("%v, seed %d: %d bytes of activations, a plan of all blocks has %d", at, seed, c.Activations, train)
			}
			var generate int64
			for _, n := range readSizes {
				bytes, err := m.programBytes(ProgramConfig{Batch: 1, Steps: n, Carry: true})
				if err != nil {
					t.Fatal(err)
				}
				generate += bytes
			}
			if generate += c.StateBytes(); math.Abs(float64(c.Generation)/float64(generate)-1) > within {
				t.Errorf("%v, seed %d: %d bytes to generate, a plan of all blocks has %d", at, seed, c.Generation, generate)
			}
		}
	}
}

// TestCostOfAnyModelIsLittleWork: it takes no more memory for the deepest model
// than for a few blocks, and either counts or says that it cannot.
func TestCostOfAnyModelIsLittleWork(t *testing.T) {
	every := func(at BlockList, blocks int) BlockList {
		for i := 0; i < blocks; i += 2 {
			at.Indices = append(at.Indices, i)
		}
		return at
	}
	r := rand.New(rand.NewPCG(3, 4))
	counted := 0
	for range 60 {
		cfg := randomPaperConfig(r)
		heads := cfg.SLSTMBlock.SLSTM.NumHeads * cfg.MLSTMBlock.MLSTM.NumHeads * cfg.MLSTMBlock.MLSTM.QKVProjBlocksize
		cfg.NumBlocks, cfg.VocabSize, cfg.EmbeddingDim = pick(r, 9, 1000, maxBlocks), pick(r, 1, 1000, maxVocab), heads*pick(r, 1, 100, maxWidth/heads)
		cfg.MLSTMBlock.MLSTM.RoundProjUpToMultipleOf = heads
		cfg.SLSTMBlock.FeedForward = defaultFeedForward()
		cfg.LSTMAt, cfg.SimplifiedAt = Blocks(), Blocks()
		cfg.SLSTMAt = pick(r, Blocks(), AllBlocks(), every(Blocks(), cfg.NumBlocks))
		opts := CostOptions{Batch: pick(r, 1, 1000, 1<<30), Steps: pick(r, 1, 1000, 1<<30)}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		c, err := cfg.Cost(opts)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 32<<20 {
			t.Errorf("%d blocks, %+v: it took %d bytes", cfg.NumBlocks, opts, took)
		}
		if err != nil {
			testutil.WantError(t, err, "beyond all that can be counted")
			continue
		}
		counted++
		total, m := c.Total(), c.TrainingMemory()
		if total.Params < int64(cfg.NumBlocks) || total.State < 1 || total.Forward < 1 || total.Backward < 1 || m.Activations < 1 || m.Total() < m.Activations || c.Generation < 1 || c.StateBytes() < 1 {
			t.Errorf("%d blocks of width %d, vocabulary %d, %+v: %+v, %d to generate, %d parameters, %v and %v multiply-adds", cfg.NumBlocks, cfg.EmbeddingDim, cfg.VocabSize, opts, m, c.Generation, total.Params, total.Forward, total.Backward)
		}
	}
	if counted < 20 || counted > 50 {
		t.Errorf("%d of 60 can be counted", counted)
	}
}

func TestCostReportsWhatMakesNoSense(t *testing.T) {
	cfg := smallConfig()
	for _, opts := range []CostOptions{{}, {Batch: 1}, {Steps: 1}, {Batch: 1, Steps: 1, Chunk: -1}} {
		if _, err := cfg.Cost(opts); err == nil {
			t.Errorf("no error for %+v", opts)
		}
	}
	cfg.VocabSize = 0
	if _, err := cfg.Cost(CostOptions{Batch: 1, Steps: 1}); err == nil {
		t.Error("no error for a model without a vocabulary")
	}
}
