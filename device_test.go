package xlstm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/device/cpu"
	"github.com/gorgonia-xlstm/xlstm/internal/golden"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/gorgonia-xlstm/xlstm/layers"
	"github.com/gorgonia-xlstm/xlstm/optim"
	"github.com/pkg/errors"
	"gorgonia.org/tensor"
)

// testDevice is what XLSTM_DEVICE names, on which the models of the tests then are; nil
// for models without a device. With a card, or on any machine with the CPU as a device:
//
//	XLSTM_DEVICE=cuda go test -tags nvidia .
//	XLSTM_DEVICE=fusing go test .
var testDevice Device

// testCard is what XLSTM_DEVICE names if it is a card.
var testCard string

// hostOnly skips tests of symbolic cells, which no card has, and those that read or write
// the values of a graph, a state or a generator on the host, where those of a device are
// not.
func hostOnly(t *testing.T) {
	t.Helper()
	if testDevice != nil {
		t.Skip("it uses symbolic cells, or values on the host, which are on the device")
	}
}

func TestMain(m *testing.M) {
	if testCard = os.Getenv("XLSTM_DEVICE"); testCard == "fusing" {
		testDevice, testCard = fusing{}, ""
	} else if testCard != "" {
		var err error
		if testDevice, err = OpenDevice(testCard, Precision(os.Getenv("XLSTM_PRECISION"))); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// partsOf returns the parts of a state, wherever its model is.
func partsOf(t *testing.T, s *State) []layers.Param {
	t.Helper()
	if err := s.Fetch(); err != nil {
		t.Fatal(err)
	}
	return s.Tensors()
}

// fusing is the CPU as a device that has all composites, and computes all again that
// it can.
type fusing struct{ cpu.Device }

func (fusing) Fuses(ops.Composite) bool { return true }

// Bind refuses what graphs of symbolic cells alone have, as cards do.
func (d fusing) Bind(op ops.Op, out, in []device.Buffer, workspace device.Buffer) (device.Launch, error) {
	if _, symbolic := op.(ops.AddBias); symbolic {
		return nil, errors.Wrapf(device.ErrUnsupported, "fusing: %s", op.Name())
	}
	return d.Device.Bind(op, out, in, workspace)
}

func (fusing) Recomputes(op ops.Op) bool {
	switch op.(type) {
	case ops.Gated, ops.Norm:
		return true
	}
	return false
}

// otherDevice is a device to hold against models without one: that of the tests, or
// the CPU treated as one, whose memory happens to be the host's.
func otherDevice() Device {
	if testDevice != nil {
		return testDevice
	}
	return fusing{}
}

// deviceModel returns two models with the same parameters, one on a device.
func deviceModel(t *testing.T, cfg Config, dt tensor.Dtype) (host, there *Model) {
	t.Helper()
	make := func(opts ...Option) *Model {
		m, err := New(cfg, append(opts, WithDtype(dt), WithSeed(5))...)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	return make(), make(WithDevice(otherDevice()))
}

func smallLargeConfig() Config {
	cfg := DefaultLargeConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks = 11, 32, 2
	cfg.Large.NumHeads = 2
	return cfg
}

// deviceCases are ways to train.
var deviceCases = map[string]struct {
	cfg     func(*Config)
	trainer TrainerConfig
}{
	"plain":      {func(*Config) {}, TrainerConfig{}},
	"carried":    {func(*Config) {}, TrainerConfig{Carry: true}},
	"resets":     {func(*Config) {}, TrainerConfig{Carry: true, WithResets: true}},
	"accumulate": {func(*Config) {}, TrainerConfig{Accumulate: 3}},
	"dropout":    {func(c *Config) { c.Dropout, c.AddEmbeddingDropout = 0.2, true }, TrainerConfig{Seed: 7}},
	"tied, bias": {func(c *Config) { c.TieWeights, c.Bias = true, true }, TrainerConfig{}},
	"sLSTM":      {func(c *Config) { c.SLSTMAt = AllBlocks() }, TrainerConfig{Carry: true}},
	"LSTM":       {func(c *Config) { c.LSTMAt = Blocks(0) }, TrainerConfig{Carry: true, WithResets: true}},
	"simplified": {func(c *Config) { c.SimplifiedAt = Blocks(2) }, TrainerConfig{Carry: true, WithResets: true}},
	"plain LSTM": {func(c *Config) { *c = otherCells()["plain LSTM"] }, TrainerConfig{}},
}

// deviceBatches are batches of 3 sequences of 70 tokens, of which some targets
// do not count.
func deviceBatches(vocab int) func() data.Batch {
	n := uint64(0)
	return func() data.Batch {
		n++
		b := data.Batch{Inputs: testutil.Tokens(n, 3*70, vocab), Targets: testutil.Tokens(n+100, 3*70, vocab), Starts: make([]bool, 3*70), Fresh: n%4 == 0}
		for i := range b.Targets {
			if (uint64(i)+n)%7 == 0 {
				b.Targets[i] = -1
			}
			b.Starts[i] = (uint64(i)+n)%31 == 0
		}
		return b
	}
}

func newDeviceTrainer(t *testing.T, m *Model, cfg TrainerConfig, solver Solver) *Trainer {
	t.Helper()
	cfg.Batch, cfg.Steps = 3, 70
	tr, err := m.NewTrainer(solver, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close() })
	return tr
}

func adamW(t *testing.T) Solver {
	t.Helper()
	s, err := optim.NewAdamW(optim.AdamWConfig{LR: optim.Constant(3e-3), WeightDecay: 0.1, Decays: optim.OfficialDecay(false), ClipNorm: 0.5})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func steps(t *testing.T, tr *Trainer, next func() data.Batch, n int) (reports []StepReport) {
	t.Helper()
	for range n {
		r, err := tr.Step(next)
		if err != nil {
			t.Fatal(err)
		}
		reports = append(reports, r)
	}
	return reports
}

func wantSteps(t *testing.T, what string, got, want []StepReport, within float64) {
	t.Helper()
	for i, w := range want {
		g := got[i]
		if math.Abs(g.Loss-w.Loss) > within*w.Loss || math.Abs(g.GradNorm-w.GradNorm) > 1e3*within*w.GradNorm || g.LR != w.LR || g.Targets != w.Targets {
			t.Fatalf("%s, step %d: %+v, the CPU has %+v", what, i+1, g, w)
		}
	}
}

// TestDeviceTrainsLikeTheCPU holds training on a device against training without
// one, step by step.
func TestDeviceTrainsLikeTheCPU(t *testing.T) {
	for name, c := range deviceCases {
		cfg := smallConfig()
		c.cfg(&cfg)
		for _, arch := range []string{"v1", "large"} {
			if arch == "large" {
				if cfg.Dropout > 0 || cfg.Bias || slices.Contains([]string{"sLSTM", "LSTM", "plain LSTM", "simplified"}, name) {
					continue
				}
				cfg = smallLargeConfig()
			}
			host, there := deviceModel(t, cfg, tensor.Float64)
			want := steps(t, newDeviceTrainer(t, host, c.trainer, adamW(t)), deviceBatches(cfg.VocabSize), 8)
			got := steps(t, newDeviceTrainer(t, there, c.trainer, adamW(t)), deviceBatches(cfg.VocabSize), 8)
			wantSteps(t, arch+", "+name, got, want, 1e-9)
		}
	}
}

// TestDeviceTrainsAdapters holds the training of adapters on a device against that
// without one.
func TestDeviceTrainsAdapters(t *testing.T) {
	for arch, cfg := range map[string]Config{"v1": smallConfig(), "large": smallLargeConfig()} {
		host, there := deviceModel(t, cfg, tensor.Float64)
		var reports [2][]StepReport
		for i, m := range []*Model{host, there} {
			if err := m.Adapt(AdapterConfig{Rank: 2, Alpha: 6}); err != nil {
				t.Fatal(err)
			}
			reports[i] = steps(t, newDeviceTrainer(t, m, TrainerConfig{}, adamW(t)), deviceBatches(cfg.VocabSize), 5)
		}
		wantSteps(t, arch, reports[1], reports[0], 1e-9)
	}
}

// TestDeviceStepsWithOtherSolvers: a solver that has no side for devices steps on
// the host.
func TestDeviceStepsWithOtherSolvers(t *testing.T) {
	cfg := smallConfig()
	host, there := deviceModel(t, cfg, tensor.Float64)
	sgd := func() Solver {
		s, err := optim.NewSGD(optim.SGDConfig{LR: optim.Constant(1e-2), Momentum: 0.9})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	want := steps(t, newDeviceTrainer(t, host, TrainerConfig{}, sgd()), deviceBatches(cfg.VocabSize), 5)
	got := steps(t, newDeviceTrainer(t, there, TrainerConfig{}, sgd()), deviceBatches(cfg.VocabSize), 5)
	wantSteps(t, "SGD", got, want, 1e-9)
}

// TestDeviceTrainingMoves: a training started without a device continues with
// one and ends without.
func TestDeviceTrainingMoves(t *testing.T) {
	cfg := smallConfig()
	tc := TrainerConfig{Carry: true}
	host, _ := deviceModel(t, cfg, tensor.Float64)
	want := steps(t, newDeviceTrainer(t, host, tc, adamW(t)), deviceBatches(cfg.VocabSize), 9)

	next := deviceBatches(cfg.VocabSize)
	dir := t.TempDir()
	var got []StepReport
	for leg := range 3 {
		m, there := deviceModel(t, cfg, tensor.Float64)
		if leg == 1 {
			m = there
		}
		tr := newDeviceTrainer(t, m, tc, adamW(t))
		if leg > 0 {
			if _, err := tr.Restore(dir); err != nil {
				t.Fatal(err)
			}
		}
		got = append(got, steps(t, tr, next, 3)...)
		dir = filepath.Join(t.TempDir())
		if err := tr.Save(dir, nil); err != nil {
			t.Fatal(err)
		}
	}
	wantSteps(t, "moved", got, want, 1e-9)
}

// TestDeviceTwiceIsTheSame: the same training gives the same bits.
func TestDeviceTwiceIsTheSame(t *testing.T) {
	var runs [2][]StepReport
	for i := range runs {
		_, m := deviceModel(t, smallConfig(), tensor.Float32)
		runs[i] = steps(t, newDeviceTrainer(t, m, TrainerConfig{}, adamW(t)), deviceBatches(11), 6)
	}
	wantSteps(t, "again", runs[1], runs[0], 0)
}

// TestDeviceRefusesNonFiniteSteps: such a step changes nothing, and its error says
// where the first value that is not finite was.
func TestDeviceRefusesNonFiniteSteps(t *testing.T) {
	_, m := deviceModel(t, smallConfig(), tensor.Float32)
	tr := newDeviceTrainer(t, m, TrainerConfig{Carry: true}, adamW(t))
	next := deviceBatches(11)
	steps(t, tr, next, 2)
	if err := m.Fetch(); err != nil {
		t.Fatal(err)
	}
	w, _ := m.Param("lm_head.weight")
	kept := w.Float32s()[5]
	w.Float32s()[5] = float32(math.Inf(1))
	pushModel(t, m)
	var bad *NonFiniteError
	if _, err := tr.Step(next); !errors.As(err, &bad) || bad.Node == "" {
		t.Fatalf("a step with an infinite weight: %v", err)
	}
	w.Float32s()[5] = kept
	pushModel(t, m)
	if r := steps(t, tr, next, 1)[0]; math.IsNaN(r.Loss) || r.Loss > 10 {
		t.Errorf("after the step that was refused: %+v", r)
	}
}

// TestDeviceGeneratesLikeTheCPU reads a prompt and writes on, with texts of a batch
// and a state that is saved and loaded.
func TestDeviceGeneratesLikeTheCPU(t *testing.T) {
	for _, c := range []struct {
		cfg    Config
		dt     tensor.Dtype
		within float64
	}{{smallConfig(), tensor.Float64, 1e-9}, {smallLargeConfig(), tensor.Float64, 1e-9}, {smallConfig(), tensor.Float32, 2e-5}, {smallLargeConfig(), tensor.Float32, 2e-5}} {
		cfg := c.cfg
		host, there := deviceModel(t, cfg, c.dt)
		path := filepath.Join(t.TempDir(), "state.safetensors")
		var logits [2][]float64
		for i, m := range []*Model{host, there} {
			g, err := m.NewGenerator()
			if err != nil {
				t.Fatal(err)
			}
			b, err := m.NewBatchGenerator(2)
			if err != nil {
				t.Fatal(err)
			}
			check := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			check(g.Read(testutil.Tokens(9, 150, cfg.VocabSize)...))
			check(g.SaveState(path))
			check(g.Read(1, 2))
			check(g.LoadState(path))
			check(b.Begin(1, g))
			check(b.Read(0, 3, 1, 4))
			for k := range 5 {
				check(g.Read(k))
				check(b.Step([]int{k, k + 1}))
			}
			for _, f := range []func() ([]float64, error){g.Logits, func() ([]float64, error) { return b.Logits(0) }, func() ([]float64, error) { return b.Logits(1) }} {
				l, err := f()
				check(err)
				logits[i] = append(logits[i], l...)
			}
			check(g.Close())
			check(b.Close())
		}
		if d := golden.Apart(logits[1], logits[0], 0); !(d <= c.within) {
			t.Errorf("logits in %v are %.3g away", c.dt, d)
		}
	}
}

// roughened returns a model whose parameters are all away from their initial values.
func roughened(t *testing.T, cfg Config, opts ...Option) *Model {
	t.Helper()
	m, err := New(cfg, append(opts, WithDtype(tensor.Float32), WithSeed(5))...)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for _, p := range m.Params() {
		size := 0.05
		if strings.Contains(p.Name, "gate_preact") {
			size = 2 // gates that are opened and closed
		}
		for i, x := range p.Value.Float32s() {
			p.Value.Float32s()[i] = x + float32(size*r.NormFloat64()/math.Sqrt(float64(p.Value.Shape()[len(p.Value.Shape())-1])/32))
		}
	}
	pushModel(t, m)
	return m
}

// roundLinears rounds the weights of a model's linear maps to bfloat16, as a device in
// that precision reads them.
func roundLinears(t *testing.T, m *Model) {
	t.Helper()
	for _, p := range m.Params() {
		if p.Value.Dims() != 2 || strings.Contains(p.Name, "embedding") {
			continue
		}
		for i, x := range p.Value.Float32s() {
			bits := math.Float32bits(x)
			p.Value.Float32s()[i] = math.Float32frombits((bits + 0x7fff + bits>>16&1) &^ 0xffff)
		}
	}
	pushModel(t, m)
}

// TestDeviceGeneratesWithWiderModels writes on a text with models whose widths are not
// those of blocks of threads, in float32, and in bfloat16 with the weights rounded before.
func TestDeviceGeneratesWithWiderModels(t *testing.T) {
	precisions := []Precision{PrecisionFloat32}
	if testCard != "" {
		precisions = append(precisions, PrecisionBF16)
	}
	for _, shape := range []struct{ dim, heads, up, vocab int }{{1024, 4, 2752, 5000}, {192, 3, 544, 77}, {640, 5, 9216, 130}, {640, 5, 1696, 130}, {512, 4, 1376, 60}} {
		cfg := smallLargeConfig()
		cfg.EmbeddingDim, cfg.Large.NumHeads, cfg.VocabSize = shape.dim, shape.heads, shape.vocab
		cfg.Large.FFNProjFactor, cfg.Large.FFNRoundUpToMultipleOf = float64(shape.up)/float64(shape.dim), 32
		host := roughened(t, cfg)
		for _, precision := range precisions {
			d := otherDevice()
			if precision != PrecisionFloat32 {
				var err error
				if d, err = OpenDevice(testCard, precision); err != nil {
					t.Fatal(err)
				}
				defer d.Close()
				roundLinears(t, host)
			}
			var logits [2][]float64
			for i, m := range []*Model{host, roughened(t, cfg, WithDevice(d))} {
				g, err := m.NewGenerator()
				if err != nil {
					t.Fatal(err)
				}
				for k := range 12 {
					if err := g.Read((7*k + 3) % shape.vocab); err != nil {
						t.Fatal(err)
					}
					l, err := g.Logits()
					if err != nil {
						t.Fatal(err)
					}
					logits[i] = append(logits[i], l...)
				}
				if err := g.Close(); err != nil {
					t.Fatal(err)
				}
			}
			away := golden.Apart(logits[1], logits[0], 0)
			t.Logf("%+v in %s: %.3g away", shape, precision, away)
			if !(away <= 2e-5) {
				t.Errorf("%+v in %s: logits are %.3g away", shape, precision, away)
			}
		}
	}
}

// TestDeviceGeneratesWithPackedWeights reads a prompt and single tokens with weights in
// fewer bytes. In int8 and int4 x is rounded, where another order of additions may lead to
// another integer, which changes what follows a little: the logits behind most of the
// tokens that begin a text agree all the same.
func TestDeviceGeneratesWithPackedWeights(t *testing.T) {
	for _, f := range []WeightFormat{WeightsBF16, WeightsInt8, WeightsInt4} {
		for arch, cfg := range map[string]Config{"v1": smallConfig(), "large": smallLargeConfig()} {
			if cfg.EmbeddingDim = 192; arch == "large" {
				cfg.Large.NumHeads = 3
			}
			host, err := roughened(t, cfg).Packed(f)
			if err != nil {
				t.Fatal(err)
			}
			there, err := roughened(t, cfg, WithDevice(otherDevice())).Packed(f)
			if err != nil {
				t.Fatal(err)
			}
			if there.Device() == nil {
				t.Fatal("the packed model has left the device")
			}
			var logits [2][][]float64
			for i, m := range []*Model{host, there} {
				g, err := m.NewGenerator()
				if err != nil {
					t.Fatal(err)
				}
				for k := range cfg.VocabSize {
					g.Reset()
					text := []int{k}
					if k == 0 {
						text = testutil.Tokens(9, 70, cfg.VocabSize)
					}
					if err := g.Read(text...); err != nil {
						t.Fatal(err)
					}
					l, err := g.Logits()
					if err != nil {
						t.Fatal(err)
					}
					logits[i] = append(logits[i], slices.Clone(l))
				}
				if err := g.Close(); err != nil {
					t.Fatal(err)
				}
			}
			var away []float64
			for k := range logits[0] {
				away = append(away, golden.Apart(logits[1][k], logits[0][k], 0))
			}
			slices.Sort(away)
			t.Logf("%s in %s: %.3g away", arch, f, away)
			last := len(away) - 1
			within := map[bool]float64{true: 2e-5, false: 5e-2}[f == WeightsBF16]
			if !(away[last/2] <= 2e-5) || !(away[last] <= within) {
				t.Errorf("%s in %s: logits are %.3g away", arch, f, away)
			}
		}
	}
}

// TestDeviceLoadsPackedWeights from a folder that Quantize wrote, and packs those of
// another one while it loads them.
func TestDeviceLoadsPackedWeights(t *testing.T) {
	from := t.TempDir()
	if err := roughened(t, smallLargeConfig()).Save(from, SaveConfig{}); err != nil {
		t.Fatal(err)
	}
	for _, f := range []WeightFormat{WeightsBF16, WeightsInt8} {
		to := t.TempDir()
		if err := Quantize(from, to, QuantizeConfig{Weights: f}); err != nil {
			t.Fatal(err)
		}
		var logits [][]float64
		for _, opts := range [][]Option{{}, {WithDevice(otherDevice())}} {
			for _, dir := range []string{to, from} {
				m, err := Load(dir, append(opts, WithWeights(f))...)
				if err != nil {
					t.Fatal(err)
				}
				if (m.Device() != nil) != (len(opts) > 0) {
					t.Errorf("%s: a model on %v", f, m.Device())
				}
				logits = append(logits, slices.Clone(alone(t, m, 1).logits))
			}
		}
		for _, l := range logits[1:] {
			if away := golden.Apart(l, logits[0], 0); !(away <= 2e-5) {
				t.Errorf("%s: logits are %.3g away", f, away)
			}
		}
	}
}

// TestDeviceSamplesLikeTheCPU: a sampler that looks at the most likely tokens alone,
// which a device then ranks, draws the same ones as on the CPU.
func TestDeviceSamplesLikeTheCPU(t *testing.T) {
	host, there := deviceModel(t, smallLargeConfig(), tensor.Float64)
	for _, cfg := range []SamplerConfig{{}, {Temperature: 1, TopK: 5, Seed: 3}, {Temperature: 0.7, TopK: 8, TopP: 0.8, Seed: 4}, {Temperature: 1, Seed: 5}} {
		var texts [2][]int
		for i, m := range []*Model{host, there} {
			g, err := m.NewGenerator()
			if err != nil {
				t.Fatal(err)
			}
			s, err := NewSampler(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := g.Read(1, 2, 3); err != nil {
				t.Fatal(err)
			}
			for range 30 {
				token, err := g.Next(s)
				if err != nil {
					t.Fatal(err)
				}
				texts[i] = append(texts[i], token)
			}
			if l, err := g.Logits(); err != nil || len(l) != 11 || l[0] == l[1] {
				t.Errorf("logits after sampling: %v, %v", l, err)
			}
			if err := g.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(texts[0], texts[1]) {
			t.Errorf("%+v: %v, the CPU draws %v", cfg, texts[1], texts[0])
		}
	}
}

// noisyMap makes batches that differ in every step: with probability 3/4 a target is a
// function of its input, else it is drawn. Such data cannot be memorised, so that
// losses fall to the entropy of the draws and stay there.
func noisyMap(vocab int) func() data.Batch {
	n := uint64(0)
	return func() data.Batch {
		n++
		b := data.Batch{Inputs: testutil.Tokens(n, 3*70, vocab), Targets: testutil.Tokens(n+1000, 3*70, vocab)}
		for i, kind := range testutil.Tokens(n+2000, len(b.Targets), 4) {
			if kind > 0 {
				b.Targets[i] = (3*b.Inputs[i] + 1) % vocab
			}
		}
		return b
	}
}

// TestDeviceTrainsInBfloat16 holds the losses of training in bfloat16 against those in
// float32, for models of both architectures, while both learn. A rounding to bfloat16
// is off by 2⁻⁹ of a number at most, and about thirty of them in a row, which are
// independent, by 2⁻⁹·√30, a hundredth: so much of a logit, and with it of the loss of
// a token, may differ. The learning rates are ones at which runs in float32 from weights
// that are a rounding to bfloat16 apart stay within 0.003; at four times the larger
// model's, those part by 0.05. Needs a card.
func TestDeviceTrainsInBfloat16(t *testing.T) {
	name := testCard
	if name == "" {
		t.Skip("XLSTM_DEVICE names no device")
	}
	half, err := OpenDevice(name, PrecisionBF16)
	if err != nil {
		t.Fatal(err)
	}
	defer half.Close()
	small, large := smallConfig(), smallLargeConfig()
	large.EmbeddingDim, large.NumBlocks = 128, 4
	for arch, c := range map[string]struct {
		cfg  Config
		rate float64
	}{"v1": {small, 1e-3}, "large": {large, 5e-4}} {
		want, got := noisySteps(t, c.cfg, c.rate, testDevice), noisySteps(t, c.cfg, c.rate, half)
		first, last, worst := want[0].Loss, len(want)-1, 0.0
		for i := range want {
			apart := math.Abs(got[i].Loss - want[i].Loss)
			worst = max(worst, apart)
			if !(apart <= 0.01*first) {
				t.Errorf("%s, step %d: a loss of %v in bfloat16, %v in float32", arch, i+1, got[i].Loss, want[i].Loss)
			}
		}
		if !(want[last].Loss < 0.7*first) {
			t.Errorf("%s: a loss of %v after %d steps, %v before", arch, want[last].Loss, last, first)
		}
		t.Logf("%s: losses from %.4f to %.4f in float32, at most %.4f away in bfloat16", arch, first, want[last].Loss, worst)
	}
}

// noisySteps trains a new model on a noisyMap.
func noisySteps(t *testing.T, cfg Config, rate float64, d Device) []StepReport {
	t.Helper()
	m, err := New(cfg, WithSeed(5), WithDevice(d))
	if err != nil {
		t.Fatal(err)
	}
	solver, err := optim.NewAdamW(optim.AdamWConfig{LR: optim.Constant(rate), WeightDecay: 0.1, ClipNorm: 0.5})
	if err != nil {
		t.Fatal(err)
	}
	return steps(t, newDeviceTrainer(t, m, TrainerConfig{}, solver), noisyMap(cfg.VocabSize), 100)
}
