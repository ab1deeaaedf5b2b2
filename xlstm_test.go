package xlstm

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/golden"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/gorgonia-xlstm/xlstm/optim"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// smallConfig is a model with blocks of both kinds.
func smallConfig() Config {
	cfg := DefaultConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.SLSTMAt = 11, 16, 3, Blocks(1)
	cfg.MLSTMBlock.MLSTM.RoundProjUpToMultipleOf = 16
	return cfg
}

// otherCells are models of the cells beside the xLSTM.
func otherCells() map[string]Config {
	blocks, plain := smallConfig(), DefaultLSTMConfig()
	blocks.NumBlocks, blocks.SLSTMAt, blocks.LSTMAt, blocks.SimplifiedAt = 4, Blocks(2), Blocks(1), Blocks(3)
	plain.VocabSize, plain.EmbeddingDim, plain.LSTM.HiddenSize = 11, 6, 8
	return map[string]Config{"other blocks": blocks, "plain LSTM": plain}
}

// smallModel is a model of smallConfig whose parameters are away from their
// initial values.
func smallModel(t testing.TB, cfg Config, dt tensor.Dtype) *Model {
	t.Helper()
	m, err := New(cfg, WithDtype(dt), WithSeed(3), WithDevice(testDevice))
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(4, 4))
	for _, p := range m.Params() {
		testutil.Perturb(r, p.Value.Data())
	}
	pushModel(t, m)
	return m
}

// TestParameterCounts compares with the counts of the official models.
func TestParameterCounts(t *testing.T) {
	parity := func(at BlockList) Config {
		cfg := DefaultConfig()
		cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.SLSTMAt = 3, 64, 2, at
		cfg.MLSTMBlock.MLSTM.NumHeads, cfg.SLSTMBlock.SLSTM.NumHeads = 1, 1
		return cfg
	}
	block125M := func(at BlockList) Config {
		cfg := DefaultConfig()
		cfg.VocabSize, cfg.EmbeddingDim, cfg.SLSTMAt = 1, 768, at
		return cfg
	}
	readme := DefaultConfig()
	readme.VocabSize, readme.NumBlocks, readme.SLSTMAt = 50304, 7, Blocks(1)
	for _, c := range []struct {
		name string
		cfg  Config
		want int
	}{
		{"parity xlstm[0:1]", parity(AllBlocks()), 116672},
		{"parity xlstm[1:0]", parity(Blocks()), 56132},
		{"parity xlstm[1:1]", parity(Blocks(1)), 86402},
		{"README's language model", readme, 13642672},
		{"mLSTM block of 125M", block125M(Blocks()), 3605768 + 3*768},
		{"sLSTM block of 125M", block125M(Blocks(0)), 3548160 + 3*768},
	} {
		m, err := New(c.cfg)
		if err != nil {
			t.Fatal(err)
		}
		if m.NumParams() != c.want {
			t.Errorf("%s: %d parameters, want %d", c.name, m.NumParams(), c.want)
		}
	}
}

