package xlstm

import (
	"strings"
	"testing"
	"time"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/gorgonia-xlstm/xlstm/optim"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// deviceSizes are models and batches of docs/gpu.md.
var deviceSizes = []struct {
	name        string
	dim, blocks int
}{{"A", 128, 4}, {"B", 384, 6}}

func benchProgram(b *testing.B, dim, blocks int) (*Program, Input) {
	b.Helper()
	cfg := DefaultConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.SLSTMAt = 64, dim, blocks, Blocks(1)
	m, err := New(cfg, WithDtype(tensor.Float32), WithDevice(testDevice))
	if err != nil {
		b.Fatal(err)
	}
	p := compileProgram(b, m, ProgramConfig{Batch: 16, Steps: 256, Grad: true})
	return p, Input{Tokens: testutil.Tokens(1, 16*256, 64), Targets: testutil.Tokens(2, 16*256, 64)}
}

// BenchmarkDevice runs forward and backward passes on the device of the tests,
// and reports how much of the time each kind of operation takes when all run
// one by one:
//
//	XLSTM_DEVICE=cuda go test -tags nvidia -run - -bench Device .
func BenchmarkDevice(b *testing.B) {
	if testDevice == nil {
		b.Skip("XLSTM_DEVICE names no device")
	}
	for _, size := range deviceSizes {
		p, in := benchProgram(b, size.dim, size.blocks)
		b.Run(size.name, func(b *testing.B) {
			for range b.N {
				runInput(b, p, in)
				if _, err := p.Loss(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(size.name+"/operations", func(b *testing.B) {
			runInput(b, p, in) // the operations take its tokens
			timeOperations(b, p)
		})
	}
}

// largest is the model of 407 M parameters, of the xLSTM-7B architecture, whose
// training and generation docs/gpu.md has.
func largest() Config {
	cfg := DefaultLargeConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks = 50304, 1024, 24
	cfg.Large.NumHeads = 4
	return cfg
}

func largestModel(b *testing.B) *Model {
	b.Helper()
	if testDevice == nil {
		b.Skip("XLSTM_DEVICE names no device")
	}
	m, err := New(largest(), WithDtype(tensor.Float32), WithDevice(testDevice))
	if err != nil {
		b.Fatal(err)
	}
	return m
}

// BenchmarkLargeTraining takes training steps of the model of 407 M parameters on
// 8 sequences of 2048 tokens, with XLSTM_PRECISION, and then times its operations:
//
//	XLSTM_DEVICE=cuda XLSTM_PRECISION=bf16 go test -tags nvidia -run - -bench LargeTraining .
func BenchmarkLargeTraining(b *testing.B) {
	const batch, length = 8, 2048
	m := largestModel(b)
	solver, err := optim.NewAdamW(optim.AdamWConfig{LR: optim.Constant(1e-4), WeightDecay: 0.1, ClipNorm: 1})
	if err != nil {
		b.Fatal(err)
	}
	tr, err := m.NewTrainer(solver, TrainerConfig{Batch: batch, Steps: length})
	if err != nil {
		b.Fatal(err)
	}
	n := batch * length
	step := func() {
		if _, err := tr.Step(func() data.Batch {
			return data.Batch{Inputs: testutil.Tokens(1, n, 50304), Targets: testutil.Tokens(2, n, 50304)}
		}); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("step", func(b *testing.B) {
		step()
		b.ResetTimer()
		for range b.N {
			step()
		}
		b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "tok/s")
		if d, ok := testDevice.(device.Sized); ok {
			free, total, err := d.Memory()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(total-free)/1e9, "GB")
		}
	})
	b.Run("operations", func(b *testing.B) {
		step() // the operations take its tokens
		timeOperations(b, tr.program)
	})
}

// timeOperations times every operation of a program alone.
func timeOperations(b *testing.B, p *Program) {
	spent, names := make(map[string]time.Duration), p.remote.Operations()
	for range b.N {
		last, k := time.Now(), 0
		err := p.remote.EachStep(func(*gorgonia.Node, []nodes.Buffer) error {
			if err := testDevice.Sync(); err != nil {
				return err
			}
			now := time.Now()
			spent[strings.ReplaceAll(names[k], " ", "_")] += now.Sub(last)
			last, k = now, k+1
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	for name, d := range spent {
		b.ReportMetric(float64(d.Microseconds())/float64(b.N), "µs/"+name)
	}
}

// BenchmarkLargeGeneration generates with the model of 407 M parameters, one text, and
// reads a prompt of 2048 tokens, with weights as the precision has them and in int8:
//
//	XLSTM_DEVICE=cuda XLSTM_PRECISION=bf16 go test -tags nvidia -run - -bench LargeGeneration .
func BenchmarkLargeGeneration(b *testing.B) {
	m := largestModel(b)
	for _, f := range []WeightFormat{WeightsFloat32, WeightsInt8} {
		if f != WeightsFloat32 {
			packed, err := m.Packed(f)
			if err != nil {
				b.Fatal(err)
			}
			m = packed
		}
		b.Run("weights="+string(f), func(b *testing.B) { benchGeneration(b, m) })
	}
}

func benchGeneration(b *testing.B, m *Model) {
	g, err := m.NewGenerator()
	if err != nil {
		b.Fatal(err)
	}
	defer g.Close()
	prompt := testutil.Tokens(1, 2048, 50304)
	read := func(b *testing.B) {
		if err := g.Read(prompt...); err != nil {
			b.Fatal(err)
		}
		if _, err := g.Logits(); err != nil {
			b.Fatal(err)
		}
	}
	read(b)
	b.Run("prompt", func(b *testing.B) {
		for range b.N {
			read(b)
		}
		b.ReportMetric(float64(len(prompt)*b.N)/b.Elapsed().Seconds(), "tok/s")
	})
	const tokens = 200 // of an iteration
	for _, way := range []struct {
		name string
		cfg  SamplerConfig
	}{{"greedy", SamplerConfig{}}, {"top 40", SamplerConfig{Temperature: 1, TopK: 40}}} {
		s, err := NewSampler(way.cfg)
		if err != nil {
			b.Fatal(err)
		}
		// One token after the other, each of which is looked at before the next.
		b.Run(way.name, func(b *testing.B) {
			for range tokens * b.N {
				if _, err := g.Next(s); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(tokens*b.N)/b.Elapsed().Seconds(), "tok/s")
		})
	}
}
