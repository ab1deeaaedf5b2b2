package xlstm

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gorgonia-xlstm/xlstm/layers"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// CostOptions describes the run of a Cost.
type CostOptions struct {
	// Batch is the number of sequences, Steps the number of tokens in each.
	Batch, Steps int
	// Chunk is the chunk length of the mLSTM cells; 0 means nodes.DefaultChunk.
	// A Chunk of at least Steps is the parallel form.
	Chunk int
	// Device is the device of the memory of training, nil for the CPU; one of
	// PlanDevice suffices.
	Device Device
	// Shards is the number of ranks over which the optimiser's state is divided;
	// see TrainerConfig.ShardOptimizer. Batch is then that of one rank. 0 means 1.
	Shards int
}

// Cost is the cost of a configuration: parameters, memory and arithmetic. It
// depends only on the shapes.
type Cost struct {
	CostOptions
	// Parts are the embedding, the parts of the first block of each kind, the
	// norm after the blocks and the head, in the order in which they run.
	Parts []PartCost
	// Activations is the size in bytes of all results in the graph of a
	// training step over Batch×Steps tokens except the parameters' gradients:
	// the memory of the values of the forward and the backward pass when they
	// overwrite values that are no longer needed. Gradients are written late, and
	// their memory serves other values before: in a small batch of a large model
	// these need no more. A Trainer that runs a batch in parts needs less on a CPU:
	// that of one part for each core. Working buffers of operations
	// are not included: in a backward pass these are, for each core, mainly the
	// mLSTM's memories between chunks, 4·DH²·Steps/Chunk bytes.
	Activations int64
	// Copies is the size in bytes of the copies of parameters in bfloat16 that
	// products read on a device, 0 without any.
	Copies int64
	// Generation is the size in bytes of the memory of a Generator in addition
	// to the parameters, once it has compiled all of its programs: its state
	// and the values in their graphs.
	Generation int64

	kinds []string // of the blocks
}

// PartCost is the cost of one part of a model.
type PartCost struct {
	// Name describes the part, such as "up projection".
	Name string
	// Block is the index of the part's block, or −1 for none.
	Block int
	// Kind is the kind of that block's cell, mLSTM or sLSTM.
	Kind string
	// Times is the number of blocks with such a part, 1 for a part outside the
	// blocks. The numbers below are for one of them.
	Times int
	// Tensors are the parameters with their official names. A tied head has
	// none.
	Tensors []layers.TensorShape
	// Params is the number of their elements.
	Params int64
	// State is the number of elements of its recurrent state, for one sequence.
	State int64
	// Forward and Backward are the multiply-adds per token in training, and
	// Decode those of the forward pass over a single token in generation.
	// Matrix products and convolutions are counted. Element-wise operations
	// (norms, activations, exponential gates, dropout, sums) are not, because
	// they grow with the width and not with its square. A chunkwise cell is
	// counted with products of whole chunks, as they are computed, although the
	// causal mask discards half of each.
	Forward, Backward, Decode float64
}

// Memory lists numbers of bytes by use, for float32.
type Memory struct {
	// Params, Gradients and Moments are 4, 4 and 8 bytes per parameter: AdamW has
	// two moments, which may be divided over several ranks.
	Params, Gradients, Moments int64
	// Activations and Copies are those of Cost.
	Activations, Copies int64
}

// Total returns the sum.
func (m Memory) Total() int64 { return m.Params + m.Gradients + m.Moments + m.Activations + m.Copies }

const (
	float32Size = 4
	// moments is the number of AdamW's moments of a gradient.
	moments = 2
)

