package layers

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/golden"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// maker makes a layer or a block.
type maker func(s Scope) (recurrent, error)

// values are the values of a State by field, or whatever else has a name.
type values map[string]*tensor.Dense

// fieldsOf are the fields of a State by the names that the tests use.
func fieldsOf(s *State) map[string]**gorgonia.Node {
	return map[string]**gorgonia.Node{"conv": &s.Conv, "C": &s.C, "n": &s.N, "m": &s.M, "slstm": &s.SLSTM, "lstm": &s.LSTM, "simplified": &s.Simplified}
}

// random returns normally distributed numbers that follow from a name.
func random(name string, shape ...int) *tensor.Dense {
	h := fnv.New64a()
	h.Write([]byte(name))
	r := rand.New(rand.NewPCG(h.Sum64(), 1))
	v := make([]float64, tensor.Shape(shape).TotalSize())
	for i := range v {
		v[i] = r.NormFloat64()
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(v))
}

func numbersIn(v gorgonia.Value) []float64 {
	if x, ok := v.Data().(float64); ok {
		return []float64{x}
	}
	return slices.Clone(v.Data().([]float64))
}

// newStore returns a store with the parameters of a layer, all of them moved
// away from their initial values.
func newStore(t *testing.T, mk maker) *Store {
	t.Helper()
	store, err := NewStore(tensor.Float64, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mk(NewScope(gorgonia.NewGraph(), store, 1)); err != nil {
		t.Fatal(err)
	}
	for _, p := range store.Params() {
		noise := numbersIn(random("noise of "+p.Name, p.Value.Shape()...))
		for i, v := range p.Value.Data().([]float64) {
			p.Value.Data().([]float64)[i] = v + 0.3*noise[i]
		}
	}
	return store
}

// randomState returns a state for a layer with every number away from zero.
func randomState(t *testing.T, mk maker, store *Store, batch, dim int) values {
	t.Helper()
	s := NewScope(gorgonia.NewGraph(), store, batch)
	l, err := mk(s)
	if err != nil {
		t.Fatal(err)
	}
	_, next, err := l.Fwd(s.input("x", batch, dim), nil)
	if err != nil {
		t.Fatal(err)
	}
	st := values{}
	for name, n := range fieldsOf(next) {
		if *n == nil {
			continue
		}
		st[name] = random("state "+name, (*n).Shape()...)
		if name == "slstm" {
			// The third quarter is n, which is at least 1 in every run.
			data := st[name].Data().([]float64)
			for i := len(data) / 2; i < len(data)*3/4; i++ {
				data[i] = 1 + math.Abs(data[i])
			}
		}
	}
	return st
}

// trial is one evaluation of a layer.
type trial struct {
	mk          maker
	store       *Store
	batch       int
	x           *tensor.Dense // (B·T, dim)
	begin       values        // nil for the start
	cuts        []int         // where the sequence is cut, within one graph
	stateInLoss bool
}

// run returns the output, the new state, and the gradients of a loss with
// respect to the input, the state at the start and every parameter.
func (tr trial) run(t *testing.T) map[string][]float64 {
	t.Helper()
	g := gorgonia.NewGraph()
	s := NewScope(g, tr.store, tr.batch)
	layer, err := tr.mk(s)
	if err != nil {
		t.Fatal(err)
	}
	x := s.input("x", tr.x.Shape()...)
	bound := map[*gorgonia.Node]*tensor.Dense{x: tr.x}
	wrt := map[string]*gorgonia.Node{"dx": x}
	var begin *State
	if tr.begin != nil {
		begin = &State{}
		for name, n := range fieldsOf(begin) {
			if v := tr.begin[name]; v != nil {
				*n = s.input("begin "+name, v.Shape()...)
				bound[*n], wrt["d begin "+name] = v, *n
			}
		}
	}
	y, next := tr.fwd(t, layer, x, begin)
	for _, p := range s.Learnables() {
		wrt["d "+p.Name()] = p
	}
	out := map[string]*gorgonia.Node{"y": y}
	loss := tr.term(g, bound, "y", y)
	for _, name := range []string{"conv", "C", "n", "m", "slstm", "lstm", "simplified"} {
		if n := *fieldsOf(next)[name]; n != nil {
			out["new "+name] = n
			if tr.stateInLoss {
				loss = gorgonia.Must(gorgonia.Add(loss, tr.term(g, bound, "new "+name, n)))
			}
		}
	}
	return execute(t, g, bound, out, loss, wrt)
}

// term is the weighted sum of a result.
func (tr trial) term(g *gorgonia.ExprGraph, bound map[*gorgonia.Node]*tensor.Dense, name string, n *gorgonia.Node) *gorgonia.Node {
	w := gorgonia.NewTensor(g, tensor.Float64, len(n.Shape()), gorgonia.WithShape(n.Shape()...), gorgonia.WithName("weights of "+name))
	bound[w] = random("weights of "+name, n.Shape()...)
	return gorgonia.Must(gorgonia.Sum(gorgonia.Must(gorgonia.HadamardProd(n, w))))
}

// fwd runs the layer over all pieces of the sequence, connected by their state.
func (tr trial) fwd(t *testing.T, layer recurrent, x *gorgonia.Node, st *State) (*gorgonia.Node, *State) {
	t.Helper()
	step := func(x *gorgonia.Node, t int) *gorgonia.Node { return gorgonia.Must(nodes.TimeStep(tr.batch, t, x)) }
	if len(tr.cuts) == 0 {
		y, next, err := layer.Fwd(x, st)
		if err != nil {
			t.Fatal(err)
		}
		return y, next
	}
	var ys []*gorgonia.Node
	lo := 0
	for _, hi := range append(slices.Clone(tr.cuts), x.Shape()[0]/tr.batch) {
		var xs []*gorgonia.Node
		for k := lo; k < hi; k++ {
			xs = append(xs, step(x, k))
		}
		y, next, err := layer.Fwd(gorgonia.Must(nodes.StackTime(xs)), st)
		if err != nil {
			t.Fatal(err)
		}
		for k := range hi - lo {
			ys = append(ys, step(y, k))
		}
		lo, st = hi, next
	}
	return gorgonia.Must(nodes.StackTime(ys)), st
}

// execute runs a graph and returns the values of out and the gradients of wrt.
func execute(t *testing.T, g *gorgonia.ExprGraph, bound map[*gorgonia.Node]*tensor.Dense, out map[string]*gorgonia.Node, loss *gorgonia.Node, wrt map[string]*gorgonia.Node) map[string][]float64 {
	t.Helper()
	read := make(map[string]*gorgonia.Value)
	for name, n := range out {
		read[name] = new(gorgonia.Value)
		gorgonia.Read(n, read[name])
	}
	var ns gorgonia.Nodes
	for _, n := range wrt {
		ns = append(ns, n)
	}
	if _, err := gorgonia.Grad(loss, ns...); err != nil {
		t.Fatal(err)
	}
	for n, v := range bound {
		if err := gorgonia.Let(n, v); err != nil {
			t.Fatal(err)
		}
	}
	if err := nodes.Check(g); err != nil {
		t.Fatal(err)
	}
	m := gorgonia.NewTapeMachine(g)
	defer m.Close()
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
	got := make(map[string][]float64)
	for name, v := range read {
		got[name] = numbersIn(*v)
	}
	for name, n := range wrt {
		d, err := n.Grad()
		if err != nil {
			t.Fatal(err)
		}
		got[name] = numbersIn(d)
	}
	return got
}

// apart is the largest difference relative to the largest value, which counts as
// at least 0.01: what is far smaller is zero, but for rounding.
func apart(a, b []float64) float64 { return golden.Apart(a, b, 0.01) }

// same reports results that are not the same to nine digits.
func same(t *testing.T, got, want map[string][]float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d results, want %d", len(got), len(want))
	}
	for name := range want {
		if d := apart(got[name], want[name]); d > 1e-9 {
			t.Errorf("%s is %.3g away\n got %.6v\nwant %.6v", name, d, got[name], want[name])
		}
	}
}

