package experiment

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/gorgonia-xlstm/xlstm/trace"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// gradients measures how far gradients flow back.
func gradients() Experiment {
	return Experiment{
		Name:    "gradients",
		About:   "How far gradients flow back: the norm of the gradient of the loss of the last token with respect to the input of the first block at a distance, relative to distance 0, as a power of ten; −8 stands for less too, and for none.",
		Minutes: "2 blocks of width 64 with 4 heads over 256 bytes of 16 texts, at initialisation and after 300 steps of 8 windows of 128 bytes at a rate of 3e-3; with the geometric means of the forget gates on the way",
		Full:    "6 blocks of width 384 over 1,024 bytes, after 20,000 steps of 16 windows of 256 bytes at a rate of 1e-3",
		cells:   []string{SLSTM, MLSTM, LSTM, LSTMBlock, Simplified},
		OnText:  true,
		OnCPU:   true,
		runs: func(p plan) []Run {
			s := size{vocab: textVocab, dim: 64, blocks: 2, heads: 4, conv: true}
			t, length, steps := Training{Batch: 8, LR: 3e-3, MinLR: 3e-4, Every: 50}, 128, 300
			f := flow{Sequences: 16, Length: 256, held: p.text.held}
			if p.setting == Full {
				s.dim, s.blocks, f.Length = 384, 6, 1024
				t, length, steps = Training{Batch: 16, LR: 1e-3, MinLR: 1e-4, Every: 1000}, 256, 20_000
			}
			t.Model = p.cell.model(s)
			f.Training = t.onText(length, steps, p)
			return []Run{{Group: "flow-" + p.cell.Name, Labels: map[string]string{"cell": p.cell.Name}, Settings: f}}
		},
		charts: func(all []Result) []Plot {
			return []Plot{
				{Title: "Gradient by distance, powers of ten: at initialisation", Axis: "distance", LogX: true, Curve: gradientAtFirst, By: "cell"},
				{Title: "Gradient by distance, powers of ten: trained", Axis: "distance", LogX: true, Curve: gradientTrained, By: "cell"},
				{Title: "Forget gates, geometric mean of the first block", Curve: "forget gate of block 0", By: "cell"},
				{Title: "Forget gates, geometric mean of the second block", Curve: "forget gate of block 1", By: "cell"},
			}
		},
	}
}

// The names of curves.
const (
	gradientAtFirst = "gradient at initialisation"
	gradientTrained = "gradient trained"
)

// leastGradient stands for smaller gradients, and for none: at initialisation the
// simplified cell passes none on.
const leastGradient = 1e-8

// flow is a training at whose begin and end gradients are measured.
type flow struct {
	Training
	Sequences int `json:"sequences"`
	Length    int `json:"length"`
	held      []int
}

func (f flow) do(ctx context.Context, at site) (*Outcome, error) {
	first, err := xlstm.New(f.Model, xlstm.WithSeed(f.Seed))
	if err != nil {
		return nil, err
	}
	p := &pupil{Training: f.Training, site: at, out: new(Outcome), watch: f.gates}
	return p.do(ctx, func(m *xlstm.Model, out *Outcome) error {
		if err := f.measure(first, gradientAtFirst, out); err != nil {
			return err
		}
		return f.measure(m, gradientTrained, out)
	})
}

// sequences returns the texts and their targets, of which only the last counts.
func (f flow) sequences() (tokens, targets []int) {
	apart := len(f.held) / (f.Sequences + 1)
	for s := range f.Sequences {
		text := f.held[s*apart:]
		tokens = append(tokens, text[:f.Length]...)
		for range f.Length - 1 {
			targets = append(targets, data.Ignore)
		}
		targets = append(targets, text[f.Length])
	}
	return tokens, targets
}