// Cost returns the cost of the configuration. It builds the graphs of a model
// with a few blocks of each kind and plans their memory without allocating
// values, so that it is fast and takes little memory for any size of model. The
// memory of more than eight blocks is extrapolated from these graphs, accurate
// to a thousandth, or to a tenth if there are more than two kinds of blocks. Cost
// returns an error if the numbers overflow.
func (c Config) Cost(opts CostOptions) (Cost, error) {
	if err := c.Validate(); err != nil {
		return Cost{}, errors.Wrap(err, "xlstm: configuration")
	}
	opts.Shards = max(1, opts.Shards)
	if opts.Batch < 1 || opts.Steps < 1 || opts.Chunk < 0 {
		return Cost{}, errors.Errorf("xlstm: the cost of %d sequences of %d tokens in chunks of %d; the first two must be at least 1, the last positive or 0 for the default", opts.Batch, opts.Steps, opts.Chunk)
	}
	if opts.Chunk == 0 {
		opts.Chunk = nodes.DefaultChunk
	}
	few, left := c.shortened()
	m, err := few.outline()
	if err != nil {
		return Cost{}, err
	}
	if err := c.countable(m.costParts(CostOptions{Batch: 1, Steps: 1, Chunk: 1}), opts); err != nil {
		return Cost{}, err
	}
	cost := Cost{CostOptions: opts, kinds: c.kinds()}
	cost.Parts = cost.ofOneBlock(m.costParts(opts))
	if cost.Activations, err = few.carriedOver(left, func(m *Model) (int64, error) { return m.trainingBytes(opts) }); err != nil {
		return Cost{}, err
	}
	cost.Activations = max(0, cost.Activations) // as extrapolated, it may be less
	if cost.Copies, err = few.carriedOver(left, func(m *Model) (int64, error) { return m.copyBytes(opts) }); err != nil {
		return Cost{}, err
	}
	cost.Generation, err = few.carriedOver(left, (*Model).generationBytes)
	return cost, err
}

// ofOneBlock returns the parts of a model with fewer blocks that are those of no
// block or of the first of its kind, under that block's number in the whole model.
func (c Cost) ofOneBlock(parts []PartCost) (one []PartCost) {
	first := map[string]int{}
	for _, p := range parts {
		p.Times = 1
		if p.Block >= 0 {
			if _, known := first[p.Kind]; !known {
				first[p.Kind] = p.Block
			}
			if p.Block != first[p.Kind] {
				continue
			}
			p = p.movedTo(slices.Index(c.kinds, p.Kind))
			p.Times = len(c.Alike(p.Block))
		}
		one = append(one, p)
	}
	return one
}

