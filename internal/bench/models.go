package bench

import (
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

// Config returns the model's configuration.
func (m Model) Config() xlstm.Config {
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
	return Workload{Name: m.Name, Batch: m.Batch, Length: m.Length, Prepare: func() (*Task, error) {
		cost, err := m.Config().Cost(xlstm.CostOptions{Batch: m.Batch, Steps: m.Length})
		if err != nil {
			return nil, err
		}
		model, err := xlstm.New(m.Config(), xlstm.WithSeed(seed))
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
		batch := randomBatch(m.Batch, m.Length)
		return &Task{
			Step: func() error {
				_, err := trainer.Step(func() data.Batch { return batch })
				return err
			},
			Close: trainer.Close,
			FLOPs: cost.TrainingFLOPs() * float64(m.Batch*m.Length),
			Bytes: cost.TrainingMemory().Total(),
		}, nil
	}}
}

func randomBatch(batch, length int) data.Batch {
	r := rand.New(rand.NewPCG(seed, 2))
	b := data.Batch{B: batch, T: length, Inputs: make([]int, batch*length), Targets: make([]int, batch*length), Fresh: true}
	for i := range b.Inputs {
		b.Inputs[i], b.Targets[i] = r.IntN(vocabulary), r.IntN(vocabulary)
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
	return Workload{Name: name, Batch: 1, Length: 1, Prepare: func() (*Task, error) {
		cost, err := m.Config().Cost(xlstm.CostOptions{Batch: 1, Steps: 1})
		if err != nil {
			return nil, err
		}
		model, err := xlstm.New(m.Config(), xlstm.WithSeed(seed), xlstm.WithWeights(weights))
		if err != nil {
			return nil, err
		}
		sampler, err := xlstm.NewSampler(xlstm.SamplerConfig{Temperature: 1, Seed: seed})
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
	}}
}
