package xlstm

import (
	"fmt"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
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
	// Tensors are its parameters under the official names. A tied head has none.
	Tensors []TensorShape
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

// TensorShape is the name and the shape of a parameter.
type TensorShape struct {
	Name  string
	Shape []int
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
	cost := Cost{CostOptions: opts, Parts: c.costParts(opts)}
	for k, p := range c.costParts(CostOptions{Batch: 1, Steps: 1, Chunk: 1}) {
		cost.Parts[k].Decode = p.Forward
	}
	var err error
	if cost.Activations, err = c.trainingBytes(opts); err != nil {
		return Cost{}, err
	}
	cost.Activations -= float32Size * cost.Total().Params // their gradients
	cost.Generation, err = c.generationBytes()
	return cost, err
}

// trainingBytes returns the size of all results of a training step.
func (c Config) trainingBytes(opts CostOptions) (int64, error) {
	return c.programBytes(ProgramConfig{Batch: opts.Batch, Steps: opts.Steps, Grad: true, FwdConfig: FwdConfig{Training: true, Chunk: opts.Chunk}})
}

// programBytes returns the size of all results of a program.
func (c Config) programBytes(cfg ProgramConfig) (int64, error) {
	store, err := layers.NewShapeStore(tensor.Float32)
	if err != nil {
		return 0, err
	}
	p, err := (&Model{cfg: c, store: store}).design(cfg)
	if err != nil {
		return 0, err
	}
	shared, kept := p.memory.Bytes()
	return shared + kept, nil
}

// generationBytes returns Cost.Generation.
func (c Config) generationBytes() (int64, error) {
	var state int64
	for _, s := range c.stateShapes(1) {
		state += float32Size * elements(s.Shape...)
	}
	total := state
	for _, n := range readSizes {
		bytes, err := c.programBytes(ProgramConfig{Batch: 1, Steps: n, Carry: true})
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

// costing collects the parts of a model.
type costing struct {
	Config
	CostOptions
	prefix string // of the parameters' names
	parts  []PartCost
}

func (c Config) costParts(opts CostOptions) []PartCost {
	k := &costing{Config: c, CostOptions: opts}
	k.part("embedding", -1)
	k.tensor(c.names().embedding+".weight", c.VocabSize, c.EmbeddingDim)
	for i := range c.NumBlocks {
		k.prefix = fmt.Sprintf("%s.blocks.%d.", c.names().stack, i)
		switch {
		case c.Large != nil:
			k.largeBlock(i)
		case c.isSLSTM(i):
			k.slstmBlock(i)
		default:
			k.mlstmBlock(i)
		}
	}
	k.prefix = c.names().stack + "."
	if c.hasNorm() {
		k.part("post norm", -1)
		if c.Large != nil {
			k.plainNorm(c.names().norm, c.EmbeddingDim, c.postNormBias())
		} else {
			k.norm(c.names().norm, c.EmbeddingDim, true)
		}
	}
	k.prefix = ""
	k.head()
	return k.parts
}

// head counts the map to the logits.
func (k *costing) head() {
	d, v := k.EmbeddingDim, k.VocabSize
	k.part("head", -1)
	k.count(linear(k.Steps, d, v))
	if !k.TieWeights {
		k.tensor("lm_head.weight", v, d)
	}
}

func (k *costing) mlstmBlock(i int) {
	l := k.mlstm()
	d, inner, nh := l.EmbeddingDim, l.InnerDim, l.NumHeads
	k.part("norm", i)
	k.norm("xlstm_norm", d, true)
	k.part("up projection", i)
	k.linear("xlstm.proj_up", d, 2*inner, l.Bias)
	k.part("convolution", i)
	k.conv(inner, l.ConvKernel)
	k.part("q, k, v", i)
	for _, name := range []string{"q", "k", "v"} {
		k.headwise("xlstm."+name+"_proj", inner/l.QKVBlock, l.QKVBlock, l.Bias)
	}
	k.part("gates", i)
	for _, name := range []string{"igate", "fgate"} {
		k.linear("xlstm.mlstm_cell."+name, 3*inner, nh, true)
	}
	k.part("cell", i)
	k.mlstmCell(nh, inner/nh, inner/nh)
	k.part("skip and output gate", i)
	k.norm("xlstm.mlstm_cell.outnorm", inner, true)
	k.tensor("xlstm.learnable_skip", inner)
	k.part("down projection", i)
	k.linear("xlstm.proj_down", inner, d, l.Bias)
}

func (k *costing) mlstmCell(nh, dqk, dhv int) {
	cell := ops.MLSTM{B: 1, T: k.Steps, NH: nh, DQK: dqk, DHV: dhv, Chunk: k.Chunk}
	k.count(cell, ops.MLSTMGrad{MLSTM: cell})
	k.last().State += elements(nh, dqk*dhv+dqk+1)
}

func (k *costing) slstmBlock(i int) {
	l := k.slstm(i)
	d, dh := l.EmbeddingDim, l.EmbeddingDim/l.NumHeads
	k.part("norm", i)
	k.norm("xlstm_norm", d, true)
	if l.ConvKernel > 0 {
		k.part("convolution", i)
		k.conv(d, l.ConvKernel)
	}
	k.part("gates", i)
	for _, name := range []string{"fgate", "igate", "zgate", "ogate"} {
		k.headwise("xlstm."+name, l.NumHeads, dh, false)
	}
	k.part("cell", i)
	k.slstmCell(l.NumHeads, dh)
	k.part("head norm", i)
	k.norm("xlstm.group_norm", d, l.NormWeight)
	if ffn := k.feedForward(); ffn != nil {
		k.part("feed-forward", i)
		k.ffn(d, ffn.UpDim, ffn.Bias)
	}
}

func (k *costing) slstmCell(nh, dh int) {
	const gates, states = 4, 4
	d := nh * dh
	k.tensor("xlstm.slstm_cell._recurrent_kernel_", nh, gates*dh, dh)
	k.tensor("xlstm.slstm_cell._bias_", gates*d)
	cell := ops.SLSTM{B: 1, T: k.Steps, NH: nh, DH: dh}
	k.count(cell, ops.SLSTMGrad{SLSTM: cell})
	k.last().State += elements(states, d)
}

func (k *costing) ffn(d, up int, bias bool) {
	k.norm("ffn_norm", d, true)
	k.linear("ffn.proj_up", d, 2*up, bias)
	k.linear("ffn.proj_down", up, d, bias)
}

// part begins a part. What is counted next counts for it.
func (k *costing) part(name string, block int) *PartCost {
	k.parts = append(k.parts, PartCost{Name: name, Block: block})
	return k.last()
}

func (k *costing) last() *PartCost { return &k.parts[len(k.parts)-1] }

// elements returns the number of elements of a shape.
func elements(shape ...int) int64 {
	n := int64(1)
	for _, s := range shape {
		n *= int64(s)
	}
	return n
}

// tensor counts a parameter.
func (k *costing) tensor(name string, shape ...int) {
	p := k.last()
	p.Tensors = append(p.Tensors, TensorShape{Name: k.prefix + name, Shape: shape})
	p.Params += elements(shape...)
}

// count counts an operation of the forward pass over one sequence, and its
// derivative.
func (k *costing) count(op, grad ops.Op) {
	k.last().Forward += float64(op.MulAdds()) / float64(k.Steps)
	k.last().Backward += float64(grad.MulAdds()) / float64(k.Steps)
}

// linear is a linear map of so many rows, and its derivative.
func linear(rows, in, out int) (op, grad ops.Op) {
	l := ops.Linear{Rows: rows, In: in, Outs: []int{out}}
	return l, ops.LinearGrad{Linear: l, Has: []bool{true}}
}

func (k *costing) linear(name string, in, out int, bias bool) {
	k.tensor(name+".weight", out, in)
	if bias {
		k.tensor(name+".bias", out)
	}
	k.count(linear(k.Steps, in, out))
}

// headwise counts one square map for each head.
func (k *costing) headwise(name string, heads, width int, bias bool) {
	k.tensor(name+".weight", heads, width, width)
	if bias {
		k.tensor(name+".bias", heads*width)
	}
	maps := ops.Headwise{N: k.Steps, Heads: heads, In: width, Out: width, Stride: width}
	k.count(maps, ops.HeadwiseGrad{Headwise: maps})
}

func (k *costing) conv(width, kernel int) {
	k.tensor("xlstm.conv1d.conv.weight", width, 1, kernel)
	k.tensor("xlstm.conv1d.conv.bias", width)
	conv := ops.Conv{B: 1, T: k.Steps, D: width, K: kernel}
	k.count(conv, ops.ConvGrad{Conv: conv})
	k.last().State += elements(kernel, width)
}

func (k *costing) norm(name string, width int, weight bool) {
	if weight {
		k.tensor(name+".weight", width)
	}
}