// TestLogProbsOfGeneratorEqualWholeForward: reading a text token by token, or in
// chunks of any kind, predicts what the whole sequence at once predicts.
func TestLogProbsOfGeneratorEqualWholeForward(t *testing.T) {
	const n = 141 // read as 64+64+8+5·1
	tokens := testutil.Tokens(1, n, 11)
	for _, c := range []struct {
		dt  tensor.Dtype
		tol float64
	}{{tensor.Float64, 1e-6}, {tensor.Float32, 1e-4}} {
		m := smallModel(t, smallConfig(), c.dt)
		p := compileProgram(t, m, ProgramConfig{Batch: 1, Steps: n, FwdConfig: FwdConfig{Form: nodes.Parallel}})
		runProgram(t, p, tokens, nil, nil)
		logits, _ := p.Logits()
		all := floatsOf(logits)
		want := make([]float64, n-1)
		for i := range want {
			want[i] = numbers.LogProb(all[i*11:(i+1)*11], tokens[i+1])
		}
		for name, read := range map[string]func(g *Generator) ([]float64, error){
			"at once": func(g *Generator) ([]float64, error) { return g.LogProbs(tokens...) },
			"one by one": func(g *Generator) (out []float64, err error) {
				for _, tok := range tokens {
					p, err := g.LogProbs(tok)
					if err != nil {
						return nil, err
					}
					out = append(out, p...)
				}
				return out, nil
			},
		} {
			g, err := m.NewGenerator()
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			got, err := read(g)
			if err != nil {
				t.Fatal(err)
			}
			if !math.IsNaN(got[0]) {
				t.Errorf("the first token has log-probability %v, but nothing predicts it", got[0])
			}
			if d := golden.Apart(got[1:], want, 1); d > c.tol {
				t.Errorf("%v, %s: log-probabilities are %.3g away", c.dt, name, d)
			}
			if g.Tokens() != n {
				t.Errorf("%d tokens read, want %d", g.Tokens(), n)
			}
		}
	}
}

// TestLogProbsNameTheFirstTokenWithoutOne: what is computed as NaN is an error and
// not taken for "nothing predicts it", wherever in a text and in a call it is.
func TestLogProbsNameTheFirstTokenWithoutOne(t *testing.T) {
	hostOnly(t)
	const poison = 7
	m := smallModel(t, smallConfig(), tensor.Float32)
	embedding, _ := m.Param("token_embedding.weight")
	row := embedding.Float32s()[poison*16:][:16]
	for i := range row {
		row[i] = 3e38
	}
	row[0] = -3e38
	for name, c := range map[string]struct {
		read, tokens []int
		want         int // entries
		sentence     string
	}{
		"within a call":         {nil, []int{1, 2, 3, poison, 4, 5}, 4, "token 4, number 4 of the text counted from 0, is NaN"},
		"in a later chunk":      {nil, append(slices.Repeat([]int{1}, 70), poison, 5), 71, "token 5, number 71 of the text counted from 0"},
		"at a call's beginning": {[]int{1, poison}, []int{5, 4}, 0, "token 5, number 2 of the text counted from 0"},
	} {
		g, err := m.NewGenerator()
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Read(c.read...); err != nil {
			t.Fatal(err)
		}
		probs, err := g.LogProbs(c.tokens...)
		if err == nil || !strings.Contains(err.Error(), c.sentence) || len(probs) != c.want {
			t.Errorf("%s: %d entries, %v; want %d and %q", name, len(probs), err, c.want, c.sentence)
		}
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestGeneratorIsReproducibleAndResets(t *testing.T) {
	m := smallModel(t, smallConfig(), tensor.Float32)
	g, err := m.NewGenerator()
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if _, err := g.Logits(); err == nil {
		t.Error("logits of a generator that has read nothing")
	}
	write := func() (out []int) {
		s, err := NewSampler(SamplerConfig{Temperature: 1, TopK: 5, TopP: 0.9, Seed: 7})
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Read(3, 1, 4); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			tok, err := g.Next(s)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, tok)
		}
		return out
	}
	first := write()
	g.Reset()
	for i, tok := range write() {
		if tok != first[i] {
			t.Fatalf("token %d is %d, was %d", i, tok, first[i])
		}
	}
	if err := g.Read(11); err == nil || !strings.Contains(err.Error(), "vocabulary of 11") {
		t.Errorf("a token outside the vocabulary: %v", err)
	}
}