// measure notes the logarithm of the norms of gradients by distance.
func (f flow) measure(m *xlstm.Model, name string, out *Outcome) error {
	tokens, targets := f.sequences()
	norms, err := gradientNorms(m, f.Sequences, tokens, targets)
	if err != nil {
		return err
	}
	for d := 1; d < f.Length; d += max(1, d/8) {
		out.add(name, d, math.Log10(math.Max(norms[d]/norms[0], leastGradient)))
	}
	return nil
}

// gradientNorms returns, for every distance from the last token, the root of the
// mean square of the gradient of the loss with respect to what the first block
// reads there: the embedded token.
func gradientNorms(m *xlstm.Model, batch int, tokens, targets []int) ([]float64, error) {
	g := gorgonia.NewGraph()
	n := len(tokens)
	ids := gorgonia.NewVector(g, tensor.Int, gorgonia.WithShape(n), gorgonia.WithName("ids"), gorgonia.WithValue(tensor.New(tensor.WithBacking(tokens))))
	aims := gorgonia.NewVector(g, tensor.Int, gorgonia.WithShape(n), gorgonia.WithName("targets"), gorgonia.WithValue(tensor.New(tensor.WithBacking(targets))))
	fwd, err := m.Fwd(g, xlstm.GraphInput{Batch: batch, Tokens: ids}, xlstm.FwdConfig{})
	if err != nil {
		return nil, err
	}
	loss, err := nodes.CrossEntropy(fwd.Logits, aims)
	if err != nil {
		return nil, err
	}
	embedded, err := readerOf(g, ids)
	if err != nil {
		return nil, err
	}
	// Gorgonia differentiates with respect to inputs only. On the way to the
	// embedding's weight is what is wanted.
	if _, err := gorgonia.Grad(loss, fwd.Model()...); err != nil {
		return nil, errors.Wrap(err, "differentiating")
	}
	vm, err := nodes.NewSequence(g, nil)
	if err != nil {
		return nil, err
	}
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		return nil, errors.Wrap(err, "computing gradients")
	}
	grad, err := embedded.Grad()
	if err != nil {
		return nil, errors.Wrap(err, "reading the gradient of the embedded tokens")
	}
	all, ok := grad.Data().([]float32)
	if !ok {
		return nil, errors.Errorf("gradients of %v", grad.Dtype())
	}
	return normsByDistance(all, batch, n/batch), nil
}

// readerOf returns the one node that reads another.
func readerOf(g *gorgonia.ExprGraph, n *gorgonia.Node) (*gorgonia.Node, error) {
	readers := g.To(n.ID())
	if readers.Len() != 1 || !readers.Next() {
		return nil, errors.Errorf("%s has %d readers, want one", n.Name(), readers.Len())
	}
	return readers.Node().(*gorgonia.Node), nil
}

// normsByDistance returns the norms of the rows of gradients, (batch·length,
// width), by their distance from the last.
func normsByDistance(all []float32, batch, length int) []float64 {
	width := len(all) / (batch * length)
	norms := make([]float64, length)
	for i, x := range all {
		t := i / width % length
		norms[length-1-t] += float64(x) * float64(x) / float64(batch)
	}
	for d := range norms {
		norms[d] = math.Sqrt(norms[d])
	}
	return norms
}

// gates notes the geometric means of the forget gates over a text.
func (f flow) gates(m *xlstm.Model, out *Outcome, step int) error {
	tr, err := trace.Of(m, f.held[:f.Length], trace.Config{})
	if err != nil {
		return err
	}
	for i, b := range tr.Blocks {
		var logs []float64
		for _, h := range b.MLSTM {
			logs = append(logs, h.LogForget...)
		}
		for _, h := range b.SLSTM {
			logs = append(logs, h.LogForget.Mean...)
		}
		for _, layer := range slices.Concat(b.LSTM, b.Simplified) {
			logs = append(logs, layer.LogForget.Mean...)
		}
		out.add(fmt.Sprintf("forget gate of block %d", i), step, math.Exp(spreadOf(logs).mean))
	}
	return nil
}
