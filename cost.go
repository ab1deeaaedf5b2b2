package xlstm

import (
	"github.com/gorgonia-xlstm/xlstm/layers"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/pkg/errors"
	"gorgonia.org/tensor"
)

// CostOptions says for what run a Cost is.
type CostOptions struct {
	// Batch is the number of sequences, Steps the number of tokens in each.
	Batch, Steps int
	// Chunk is the chunk length of the mLSTM cells; 0 means nodes.DefaultChunk.
	// From Steps on it is the parallel form.
	Chunk int
}

// Cost is what a configuration costs: parameters, memory and arithmetic. It
// follows from the shapes alone.
type Cost struct {
	CostOptions
	// Parts are the embedding, the parts of every block, the norm behind the
	// blocks and the head, in the order in which they run.
	Parts []PartCost
	// Activations is the size in bytes of all results in the graph of a training
	// step over Batch×Steps tokens but the parameters' gradients: what the values
	// of the forward and the backward pass take when they write over those that
	// nobody needs any more. The buffers of operations at work come on top: in a
	// backward pass for each core chiefly the mLSTM's memories between the chunks,
	// 4·DH²·Steps/Chunk bytes.
	Activations int64
	// Generation is the size in bytes of all that a Generator holds besides the
	// parameters, once it has compiled all of its programs: its state and the values
	// in their graphs.
	Generation int64
}

// PartCost is the share of one part of a model.
type PartCost struct {
	// Name says what it is, such as "up projection".
	Name string
	// Block is the index of the block it belongs to, −1 for none.
	Block int
	// Kind is the kind of that block's cell, mLSTM or sLSTM.
	Kind string
	// Tensors are its parameters under the official names. A tied head has none.
	Tensors []layers.TensorShape
	// Params is the number of their elements.
	Params int64
	// State is the number of elements of its recurrent state, for one sequence.
	State int64
	// Forward and Backward are multiply-adds per token in training, Decode those
	// of the forward pass over a single token, in generation. Counted are the
	// matrix products and the convolutions. What is done element by element
	// (norms, activations, exponential gates, dropout, sums) is not: it grows with
	// the width, they with its square. A cell that works on chunks is counted with
	// the products as they are done, of whole chunks, half of which the causal mask
	// then discards.
	Forward, Backward, Decode float64
}

// Memory is a number of bytes by use, for float32.
type Memory struct {
	// Params, Gradients and Moments are 4, 4 and 8 bytes per parameter: AdamW has
	// two moments.
	Params, Gradients, Moments int64
	// Activations is that of the Cost.
	Activations int64
}

// Total returns the sum.
func (m Memory) Total() int64 { return m.Params + m.Gradients + m.Moments + m.Activations }

const (
	float32Size = 4
	// moments is the number of AdamW's moments of a gradient.
	moments = 2
)

// Cost returns what the configuration costs. It builds the model's graphs and
// plans their memory, but gives them no values: it takes a moment, and no memory,
// however large the model would be.
func (c Config) Cost(opts CostOptions) (Cost, error) {
	if err := c.Validate(); err != nil {
		return Cost{}, errors.Wrap(err, "xlstm: configuration")
	}
	if opts.Batch < 1 || opts.Steps < 1 || opts.Chunk < 0 {
		return Cost{}, errors.Errorf("xlstm: the cost of %d sequences of %d tokens in chunks of %d; the first two must be at least 1, the last positive or 0 for the default", opts.Batch, opts.Steps, opts.Chunk)
	}
	if opts.Chunk == 0 {
		opts.Chunk = nodes.DefaultChunk
	}
	m, err := c.outline()
	if err != nil {
		return Cost{}, err
	}
	cost := Cost{CostOptions: opts, Parts: m.costParts(opts)}
	if cost.Activations, err = m.trainingBytes(opts); err != nil {
		return Cost{}, err
	}
	cost.Activations -= float32Size * cost.Total().Params // their gradients
	cost.Generation, err = m.generationBytes(cost.StateBytes())
	return cost, err
}

// outline returns a model of this configuration that has shapes and no values.
func (c Config) outline() (*Model, error) {
	store, err := layers.NewStore(tensor.Float32, 0, layers.ShapesOnly())
	if err != nil {
		return nil, err
	}
	return newModel(c, store)
}