// TestSamplerDistribution draws often and compares with the softmax, cut where
// it should be.
func TestSamplerDistribution(t *testing.T) {
	logits := []float64{math.Log(0.1), math.Log(0.5), math.Log(0.3), math.Log(0.1)}
	for _, c := range []struct {
		name string
		cfg  SamplerConfig
		want []float64
	}{
		{"all", SamplerConfig{Temperature: 1}, []float64{0.1, 0.5, 0.3, 0.1}},
		{"top 2", SamplerConfig{Temperature: 1, TopK: 2}, []float64{0, 0.625, 0.375, 0}},
		{"top p", SamplerConfig{Temperature: 1, TopP: 0.55}, []float64{0, 0.625, 0.375, 0}},
		{"cold", SamplerConfig{Temperature: 0.5}, []float64{0.01 / 0.36, 0.25 / 0.36, 0.09 / 0.36, 0.01 / 0.36}},
		{"greedy", SamplerConfig{}, []float64{0, 1, 0, 0}},
	} {
		s, err := NewSampler(c.cfg)
		if err != nil {
			t.Fatal(err)
		}
		const n = 20000
		counts := make([]float64, len(logits))
		for range n {
			tok, err := s.Sample(logits)
			if err != nil {
				t.Fatal(err)
			}
			counts[tok]++
		}
		for i, want := range c.want {
			if got := counts[i] / n; math.Abs(got-want) > 0.015 || (want == 0 && got > 0) {
				t.Errorf("%s: token %d drawn with frequency %.3f, want %.3f", c.name, i, got, want)
			}
		}
	}
}

func TestSamplerRefusesNonsense(t *testing.T) {
	for _, cfg := range []SamplerConfig{{Temperature: -1}, {TopK: -1}, {TopP: 2}, {Temperature: math.NaN()}} {
		if _, err := NewSampler(cfg); err == nil {
			t.Errorf("%+v is accepted", cfg)
		}
	}
	s, _ := NewSampler(SamplerConfig{})
	for _, logits := range [][]float64{nil, {math.NaN()}, {0, math.Inf(1)}} {
		if _, err := s.Sample(logits); err == nil {
			t.Errorf("logits %v are accepted", logits)
		}
	}
}

// trainSteps trains a small model and returns the losses.
func trainSteps(t *testing.T, cfg Config, steps int, carry bool) []float64 {
	t.Helper()
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p := compileProgram(t, m, ProgramConfig{Batch: 4, Steps: 24, Grad: true, Carry: carry, FwdConfig: FwdConfig{Training: true}})
	solver, err := optim.NewAdamW(optim.AdamWConfig{LR: optim.Constant(1e-2), Decays: optim.OfficialDecay(false), WeightDecay: 0.1, ClipNorm: 1})
	if err != nil {
		t.Fatal(err)
	}
	var state *State
	if carry {
		if state, err = m.NewState(4); err != nil {
			t.Fatal(err)
		}
	}
	tokens := testutil.Tokens(2, 4*25, cfg.VocabSize)
	var losses []float64
	for step := range steps {
		runInput(t, p, Input{Tokens: columns(tokens, 25, 0, 24), Targets: columns(tokens, 25, 1, 24), State: state, Dropout: DropoutKey{Seed: 1, Step: step}})
		loss, err := p.Loss()
		if err != nil {
			t.Fatal(err)
		}
		losses = append(losses, loss)
		if err := solver.Step(p.ValueGrads()); err != nil {
			t.Fatal(err)
		}
	}
	return losses
}

func TestTrainingLearnsByHeart(t *testing.T) {
	losses := trainSteps(t, smallConfig(), 120, false)
	if first, last := losses[0], losses[len(losses)-1]; first < 2 || last > 0.5 {
		t.Errorf("loss went from %.3f to %.3f; random tokens should be learned by heart", first, last)
	}
}

func TestTrainingIsTheSameToTheBitWhateverGOMAXPROCS(t *testing.T) {
	cfg := smallConfig()
	cfg.Dropout, cfg.AddEmbeddingDropout = 0.1, true
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	want := trainSteps(t, cfg, 6, true)
	for _, procs := range []int{2, 5} {
		runtime.GOMAXPROCS(procs)
		for i, loss := range trainSteps(t, cfg, 6, true) {
			if loss != want[i] {
				t.Fatalf("GOMAXPROCS %d: loss %d is %v, was %v", procs, i, loss, want[i])
			}
		}
	}
}