// unit is a layer or block under test.
type unit struct {
	name string
	dim  int
	mk   func(symbolic bool, form nodes.Form, chunk int) maker
	// mlstm says that form and chunk matter.
	mlstm bool
}

func (u unit) fused() maker    { return u.mk(false, nodes.Chunkwise, 3) }
func (u unit) symbolic() maker { return u.mk(true, nodes.Chunkwise, 0) }

func mlstmUnit(name string, block bool, cfg MLSTMConfig) unit {
	return unit{name: name, dim: cfg.EmbeddingDim, mlstm: true, mk: func(symbolic bool, form nodes.Form, chunk int) maker {
		return func(s Scope) (recurrent, error) {
			s.ComputeCells(CellConfig{form, chunk, symbolic})
			if block {
				return MLSTMBlockConfig{cfg}.NewBlock(s)
			}
			return NewMLSTM(s, cfg)
		}
	}}
}

func slstmUnit(name string, block bool, cfg SLSTMConfig, ffn *FeedForwardConfig) unit {
	return unit{name: name, dim: cfg.EmbeddingDim, mk: func(symbolic bool, _ nodes.Form, _ int) maker {
		return func(s Scope) (recurrent, error) {
			s.ComputeCells(CellConfig{Symbolic: symbolic})
			if block {
				return SLSTMBlockConfig{cfg, ffn}.NewBlock(s)
			}
			return NewSLSTM(s, cfg)
		}
	}}
}

