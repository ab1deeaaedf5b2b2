package bench

import (
	"cmp"
	"math/rand/v2"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/optim"
)

const (
	vocabulary = 65 // as many characters as tiny Shakespeare has
	seed       = 1
)

// Model is a language model and the shape of the batches it is trained on.
type Model struct {
	Name          string
	Width, Blocks int
	SLSTMAt       xlstm.BlockList
	Hidden        int // units of a plain LSTM, whose layers are then the blocks
	Batch, Length int
	Vocabulary    int  // 0 for that of the small models
	Large         bool // of the xLSTM-7B architecture
}

// Models returns the models whose training is measured: A and B of usual
// shapes, C with only mLSTM blocks for long texts, D with only sLSTM blocks, and
// plain LSTMs beside A and B.
func Models() []Model {
	models := []Model{
		{Name: "A", Width: 128, Blocks: 4, SLSTMAt: xlstm.Blocks(1), Batch: 16, Length: 256},
		{Name: "B", Width: 384, Blocks: 6, SLSTMAt: xlstm.Blocks(1), Batch: 16, Length: 256},
	}
	models = append(models, longer()...)
	models = append(models, Model{Name: "D", Width: 256, Blocks: 4, SLSTMAt: xlstm.AllBlocks(), Batch: 16, Length: 256})
	return append(models, plain()...)
}

// plain returns the plain LSTMs.
func plain() []Model {
	return []Model{
		{Name: "LSTM-A", Width: 128, Blocks: 2, Hidden: 256, Batch: 16, Length: 256},
		{Name: "LSTM-B", Width: 384, Blocks: 2, Hidden: 512, Batch: 16, Length: 256},
	}
}

// Writers returns the models whose generation is measured, A and B and the plain
// LSTMs.
func Writers() []Model { return append(Models()[:2:2], plain()...) }

// longer returns model C at growing lengths, named after thousands of tokens.
func longer() []Model {
	return []Model{long("C1", 1024, 4), long("C4", 4096, 1), long("C16", 16384, 1), long("C64", 65536, 1)}
}

// long is model C at the given length.
func long(name string, length, batch int) Model {
	return Model{Name: name, Width: 256, Blocks: 4, SLSTMAt: xlstm.Blocks(), Batch: batch, Length: length}
}

// large is a model of 407 M parameters of the xLSTM-7B architecture.
func large() Model {
	return Model{Name: "large", Width: 1024, Blocks: 24, Batch: 8, Length: 2048, Vocabulary: 50304, Large: true}
}

// vocab returns the model's vocabulary.
func (m Model) vocab() int { return cmp.Or(m.Vocabulary, vocabulary) }

// Config returns the model's configuration.
func (m Model) Config() xlstm.Config {
	if m.Large {
		cfg := xlstm.DefaultLargeConfig()
		cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.Large.NumHeads = m.vocab(), m.Width, m.Blocks, heads
		return cfg
	}
	if m.Hidden > 0 {
		cfg := xlstm.DefaultLSTMConfig()
		cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.ContextLength = vocabulary, m.Width, m.Blocks, m.Length
		cfg.LSTM.HiddenSize = m.Hidden
		return cfg
	}
	cfg := xlstm.DefaultConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks = vocabulary, m.Width, m.Blocks
	cfg.ContextLength, cfg.SLSTMAt = m.Length, m.SLSTMAt
	return cfg
}

// Training returns the workload of a training step with AdamW on a batch of
// random tokens.
func (m Model) Training() Workload {
	return m.workload(m.Name, m.Batch, m.Length, func(d xlstm.Device) (*Task, error) {
		cost, err := m.Config().Cost(xlstm.CostOptions{Batch: m.Batch, Steps: m.Length})
		if err != nil {
			return nil, err
		}
		model, err := xlstm.New(m.Config(), xlstm.WithSeed(seed), xlstm.WithDevice(d))
		if err != nil {
			return nil, err
		}
		solver, err := optim.NewAdamW(optim.AdamWConfig{WeightDecay: 0.1, Decays: optim.OfficialDecay(false)})
		if err != nil {
			return nil, err
		}
		trainer, err := model.NewTrainer(solver, xlstm.TrainerConfig{Batch: m.Batch, Steps: m.Length})
		if err != nil {
			return nil, err
		}
		batch := randomBatch(m.Batch, m.Length, m.vocab())
		return &Task{
			Step: func() error {
				_, err := trainer.Step(func() data.Batch { return batch })
				return err
			},
			Close: trainer.Close,
			FLOPs: cost.TrainingFLOPs() * float64(m.Batch*m.Length),
			Bytes: cost.TrainingMemory().Total(),
		}, nil
	})
}

// workload returns a workload that prepare makes ready on a device, or on the CPU
// for nil.
func (m Model) workload(name string, batch, length int, prepare func(d xlstm.Device) (*Task, error)) Workload {
	return Workload{Name: name, Batch: batch, Length: length, On: prepare, Prepare: func() (*Task, error) { return prepare(nil) }}
}

func randomBatch(batch, length, vocab int) data.Batch {
	r := rand.New(rand.NewPCG(seed, 2))
	b := data.Batch{B: batch, T: length, Inputs: make([]int, batch*length), Targets: make([]int, batch*length), Fresh: true}
	for i := range b.Inputs {
		b.Inputs[i], b.Targets[i] = r.IntN(vocab), r.IntN(vocab)
	}
	return b
}

// Generation returns the workload of sampling and reading one token in a single
// stream, with the weights held in a format.
func (m Model) Generation(weights xlstm.WeightFormat) Workload {
	name := "generate-" + m.Name
	if weights != xlstm.WeightsFloat32 {
		name += "-" + string(weights)
	}
	return m.workload(name, 1, 1, func(d xlstm.Device) (*Task, error) {
		cost, err := m.Config().Cost(xlstm.CostOptions{Batch: 1, Steps: 1})
		if err != nil {
			return nil, err
		}
		model, err := xlstm.New(m.Config(), xlstm.WithSeed(seed), xlstm.WithWeights(weights), xlstm.WithDevice(d))
		if err != nil {
			return nil, err
		}
		sampler, err := xlstm.NewSampler(m.sampling())
		if err != nil {
			return nil, err
		}
		writer, err := model.NewGenerator()
		if err != nil {
			return nil, err
		}
		if err := writer.Read(0); err != nil {
			return nil, err
		}
		return &Task{
			Step: func() error {
				_, err := writer.Next(sampler)
				return err
			},
			Close: writer.Close,
			FLOPs: cost.DecodeFLOPs(),
		}, nil
	})
}

// sampling is how the model generates: large vocabularies from the most likely
// tokens.
func (m Model) sampling() xlstm.SamplerConfig {
	s := xlstm.SamplerConfig{Temperature: 1, Seed: seed}
	if m.Large {
		s.TopK = 40
	}
	return s
}
