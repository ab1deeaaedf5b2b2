package xlstm

import (
	"fmt"
	"sync"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/gorgonia-xlstm/xlstm/layers"
	"github.com/gorgonia-xlstm/xlstm/optim"
	"github.com/pkg/errors"
	"gorgonia.org/tensor"
)

// TestReadersOfOneModelRunAtTheSameTime: generators, for one text and for several,
// programs, traces and what only looks at the model, with the results of each
// alone. Under the race detector it also shows that they share nothing that they
// write.
func TestReadersOfOneModelRunAtTheSameTime(t *testing.T) {
	paper, large := smallConfig(), DefaultLargeConfig()
	paper.VocabSize = 256
	large.VocabSize, large.EmbeddingDim, large.NumBlocks, large.Large.NumHeads = 256, 16, 2, 2
	configs := otherCells()
	for name, cfg := range configs {
		cfg.VocabSize = 256
		configs[name] = cfg
	}
	configs["the paper's"], configs["xLSTM-7B's"] = paper, large
	for name, cfg := range configs {
		t.Run(name, func(t *testing.T) {
			m := smallModel(t, cfg, tensor.Float32)
			var want []string
			for _, read := range readers {
				got, err := read(t, m)
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, got)
			}
			var wait sync.WaitGroup
			for range 2 {
				for i, read := range readers {
					wait.Go(func() {
						if got, err := read(t, m); err != nil || got != want[i] {
							t.Errorf("reader %d: %.200q, %v; alone %.200q", i, got, err, want[i])
						}
					})
				}
			}
			wait.Wait()
		})
	}
}

// TestReadersBesideATrainer: they take turns with its updates, which come out as
// they do alone. Under the race detector it also shows that nothing is read while
// it is written.
func TestReadersBesideATrainerAtTheSameTime(t *testing.T) {
	cfg := smallConfig()
	cfg.VocabSize = 256
	train := func(beside func(m *Model, stop <-chan struct{})) *Model {
		m := smallModel(t, cfg, tensor.Float32)
		solver, err := optim.NewAdamW(optim.AdamWConfig{})
		if err != nil {
			t.Fatal(err)
		}
		tr, err := m.NewTrainer(solver, TrainerConfig{Batch: 2, Steps: 8})
		if err != nil {
			t.Fatal(err)
		}
		defer tr.Close()
		stop, done := make(chan struct{}), make(chan struct{})
		go func() { defer close(done); beside(m, stop) }()
		batch := data.Batch{B: 2, T: 8, Inputs: testutil.Tokens(1, 16, 256), Targets: testutil.Tokens(2, 16, 256)}
		for range 8 {
			if _, err := tr.Step(func() data.Batch { return batch }); err != nil {
				t.Fatal(err)
			}
		}
		close(stop)
		<-done
		return m
	}
	alone := train(func(*Model, <-chan struct{}) {})
	beside := train(func(m *Model, stop <-chan struct{}) {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := readers[i%len(readers)](t, m); err != nil {
				t.Error(err)
			}
		}
	})
	wantSameParams(t, beside, alone)
}

// readers are calls that may run at the same time, each of which makes what it
// needs and says what came of it.
var readers = []func(t *testing.T, m *Model) (string, error){
	func(t *testing.T, m *Model) (string, error) {
		g, err := m.NewGenerator()
		if err != nil {
			return "", err
		}
		defer g.Close()
		c, err := g.Complete(t.Context(), data.Bytes{}, Request{Prompt: "a prompt of some length", MaxTokens: 20, Sampler: SamplerConfig{Temperature: 1, Seed: 1}}, nil)
		return fmt.Sprint(c), err
	},
	func(t *testing.T, m *Model) (string, error) {
		b, err := m.NewBatchGenerator(3)
		if err != nil {
			return "", err
		}
		defer b.Close()
		all, err := b.Complete(t.Context(), data.Bytes{}, someRequests(nil)[:4], nil)
		return fmt.Sprint(all), err
	},
	func(t *testing.T, m *Model) (string, error) {
		p, err := m.Compile(ProgramConfig{Batch: 2, Steps: 8, Loss: true})
		if err != nil {
			return "", err
		}
		defer p.Close()
		if err := p.Run(Input{Tokens: testutil.Tokens(1, 16, 256), Targets: testutil.Tokens(2, 16, 256)}); err != nil {
			return "", err
		}
		loss, err := p.Loss()
		return fmt.Sprint(loss), err
	},
	func(t *testing.T, m *Model) (string, error) {
		p, err := m.Compile(ProgramConfig{Batch: 1, Steps: 20, KeepValues: true})
		if err != nil {
			return "", err
		}
		defer p.Close()
		if err := p.Run(Input{Tokens: testutil.Tokens(3, 20, 256)}); err != nil {
			return "", err
		}
		switch cell := p.Cells()[0].(type) {
		case *layers.MLSTMCell:
			return fmt.Sprint(cell.H.Value()), nil
		case *layers.LSTMCell:
			return fmt.Sprint(cell.H.Value()), nil
		}
		return "", errors.Errorf("a cell of type %T", p.Cells()[0])
	},
	func(t *testing.T, m *Model) (string, error) {
		dir := t.TempDir()
		if err := m.Save(dir, SaveConfig{}); err != nil {
			return "", err
		}
		back, err := Load(dir)
		if err != nil {
			return "", err
		}
		return fmt.Sprint(m.NumParams(), back.NumParams(), len(m.Params()), m.Marks(data.Bytes{})), nil
	},
}
