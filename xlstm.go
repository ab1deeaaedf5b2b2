// Package xlstm implements xLSTM (Beck et al., 2024) as a Gorgonia model:
// language models of sLSTM and mLSTM blocks, or of xLSTM-7B's blocks, whose
// layers are graph nodes. A compiled program runs them, forward and backward.
//
// Open opens a model with its vocabulary as an LM, which turns text into text.
//
//	lm, err := xlstm.Open("runs/book")
//	text, err := lm.Generate(ctx, "It was")
//
// A Model is a configuration and its parameters. NewTrainer returns a Trainer,
// which trains it on batches. NewGenerator returns a Generator, which reads a
// prompt and continues it in constant memory and time per token, and
// NewBatchGenerator one for several texts. Save writes a model to a folder, and
// Load reads it.
//
// In Gorgonia's terms, Fwd adds the model to an existing graph, and Compile
// returns a Program, a graph compiled for one shape that runs forward and,
// optionally, backward, for any gorgonia.Solver:
//
//	cfg := xlstm.DefaultConfig()
//	cfg.VocabSize, cfg.NumBlocks, cfg.SLSTMAt = 65, 4, xlstm.Blocks(1)
//	m, err := xlstm.New(cfg)
//	p, err := m.Compile(xlstm.ProgramConfig{Batch: 16, Steps: 256, Grad: true})
//	err = p.Run(xlstm.Input{Tokens: inputs, Targets: targets}) // 16·256 ids each
//	err = solver.Step(p.ValueGrads())
//
// # Shapes
//
// Shapes are in parentheses: (B·T, D) is a matrix of B·T rows and D columns.
// B is the number of texts in a batch, T the number of tokens of each, V the
// size of the vocabulary, D the width of the model, NH the number of heads and
// DH the width of each. Rows are batch-major: row b·T+t belongs to token t of
// text b.
//
// # State
//
// Between runs a model's memory is a State, whose size does not depend on the
// length of the text. A text that is split anywhere and continued from its
// state gives the same results as the whole; the context length in a
// configuration is a default, not a limit.
//
// # Fidelity
//
// Names, shapes, initialisation and numbers are those of the official
// implementation. Gradients are exact: they flow through the mLSTM's
// normaliser, which the official kernels treat as a constant, through the
// stabilisers, and through the state.
package xlstm