// movedTo returns the part as one of another block.
func (p PartCost) movedTo(block int) PartCost {
	tensors := slices.Clone(p.Tensors)
	for i := range tensors {
		tensors[i].Name = strings.Replace(tensors[i].Name, fmt.Sprintf(".blocks.%d.", p.Block), fmt.Sprintf(".blocks.%d.", block), 1)
	}
	p.Block, p.Tensors = block, tensors
	return p
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

// trainingBytes returns the size of all results of a training step but the
// gradients of the parameters.
func (m *Model) trainingBytes(opts CostOptions) (bytes int64, err error) {
	if opts.Device == nil {
		bytes, err = m.programBytes(trainingConfig(opts))
	} else {
		bytes, _, err = m.remoteBytes(opts)
	}
	for _, p := range m.parts {
		for _, t := range p.Params {
			bytes -= float32Size * t.Size()
		}
	}
	return bytes, err
}

func trainingConfig(opts CostOptions) ProgramConfig {
	return ProgramConfig{Batch: opts.Batch, Steps: opts.Steps, Grad: true, FwdConfig: FwdConfig{Training: true, Chunk: opts.Chunk}, dropLogits: true}
}

// copyBytes returns Cost.Copies.
func (m *Model) copyBytes(opts CostOptions) (bytes int64, err error) {
	if opts.Device != nil {
		_, bytes, err = m.remoteBytes(opts)
	}
	return bytes, err
}

// remoteBytes returns the sizes of the results of a training step on a device, and
// of the copies of parameters.
func (m *Model) remoteBytes(opts CostOptions) (results, copies int64, err error) {
	p, err := m.design(trainingConfig(opts))
	if err != nil {
		return 0, 0, err
	}
	var keep gorgonia.Nodes
	for _, st := range p.out.State {
		keep = append(keep, st.Nodes()...)
	}
	return nodes.RemoteBytes(opts.Device, p.graph, p.out.Model(), keep)
}

// LargestBatch returns the number of sequences of opts.Steps tokens on which a
// model can be trained in so many bytes, 0 if there is none. It ignores
// opts.Batch.
func (c Config) LargestBatch(opts CostOptions, bytes int64) (int, error) {
	fits := func(batch int) (bool, error) {
		opts.Batch = batch
		cost, err := c.Cost(opts)
		return err == nil && cost.TrainingMemory().Total() <= bytes, err
	}
	ok, err := fits(1)
	if err != nil || !ok {
		return 0, err
	}
	low, high := 1, 2 // low fits, high does not
	for ; high < 1<<20; low, high = high, 2*high {
		if ok, err := fits(high); err != nil || !ok {
			break
		}
	}
	for high-low > max(1, low/32) {
		mid := (low + high) / 2
		if ok, err = fits(mid); err != nil {
			return 0, err
		}
		if ok {
			low = mid
		} else {
			high = mid
		}
	}
	return low, nil
}

// programBytes returns the size of all results of a program but those that it writes
// to the memory of a State.
func (m *Model) programBytes(cfg ProgramConfig) (int64, error) {
	p, err := m.design(cfg)
	if err != nil {
		return 0, err
	}
	return p.resultBytes(), nil
}

// resultBytes is programBytes of a program.
func (p *Program) resultBytes() int64 {
	var state gorgonia.Nodes
	if p.cfg.Carry {
		for _, st := range p.out.State {
			state = append(state, st.Nodes()...)
		}
	}
	return p.memory.BytesWithout(state...)
}

// generationBytes returns Cost.Generation.
func (m *Model) generationBytes() (int64, error) {
	var state int64
	for _, p := range m.parts {
		for _, s := range p.State {
			state += float32Size * s.Size()
		}
	}
	total := state
	for _, n := range readSizes {
		bytes, err := m.programBytes(ProgramConfig{Batch: 1, Steps: n, Carry: true})
		if err != nil {
			return 0, err
		}
		total += bytes
	}
	return total, nil
}

// Total returns the sum over all parts of all blocks. It has no Tensors.
func (c Cost) Total() PartCost {
	total := PartCost{Name: "total", Block: -1, Times: 1}
	for _, p := range c.Parts {
		total.add(p, p.Times)
	}
	return total
}

// OfBlock returns the sum over the parts of block i, or with −1 over those
// outside the blocks. It has no Tensors.
func (c Cost) OfBlock(i int) PartCost {
	total := PartCost{Name: "total", Block: i, Times: 1}
	if i >= 0 {
		total.Kind = c.kinds[i]
	}
	for _, p := range c.Parts {
		if p.Kind == total.Kind {
			total.add(p, 1)
		}
	}
	return total
}

// Alike returns the blocks of the same kind as block i, ascending.
func (c Cost) Alike(i int) (blocks []int) {
	for k, kind := range c.kinds {
		if kind == c.kinds[i] {
			blocks = append(blocks, k)
		}
	}
	return blocks
}

// add adds what so many of another part cost.
func (p *PartCost) add(other PartCost, times int) {
	p.Params += int64(times) * other.Params
	p.State += int64(times) * other.State
	p.Forward += float64(times) * other.Forward
	p.Backward += float64(times) * other.Backward
	p.Decode += float64(times) * other.Decode
}

// StateBytes returns the size of the state of one sequence in float32, which
// does not depend on the length of the sequence.
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
// with AdamW, from the start of a text, on one rank.
func (c Cost) TrainingMemory() Memory {
	t, shards := c.Total(), int64(c.Shards)
	return Memory{
		Params: float32Size * t.Params, Gradients: float32Size * t.Params, Moments: moments * float32Size * ((t.Params + shards - 1) / shards),
		Activations: c.Activations, Copies: c.Copies,
	}
}