// TestProgramsOfOneModelShareParameters trains in one program and sees the
// change in another.
func TestProgramsOfOneModelShareParameters(t *testing.T) {
	hostOnly(t)
	m := smallModel(t, smallConfig(), tensor.Float32)
	tokens := testutil.Tokens(3, 8, 11)
	eval := compileProgram(t, m, ProgramConfig{Batch: 1, Steps: 7, Loss: true})
	train := compileProgram(t, m, ProgramConfig{Batch: 1, Steps: 7, Grad: true})
	runProgram(t, eval, tokens[:7], tokens[1:], nil)
	before, _ := eval.Loss()
	solver, err := optim.NewSGD(optim.SGDConfig{LR: optim.Constant(0.05)})
	if err != nil {
		t.Fatal(err)
	}
	runProgram(t, train, tokens[:7], tokens[1:], nil)
	if err := solver.Step(train.ValueGrads()); err != nil {
		t.Fatal(err)
	}
	runProgram(t, eval, tokens[:7], tokens[1:], nil)
	if after, _ := eval.Loss(); !(after < before) {
		t.Errorf("loss is %v after a step, was %v", after, before)
	}
}

func TestProgramErrorsSayWhatIsWrong(t *testing.T) {
	m := smallModel(t, smallConfig(), tensor.Float32)
	if _, err := m.Compile(ProgramConfig{Batch: 0, Steps: 3}); err == nil {
		t.Error("an empty batch is accepted")
	}
	p := compileProgram(t, m, ProgramConfig{Batch: 1, Steps: 3, Loss: true})
	if _, err := p.Loss(); err == nil {
		t.Error("a loss before the first run")
	}
	state, _ := m.NewState(1)
	for want, err := range map[string]error{
		"compiled for 3":         p.Run(Input{Tokens: []int{1, 2}, Targets: []int{1, 2, 3}}),
		"outside the vocabulary": p.Run(Input{Tokens: []int{1, 2, 99}, Targets: []int{1, 2, 3}}),
		"target 11":              p.Run(Input{Tokens: []int{1, 2, 3}, Targets: []int{1, 2, 11}}),
		"without Carry":          p.Run(Input{Tokens: []int{1, 2, 3}, Targets: []int{1, 2, 3}, State: state}),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
	carry := compileProgram(t, m, ProgramConfig{Batch: 2, Steps: 3, Carry: true})
	if err := carry.Run(Input{Tokens: make([]int, 6), State: state}); err == nil {
		t.Error("a state of another batch is accepted")
	}
}

// TestModelInAGraphOfOnesOwn differentiates the model inside a larger graph.
func TestModelInAGraphOfOnesOwn(t *testing.T) {
	m := smallModel(t, smallConfig(), tensor.Float64)
	g := gorgonia.NewGraph()
	ids := gorgonia.NewVector(g, tensor.Int, gorgonia.WithShape(6), gorgonia.WithName("tokens"),
		gorgonia.WithValue(tensor.New(tensor.WithShape(6), tensor.WithBacking([]int{1, 2, 3, 4, 5, 6}))))
	out, err := m.Fwd(g, GraphInput{Batch: 2, Tokens: ids}, FwdConfig{})
	if err != nil {
		t.Fatal(err)
	}
	cost := gorgonia.Must(gorgonia.Mean(gorgonia.Must(gorgonia.Square(out.Logits))))
	if _, err := gorgonia.Grad(cost, out.Model()...); err != nil {
		t.Fatal(err)
	}
	if err := nodes.Check(g); err != nil {
		t.Fatal(err)
	}
	vm := gorgonia.NewTapeMachine(g, gorgonia.BindDualValues(out.Model()...))
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	for _, n := range out.Model() {
		grad, err := n.Grad()
		if err != nil {
			t.Fatal(err)
		}
		if golden.Apart(floatsOf(grad), make([]float64, n.Shape().TotalSize()), 1) == 0 {
			t.Errorf("the gradient of %s is zero", n.Name())
		}
	}
}