import (
	"sync"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/layers"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Model is a language model: a configuration and its parameters. All graphs
// built from it share the parameters.
//
// Operations that only read the parameters may run concurrently in any number
// of goroutines: generators, batch generators, programs with and without
// gradients, traces, Save, and creating and closing these. Each generator and
// program must be used by one goroutine at a time, so that each request needs
// its own.
//
// A Trainer's update and LoadWeights exclude all readers, in any goroutine.
// Each run of a generator's program during training thus uses the parameters of
// a single step, but a text may be read and generated with those of several
// steps; to use those of one step, wait between steps or load a separate model.
// A solver's step without a Trainer, and writing to the tensors of Params,
// require exclusive use of the model.
type Model struct {
	cfg    Config
	turns  sync.RWMutex // held while the parameters are read, or written
	store  *layers.Store
	parts  []netPart
	states []layers.StateParts // of every block
	home   *residence          // of the parameters on a device, else nil
	// adapters correct linear maps; nil for none.
	adapters *adapted
	source   *source // how it is stored if it was loaded, else nil
	// generationEnds end a text, by the file beside the model that it was loaded
	// from.
	generationEnds []int
	mappings       []*files.Mapping // of files that weights are in; see holds
}

// Option is an option of New and Load.
type Option func(*options)

type options struct {
	dtype   tensor.Dtype
	seed    uint64
	layout  Layout
	device  Device
	weights WeightFormat
}

// WithSeed sets the seed of the initialisation; the default is 1. A loaded
// model does not depend on it.
func WithSeed(seed uint64) Option { return func(o *options) { o.seed = seed } }

// WithDtype sets the element type, tensor.Float32 (the default) or
// tensor.Float64.
func WithDtype(dt tensor.Dtype) Option { return func(o *options) { o.dtype = dt } }

// WithLayout sets the layout of the sLSTM cells of a model to be loaded. A
// kernel of the other layout is an error. The default is AnyLayout, which
// determines the layout of each cell from the shape of its kernel.
func WithLayout(l Layout) Option { return func(o *options) { o.layout = l } }

func newOptions(opts []Option) options {
	o := options{dtype: tensor.Float32, seed: 1}
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// New returns a model with newly initialised parameters. It returns an error
// that names the field if the configuration is invalid.
func New(cfg Config, opts ...Option) (*Model, error) {
	o := newOptions(opts)
	if err := o.checkWeights(); err != nil {
		return nil, err
	}
	if err := cfg.Validate(); err != nil {
		return nil, errors.Wrap(err, "xlstm: configuration")
	}
	store, err := layers.NewStore(o.dtype, o.seed)
	if err != nil {
		return nil, err
	}
	m, err := newModel(cfg, store)
	if err != nil {
		return nil, err
	}
	if o.packs() {
		if m, err = m.Packed(o.weights); err != nil {
			return nil, err
		}
	}
	return m, m.settle(o.device)
}

// newModel makes the parameters of a model in the store.
func newModel(cfg Config, store *layers.Store) (*Model, error) {
	n, err := newNet(layers.NewScope(gorgonia.NewGraph(), store, 1), cfg, true)
	if err != nil {
		return nil, err
	}
	return &Model{cfg: cfg, store: store, parts: n.parts, states: n.states()}, nil
}

// Config returns the model's configuration.
func (m *Model) Config() Config { return m.cfg }

// Dtype returns the element type of the parameters.
func (m *Model) Dtype() tensor.Dtype { return m.store.Dtype() }

// Params returns the parameters by their official names, in a stable order, without
// the weights that are packed; see WithWeights. The
// tensors are the model's own: writing to them changes the model.
func (m *Model) Params() []layers.Param { return m.store.Params() }

// Param returns the parameter of that name, unless it is packed.
func (m *Model) Param(name string) (*tensor.Dense, bool) {
	p, ok := m.store.Get(name)
	return p.Value, ok
}

// NumParams returns the number of elements of all parameters; a tied head counts
// once.
func (m *Model) NumParams() int { return m.store.Size() }

// idsInput adds an input for n token ids.
func idsInput(g *gorgonia.ExprGraph, name string, n int) *gorgonia.Node {
	return gorgonia.NewVector(g, tensor.Int, gorgonia.WithShape(n), gorgonia.WithName(name))
}

// GraphInput is the input of a model in a graph.
type GraphInput struct {
	// Batch is the number of sequences, B.
	Batch int
	// Tokens are token ids, one vector of B·T integers, batch-major.
	Tokens *gorgonia.Node
	// State has the initial state of every block; nil means the start of a
	// text.
	State layers.StackState
	// Resets (B·T integers, batch-major, nil for none) are not 0 where a
	// document begins, which is then computed as if it were alone.
	Resets *gorgonia.Node
}

// FwdConfig configures how a model is built into a graph.
type FwdConfig struct {
	// Training enables dropout.
	Training bool
	// Form, Chunk and Symbolic select how the cells are computed; see
	// layers.CellConfig.
	Form     nodes.Form
	Chunk    int
	Symbolic bool
	// WithoutHead ends the model before the head, at Output.Hidden, for another
	// use of what it computes. The head is then not part of the graph.
	WithoutHead bool
}

// Output is a model built into a graph.
type Output struct {
	// Logits is (B·T, V), batch-major; nil with FwdConfig.WithoutHead.
	Logits *gorgonia.Node
	// Hidden is what the head reads: the features of every token after the
	// blocks and the norm, (B·T, D), batch-major.
	Hidden *gorgonia.Node
	// State has the state of every block after the last step.
	State layers.StackState
	// DropoutKey is the input for the key of dropout, nil without dropout; see
	// nodes.DropoutKey.
	DropoutKey *gorgonia.Node
	// Cells has the cell of every block.
	Cells      []layers.Cell
	learnables gorgonia.Nodes
}

// result is the last node of the model.
func (o *Output) result() *gorgonia.Node {
	if o.Logits == nil {
		return o.Hidden
	}
	return o.Logits
}

// Model returns the nodes of the parameters in the graph, in the order of
// Model.Params, for gorgonia.Grad and solvers.
func (o *Output) Model() gorgonia.Nodes { return o.learnables }

// Fwd adds the model to graph g, to which the nodes of in must belong.
func (m *Model) Fwd(g *gorgonia.ExprGraph, in GraphInput, fwd FwdConfig) (*Output, error) {
	m.keepMappings() // the graph may outlive the model
	return m.fwd(g, in, fwd)
}

// fwd is Fwd for a graph that does not outlive the model.
func (m *Model) fwd(g *gorgonia.ExprGraph, in GraphInput, fwd FwdConfig) (*Output, error) {
	s := layers.NewScope(g, m.store, in.Batch)
	if m.adapters != nil {
		s.Adapt(m.adapters.Adapters)
	}
	s.ComputeCells(layers.CellConfig{Form: fwd.Form, Chunk: fwd.Chunk, Symbolic: fwd.Symbolic})
	out := &Output{}
	if fwd.Training && m.cfg.Dropout > 0 {
		out.DropoutKey = s.Training()
	}
	s.ResetAt(in.Resets)
	n, err := newNet(s, m.cfg, !fwd.WithoutHead)
	if err != nil {
		return nil, err
	}
	if out.Hidden, out.State, err = n.hidden(in.Tokens, in.State); err != nil {
		return nil, err
	}
	if n.head != nil {
		if out.Logits, err = n.logits(out.Hidden); err != nil {
			return nil, err
		}
	}
	for _, b := range n.stack.Blocks() {
		out.Cells = append(out.Cells, b.Cell())
	}
	out.learnables = s.Learnables()
	return out, nil
}