// tensors returns the parameters of a model of this configuration under the
// official names, without making any.
func (c Config) tensors() ([]layers.TensorShape, error) {
	m, err := c.outline()
	if err != nil {
		return nil, err
	}
	var shapes []layers.TensorShape
	for _, p := range m.parts {
		shapes = append(shapes, p.Params...)
	}
	return shapes, nil
}

// costParts returns what the model's parts cost.
func (m *Model) costParts(opts CostOptions) (parts []PartCost) {
	cells := layers.CellConfig{Chunk: opts.Chunk}
	for _, p := range m.parts {
		c := PartCost{Name: p.Name, Block: p.block, Tensors: p.Params}
		if p.block >= 0 {
			c.Kind = m.cfg.block(p.block).Kind()
		}
		for _, t := range p.Params {
			c.Params += t.Size()
		}
		for _, s := range p.State {
			c.State += s.Size()
		}
		forward, backward := p.MulAdds(opts.Steps, cells)
		decode, _ := p.MulAdds(1, cells)
		c.Forward, c.Backward, c.Decode = float64(forward)/float64(opts.Steps), float64(backward)/float64(opts.Steps), float64(decode)
		parts = append(parts, c)
	}
	return parts
}

// trainingBytes returns the size of all results of a training step.
func (m *Model) trainingBytes(opts CostOptions) (int64, error) {
	return m.programBytes(ProgramConfig{Batch: opts.Batch, Steps: opts.Steps, Grad: true, FwdConfig: FwdConfig{Training: true, Chunk: opts.Chunk}})
}

// programBytes returns the size of all results of a program.
func (m *Model) programBytes(cfg ProgramConfig) (int64, error) {
	p, err := m.design(cfg)
	if err != nil {
		return 0, err
	}
	shared, kept := p.memory.Bytes()
	return shared + kept, nil
}

// generationBytes returns Cost.Generation for a state of that size.
func (m *Model) generationBytes(state int64) (int64, error) {
	total := state
	for _, n := range readSizes {
		bytes, err := m.programBytes(ProgramConfig{Batch: 1, Steps: n, Carry: true})
		if err != nil {
			return 0, err
		}
		total += bytes - state // which all programs share
	}
	return total, nil
}

// Total returns the sum over all parts.
func (c Cost) Total() PartCost { return sumParts(c.Parts) }

// OfBlock returns the sum over the parts of block i, or with −1 over those
// outside the blocks.
func (c Cost) OfBlock(i int) PartCost {
	var parts []PartCost
	for _, p := range c.Parts {
		if p.Block == i {
			parts = append(parts, p)
		}
	}
	total := sumParts(parts)
	total.Block = i
	return total
}

func sumParts(parts []PartCost) PartCost {
	total := PartCost{Name: "total", Block: -1}
	for _, p := range parts {
		total.Tensors = append(total.Tensors, p.Tensors...)
		total.Params += p.Params
		total.State += p.State
		total.Forward += p.Forward
		total.Backward += p.Backward
		total.Decode += p.Decode
	}
	return total
}

// StateBytes returns the size of the state of one sequence in float32, the same
// however long the sequence is.
func (c Cost) StateBytes() int64 { return float32Size * c.Total().State }

// TrainingFLOPs returns the floating-point operations per token of a training
// step, 2·(Forward+Backward).
func (c Cost) TrainingFLOPs() float64 { t := c.Total(); return 2 * (t.Forward + t.Backward) }

// EvaluationFLOPs returns the floating-point operations per token of a forward
// pass over Steps tokens, 2·Forward.
func (c Cost) EvaluationFLOPs() float64 { return 2 * c.Total().Forward }

// DecodeFLOPs returns the floating-point operations per token in generation,
// 2·Decode.
func (c Cost) DecodeFLOPs() float64 { return 2 * c.Total().Decode }

// TrainingMemory returns the memory of a training step over Batch×Steps tokens
// with AdamW, from the start of a text.
func (c Cost) TrainingMemory() Memory {
	t := c.Total()
	return Memory{
		Params: float32Size * t.Params, Gradients: float32Size * t.Params, Moments: moments * float32Size * t.Params,
		Activations: c.Activations,
	}
}
