package layers

import (
	"fmt"

	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// exprs builds a chain of nodes and remembers the first error, so that an
// equation can be written down as one reads it.
type exprs struct{ err error }

func (e *exprs) keep(n *gorgonia.Node, err error) *gorgonia.Node {
	if e.err == nil {
		e.err = err
	}
	return n
}

func (e *exprs) unary(f func(x *gorgonia.Node) (*gorgonia.Node, error), x *gorgonia.Node) *gorgonia.Node {
	if e.err != nil {
		return nil
	}
	return e.keep(f(x))
}

func (e *exprs) binary(f func(a, b *gorgonia.Node) (*gorgonia.Node, error), a, b *gorgonia.Node) *gorgonia.Node {
	if e.err != nil {
		return nil
	}
	return e.keep(f(a, b))
}

func (e *exprs) add(a, b *gorgonia.Node) *gorgonia.Node { return e.binary(gorgonia.Add, a, b) }

func (e *exprs) mul(a, b *gorgonia.Node) *gorgonia.Node { return e.binary(gorgonia.HadamardProd, a, b) }

func (e *exprs) div(a, b *gorgonia.Node) *gorgonia.Node { return e.binary(gorgonia.HadamardDiv, a, b) }

// gates computes the stabiliser and the stabilised gates of a step (paper,
// equations 15–17) from the pre-activations; n may be nil (see nodes.Stabilizer).
func (e *exprs) gates(s Scope, i, f, m, n *gorgonia.Node) (ig, fg, mNew *gorgonia.Node) {
	logF := e.unary(nodes.LogSigmoid, f)
	mNew = s.named("m", e.unary(func(i *gorgonia.Node) (*gorgonia.Node, error) { return nodes.Stabilizer(logF, m, i, n) }, i))
	ig = s.named("i'", e.binary(nodes.ExpGate, i, mNew))
	fg = s.named("f'", e.binary(nodes.ExpGate, e.add(logF, m), mNew))
	return ig, fg, mNew
}

// step returns the scope of step t, counted from 0, whose values are numbered from
// 1: step 0 is the state before. See Symbol.
func (s Scope) step(t int) Scope { return s.Sub(fmt.Sprintf("step.%d", t+1)) }

// named labels a value as the equations do and returns it.
func (s Scope) named(as string, n *gorgonia.Node) *gorgonia.Node {
	s.Sub(as).label(n)
	return n
}

// noResets returns an error for resets, which the symbolic cells do not
// support.
func (s Scope) noResets() error {
	if s.resets != nil {
		return errors.New("layers: the symbolic cells cannot reset their state within a batch; build the fused ones, or without resets")
	}
	return nil
}

// preActivation is x + R·y + b at step t for one of four gates, of which r and
// bias have one after the other; bias may be nil for none.
func (e *exprs) preActivation(batch, t, gate int, x, y, r, bias *gorgonia.Node) *gorgonia.Node {
	at := e.unary(func(x *gorgonia.Node) (*gorgonia.Node, error) { return nodes.TimeStep(batch, t, x) }, x)
	ry := e.unary(func(y *gorgonia.Node) (*gorgonia.Node, error) { return nodes.RecurrentLinear(y, r, gate) }, y)
	sum := e.add(at, ry)
	if bias == nil {
		return sum
	}
	return e.unary(func(sum *gorgonia.Node) (*gorgonia.Node, error) { return nodes.AddBias(sum, bias, gate*x.Shape()[1]) }, sum)
}

// symbolicSLSTM is nodes.SLSTM, step by step.
func symbolicSLSTM(s Scope, cfg SLSTMConfig, x [4]*gorgonia.Node, r, bias, state *gorgonia.Node) (ys, newState *gorgonia.Node, err error) {
	if err := s.noResets(); err != nil {
		return nil, nil, err
	}
	b, d := s.batch, cfg.EmbeddingDim
	if state == nil {
		if state, err = s.zeros("zero", 4, b, d); err != nil {
			return nil, nil, err
		}
	}
	e := &exprs{}
	pick := func(k int, as string) *gorgonia.Node {
		return s.step(-1).named(as, e.unary(func(x *gorgonia.Node) (*gorgonia.Node, error) { return nodes.Pick(k, x) }, state))
	}
	y, c, n, m := pick(0, "h"), pick(1, "c"), pick(2, "n"), pick(3, "m")
	var steps []*gorgonia.Node
	for t := range x[0].Shape()[0] / b {
		s := s.step(t)
		pre := func(gate int, as string) *gorgonia.Node {
			return s.named(as, e.preActivation(b, t, gate, x[gate], y, r, bias))
		}
		ig, fg, mNew := e.gates(s, pre(0, "i~"), pre(1, "f~"), m, n)
		z, o := s.named("z", e.unary(nodes.Tanh, pre(2, "z~"))), s.named("o", e.unary(nodes.Sigmoid, pre(3, "o~")))
		m = mNew
		c = s.named("c", e.add(e.mul(fg, c), e.mul(ig, z)))
		n = s.named("n", e.add(e.mul(fg, n), ig))
		y = s.named("h", e.mul(o, e.div(c, n)))
		steps = append(steps, y)
	}
	if e.err != nil {
		return nil, nil, e.err
	}
	if ys, err = nodes.StackTime(steps); err != nil {
		return nil, nil, err
	}
	newState, err = nodes.Stack(y, c, n, m)
	return ys, newState, err
}

// unrolled builds a cell whose state is a stack of h and a memory, step by step,
// from its input x, one node a gate, and its recurrent weight r. step returns the
// new h and memory from the old ones.
func (e *exprs) unrolled(s Scope, x []*gorgonia.Node, r, state *gorgonia.Node, memory string, step func(s Scope, t int, r, h, c *gorgonia.Node) (hNew, cNew *gorgonia.Node)) (hs, newState *gorgonia.Node, err error) {
	if err := s.noResets(); err != nil {
		return nil, nil, err
	}
	b, d := s.batch, x[0].Shape()[1]
	if state == nil {
		if state, err = s.zeros("zero", 2, b, d); err != nil {
			return nil, nil, err
		}
	}
	r = e.keep(nodes.Reshape(r, 1, 4*d, d)) // one head
	pick := func(k int, as string) *gorgonia.Node {
		return s.step(-1).named(as, e.unary(func(x *gorgonia.Node) (*gorgonia.Node, error) { return nodes.Pick(k, x) }, state))
	}
	h, c := pick(0, "h"), pick(1, memory)
	var steps []*gorgonia.Node
	for t := range x[0].Shape()[0] / b {
		h, c = step(s.step(t), t, r, h, c)
		steps = append(steps, h)
	}
	if e.err != nil {
		return nil, nil, e.err
	}
	if hs, err = nodes.StackTime(steps); err != nil {
		return nil, nil, err
	}
	newState, err = nodes.Stack(h, c)
	return hs, newState, err
}

// symbolicLSTM is nodes.LSTM, step by step, with one input a gate.
func symbolicLSTM(s Scope, x []*gorgonia.Node, r, bias, state *gorgonia.Node) (hs, newState *gorgonia.Node, err error) {
	e := &exprs{}
	return e.unrolled(s, x, r, state, "c", func(s Scope, t int, r, h, c *gorgonia.Node) (hNew, cNew *gorgonia.Node) {
		pre := func(gate int, as string) *gorgonia.Node {
			return s.named(as, e.preActivation(s.batch, t, gate, x[gate], h, r, bias))
		}
		i, f := s.named("i", e.unary(nodes.Sigmoid, pre(0, "i~"))), s.named("f", e.unary(nodes.Sigmoid, pre(1, "f~")))
		g, o := s.named("g", e.unary(nodes.Tanh, pre(2, "g~"))), s.named("o", e.unary(nodes.Sigmoid, pre(3, "o~")))
		c = s.named("c", e.add(e.mul(f, c), e.mul(i, g)))
		return s.named("h", e.mul(o, e.unary(nodes.Tanh, c))), c
	})
}

// symbolicSimplified is nodes.Simplified, step by step, with one input a gate.
func symbolicSimplified(s Scope, x []*gorgonia.Node, r, norms, m, state *gorgonia.Node) (hs, newState *gorgonia.Node, err error) {
	e := &exprs{}
	var norm [4]*gorgonia.Node
	norms = e.keep(nodes.Reshape(norms, 4, norms.Shape()[0]/4))
	for k := range norm {
		norm[k] = e.unary(func(x *gorgonia.Node) (*gorgonia.Node, error) { return nodes.Pick(k, x) }, norms)
	}
	byRows := e.keep(gorgonia.Transpose(m)) // for nodes.Linear, which multiplies by a transposed matrix
	return e.unrolled(s, x, r, state, "C", func(s Scope, t int, r, h, c *gorgonia.Node) (hNew, cNew *gorgonia.Node) {
		pre := func(gate int, as string) *gorgonia.Node {
			return s.named(as, e.preActivation(s.batch, t, gate, x[gate], h, r, nil))
		}
		normalized := func(gate int, as string) *gorgonia.Node {
			y := e.unary(func(x *gorgonia.Node) (*gorgonia.Node, error) {
				return nodes.Norm(nodes.NormConfig{Eps: nodes.SimplifiedEps}, x, norm[2*gate])
			}, pre(gate, as))
			return e.unary(func(x *gorgonia.Node) (*gorgonia.Node, error) { return nodes.AddBias(x, norm[2*gate+1], 0) }, y)
		}
		i, f := s.named("i", e.unary(gorgonia.Exp, normalized(0, "i~"))), s.named("f", e.unary(nodes.Sigmoid, normalized(1, "f~")))
		o, g := s.named("o", e.unary(nodes.Sigmoid, pre(2, "o~"))), s.named("g", e.unary(nodes.Tanh, pre(3, "g~")))
		gm := e.unary(func(g *gorgonia.Node) (*gorgonia.Node, error) { return nodes.Linear(g, byRows, nil) }, g)
		c = s.named("C", e.add(e.mul(f, c), e.mul(i, gm)))
		return s.named("h", e.mul(o, e.unary(nodes.Tanh, c))), c
	})
}

// symbolicMLSTM is nodes.MLSTM, step by step; the form in cfg is of no account.
func symbolicMLSTM(s Scope, cfg nodes.MLSTMConfig, q, k, v, i, f *gorgonia.Node, state *nodes.MLSTMState) (*gorgonia.Node, nodes.MLSTMState, error) {
	if err := s.noResets(); err != nil {
		return nil, nodes.MLSTMState{}, err
	}
	w := newMLSTMUnroll(s, cfg, q, v)
	c, n, m := w.begin(state)
	var steps []*gorgonia.Node
	for t := range q.Shape()[0] / cfg.Batch {
		s := s.step(t)
		at := func(x *gorgonia.Node, as string) *gorgonia.Node {
			return s.named(as, w.unary(func(x *gorgonia.Node) (*gorgonia.Node, error) { return nodes.TimeStep(cfg.Batch, t, x) }, x))
		}
		kt, qt := w.scaled(at(k, "k"), w.scaleK), w.scaled(at(q, "q"), w.scaleQ)
		ig, fg, mNew := w.gates(s, at(i, "i~"), at(f, "f~"), m, nil)
		m = mNew
		c = s.named("C", w.add(w.scale(fg, c), w.scale(ig, w.head(nodes.HeadOuter, kt, at(v, "v")))))
		n = s.named("n", w.add(w.scale(fg, n), w.scale(ig, kt)))
		steps = append(steps, s.named("h", w.read(qt, c, n, m)))
	}
	return w.finish(steps, c, n, m)
}

// mlstmUnroll writes the mLSTM down, with the memory as matrices of one row a
// sequence.
type mlstmUnroll struct {
	exprs
	s              Scope
	cfg            nodes.MLSTMConfig
	dqk, dhv       int
	scaleQ, scaleK float64
}

func newMLSTMUnroll(s Scope, cfg nodes.MLSTMConfig, q, v *gorgonia.Node) *mlstmUnroll {
	w := &mlstmUnroll{s: s, cfg: cfg, dqk: q.Shape()[1] / cfg.NumHeads, dhv: v.Shape()[1] / cfg.NumHeads}
	w.scaleQ, w.scaleK = mlstmScales(cfg, w.dqk)
	if w.cfg.Eps == 0 {
		w.cfg.Eps = nodes.DefaultEps
	}
	return w
}

func (w *mlstmUnroll) head(f func(heads int, a, b *gorgonia.Node) (*gorgonia.Node, error), a, b *gorgonia.Node) *gorgonia.Node {
	return w.binary(func(a, b *gorgonia.Node) (*gorgonia.Node, error) { return f(w.cfg.NumHeads, a, b) }, a, b)
}

func (w *mlstmUnroll) scale(gate, x *gorgonia.Node) *gorgonia.Node {
	return w.head(nodes.HeadScale, gate, x)
}

// scaled multiplies with a number, unless that is 1.
func (w *mlstmUnroll) scaled(x *gorgonia.Node, by float64) *gorgonia.Node {
	if by == 1 {
		return x
	}
	return w.mul(x, w.s.scalar(by))
}

func (w *mlstmUnroll) shaped(x *gorgonia.Node, shape ...int) *gorgonia.Node {
	return w.unary(func(x *gorgonia.Node) (*gorgonia.Node, error) { return nodes.Reshape(x, shape...) }, x)
}

// begin returns the memory as matrices, empty if there is no state.
func (w *mlstmUnroll) begin(state *nodes.MLSTMState) (c, n, m *gorgonia.Node) {
	b, nh := w.cfg.Batch, w.cfg.NumHeads
	if state != nil {
		return w.shaped(state.C, b, nh*w.dqk*w.dhv), w.shaped(state.N, b, nh*w.dqk), state.M
	}
	return w.keep(w.s.zeros("zero_C", b, nh*w.dqk*w.dhv)), w.keep(w.s.zeros("zero_n", b, nh*w.dqk)), w.keep(w.s.zeros("zero_m", b, nh))
}

// read is h = Cᵀq / (max(|q·n|, exp(−m)) + eps).
func (w *mlstmUnroll) read(q, c, n, m *gorgonia.Node) *gorgonia.Node {
	floor := w.unary(gorgonia.Exp, w.unary(gorgonia.Neg, m))
	norm := w.binary(nodes.Maximum, w.unary(gorgonia.Abs, w.head(nodes.HeadRead, q, n)), floor)
	inverse := w.unary(gorgonia.Inverse, w.add(norm, w.s.scalar(w.cfg.Eps)))
	return w.scale(inverse, w.head(nodes.HeadRead, q, c))
}

func (w *mlstmUnroll) finish(steps []*gorgonia.Node, c, n, m *gorgonia.Node) (*gorgonia.Node, nodes.MLSTMState, error) {
	b, nh := w.cfg.Batch, w.cfg.NumHeads
	next := nodes.MLSTMState{C: w.shaped(c, b, nh, w.dqk, w.dhv), N: w.shaped(n, b, nh, w.dqk), M: w.shaped(m, b, nh)}
	if w.err != nil {
		return nil, next, w.err
	}
	h, err := nodes.StackTime(steps)
	return h, next, err
}