func cellUnit(name string, cfg BlockConfig, dim int) unit {
	return unit{name: name, dim: dim, mk: func(symbolic bool, _ nodes.Form, _ int) maker {
		return func(s Scope) (recurrent, error) {
			s.ComputeCells(CellConfig{Symbolic: symbolic})
			return cfg.NewBlock(s)
		}
	}}
}

// units are layers and blocks of all kinds: several heads, one, and heads of
// width one; with and without what can be left out.
func units() []unit {
	ffn := &FeedForwardConfig{EmbeddingDim: 6, UpDim: 5, Activation: "gelu", Bias: true}
	plain := &FeedForwardConfig{EmbeddingDim: 6, UpDim: 5, Activation: "swish"}
	return []unit{
		mlstmUnit("mLSTM of two heads", false, MLSTMConfig{EmbeddingDim: 6, InnerDim: 8, NumHeads: 2, ConvKernel: 4, QKVBlock: 4}),
		mlstmUnit("mLSTM of one head with bias", false, MLSTMConfig{EmbeddingDim: 5, InnerDim: 4, NumHeads: 1, ConvKernel: 1, QKVBlock: 2, Bias: true}),
		mlstmUnit("mLSTM of heads of width one", false, MLSTMConfig{EmbeddingDim: 3, InnerDim: 4, NumHeads: 4, ConvKernel: 2, QKVBlock: 4}),
		mlstmUnit("mLSTM block with bias", true, MLSTMConfig{EmbeddingDim: 6, InnerDim: 12, NumHeads: 3, ConvKernel: 4, QKVBlock: 3, Bias: true}),
		slstmUnit("sLSTM of two heads", false, SLSTMConfig{EmbeddingDim: 6, NumHeads: 2, ConvKernel: 4, NormWeight: true}, nil),
		slstmUnit("sLSTM of one head without conv or norm weight", false, SLSTMConfig{EmbeddingDim: 4, NumHeads: 1}, nil),
		slstmUnit("sLSTM of heads of width one", false, SLSTMConfig{EmbeddingDim: 3, NumHeads: 3, ConvKernel: 2, NormWeight: true}, nil),
		slstmUnit("sLSTM block with feed-forward and bias", true, SLSTMConfig{EmbeddingDim: 6, NumHeads: 2, ConvKernel: 4, NormWeight: true}, ffn),
		slstmUnit("sLSTM block without conv, norm weight or bias", true, SLSTMConfig{EmbeddingDim: 6, NumHeads: 2}, plain),
		slstmUnit("sLSTM block without feed-forward", true, SLSTMConfig{EmbeddingDim: 6, NumHeads: 1, ConvKernel: 3}, nil),
		cellUnit("LSTM of another width", LSTMConfig{InputDim: 5, HiddenDim: 6, Index: 1}, 5),
		cellUnit("LSTM of one unit", LSTMConfig{InputDim: 1, HiddenDim: 1}, 1),
		cellUnit("LSTM block with feed-forward and bias", LSTMBlockConfig{EmbeddingDim: 6, FeedForward: ffn}, 6),
		cellUnit("LSTM block without feed-forward", LSTMBlockConfig{EmbeddingDim: 4}, 4),
		cellUnit("simplified block with feed-forward", SimplifiedBlockConfig{EmbeddingDim: 6, FeedForward: ffn}, 6),
		cellUnit("simplified block of two units", SimplifiedBlockConfig{EmbeddingDim: 2}, 2),
		largeUnit("large mLSTM of two heads", false, LargeConfig{EmbeddingDim: 5, NumHeads: 2, QKDim: 4, VDim: 6}),
		largeUnit("large block with bias", true, LargeConfig{EmbeddingDim: 6, NumHeads: 2, QKDim: 8, VDim: 4, UpDim: 5, Bias: true}),
		largeUnit("large block of one head, fused, with bias", true, LargeConfig{EmbeddingDim: 4, NumHeads: 1, QKDim: 2, VDim: 3, UpDim: 1, Bias: true, Fused: true}),
	}
}

// sequence is a random input.
func (u unit) sequence(batch, steps int) *tensor.Dense {
	return random(fmt.Sprint("x", batch, steps), batch*steps, u.dim)
}
