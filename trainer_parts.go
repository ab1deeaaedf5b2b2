package xlstm

import (
	"runtime"
	"sync"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/cores"
	"github.com/gorgonia-xlstm/xlstm/internal/floats"
	"github.com/gorgonia-xlstm/xlstm/internal/vec"
)

// On the CPU, a batch of several sequences is run in parts: each of them forward
// and backward on one core, which finds in its caches what the operation before has
// written and does not wait for others after each operation. Gradients are the sums
// of those of the parts, in their order. How a batch is divided depends on shapes
// alone, so that results are the same on any number of cores.
const (
	// leastParts is the least number of parts: as many as most processors have cores.
	// Cores without one help the others, which takes longer.
	leastParts = 16
	// mostTokens is the largest number of tokens in a part of several sequences: what
	// passes from an operation to the next is to fit into a second-level cache.
	mostTokens = 512
	// mostParams is the largest number of a model's parameters, of which each core
	// holds gradients.
	mostParams = 1 << 23
	// fewTokens are too few for weights that are read, and gradients that are added up,
	// for each part, if there are more than tokenParams of them for each token.
	fewTokens   = 256
	tokenParams = 1 << 12
)

// partRows returns the number of sequences in each part of a batch of so many: all of
// them if it is not divided.
func (m *Model) partRows(batch, steps int) int {
	params := m.NumParams()
	if m.home != nil || m.cfg.LSTM != nil || params > mostParams {
		return batch // the scan of a plain LSTM is fast for many sequences at once
	}
	for rows := min(batch/leastParts, max(1, mostTokens/steps)); rows > 0; rows-- {
		tokens := rows * steps
		if batch%rows == 0 && (tokens >= fewTokens || params <= tokenParams*tokens) {
			return rows
		}
	}
	return batch
}

// parts runs batches in parts, as many at a time as there are cores.
type parts struct {
	workers []*partWorker
	blocks  []gradBlock
	// The last batch, for a search in it.
	in    Input
	batch data.Batch
}

// partWorker runs one part after the other.
type partWorker struct {
	program *Program
	state   *State // nil without Carry
	grads   []floats.Slice
	weight  float64 // of the part that was run last, in its batch
	loss    float64
	err     error
}

// gradBlock is a range of a parameter's gradient: a piece of work.
type gradBlock struct{ param, lo, hi int }

// gradBlockLen is the number of elements in a gradBlock, which stays in a first-level
// cache while the gradients of several parts are added to it.
const gradBlockLen = 1 << 12

// newParts makes the trainer, whose program is that of a part, run batches in parts.
func (t *Trainer) newParts(cfg ProgramConfig) error {
	workers := min(runtime.GOMAXPROCS(0), t.cfg.Batch/cfg.Batch)
	p := &parts{workers: make([]*partWorker, workers)}
	t.parts = p
	var group sync.WaitGroup
	for i := range p.workers {
		w := &partWorker{program: t.program}
		p.workers[i] = w
		group.Go(func() {
			if i > 0 {
				w.program, w.err = t.model.Compile(cfg)
			}
			if cfg.Carry && w.err == nil {
				w.state, w.err = t.model.NewState(cfg.Batch)
			}
		})
	}
	group.Wait()
	for i, n := range sizesOf(t.program.Model()) {
		for lo := 0; lo < n; lo += gradBlockLen {
			p.blocks = append(p.blocks, gradBlock{i, lo, min(lo+gradBlockLen, n)})
		}
	}
	return p.err()
}

// err returns the first error of a worker.
func (p *parts) err() error {
	for _, w := range p.workers {
		if w.err != nil {
			return w.err
		}
	}
	return nil
}

// close closes all programs but the trainer's own.
func (p *parts) close() (err error) {
	for _, w := range p.workers[1:] {
		if w.program == nil {
			continue // it could not be compiled
		}
		if e := w.program.Close(); err == nil {
			err = e
		}
	}
	return err
}

// passParts runs a batch, takes its gradients into the means, and returns its loss.
func (t *Trainer) passParts(in Input, b data.Batch, s share) (loss float64, err error) {
	if !t.cfg.WithResets {
		b.Starts = nil
	}
	b.B, b.T = t.cfg.Batch, t.cfg.Steps
	if err := t.program.checkBatch(b); err != nil {
		return 0, err
	}
	p, rows, counted := t.parts, t.program.cfg.Batch, max(1, b.Counted())
	p.in, p.batch = in, b
	for from := 0; from < b.B; from += rows * len(p.workers) {
		busy := p.workers[:min(len(p.workers), (b.B-from)/rows)]
		cores.RunLong(len(busy), func(i int) {
			at := from + i*rows
			part := b.Rows(at, at+rows)
			busy[i].weight = float64(part.Counted()) / float64(counted)
			busy[i].err = t.runPart(busy[i], in, part, at)
		})
		if err := p.err(); err != nil {
			return 0, err
		}
		for _, w := range busy {
			if w.weight > 0 { // otherwise its loss is not defined
				loss += w.weight * w.loss
			}
		}
		if s.of > 0 {
			t.addGrads(busy, s, from == 0)
		}
	}
	return loss, nil
}

// runPart runs the sequences of a batch that begin with number from.
func (t *Trainer) runPart(w *partWorker, in Input, part data.Batch, from int) (err error) {
	if err := w.run(in, part, from); err != nil {
		return err
	}
	for i := 0; w.state != nil && i < part.B; i++ {
		if err := t.state.SetText(from+i, w.state, i); err != nil {
			return err
		}
	}
	w.loss, err = w.program.Loss()
	return err
}

// run is runPart without consequences.
func (w *partWorker) run(in Input, part data.Batch, from int) error {
	in.Tokens, in.Targets, in.Starts = part.Inputs, part.Targets, part.Starts
	in.Dropout.Row = from * part.T
	if w.state != nil {
		for i := range part.B {
			if err := w.state.SetText(i, in.State, from+i); err != nil {
				return err
			}
		}
		in.State = w.state
	}
	if err := w.program.Run(in); err != nil || w.grads != nil {
		return err
	}
	for _, n := range w.program.Model() {
		g, err := n.Grad()
		if err != nil {
			return err
		}
		w.grads = append(w.grads, floats.Of(g.Data()))
	}
	return nil
}

// addGrads takes the gradients of the parts that have just been run into the means.
// first reports whether they are the first of their batch.
func (t *Trainer) addGrads(busy []*partWorker, s share, first bool) {
	cores.Run(len(t.parts.blocks), func(i int) {
		b := t.parts.blocks[i]
		mean := floats.Of(t.means[b.param].mean.Data()).Cut(b.lo, b.hi)
		switch {
		case first && s.first:
			clear(mean.F32)
			clear(mean.F64)
		case first:
			mean.Blend(1-s.of, mean, 0)
		}
		for _, w := range busy {
			if w.weight > 0 {
				g := w.grads[b.param].Cut(b.lo, b.hi)
				vec.Axpy(mean.F32, float32(s.of*w.weight), g.F32)
				vec.Axpy(mean.F64, s.of*w.weight, g.F64)
			}
		}
	})
}

// firstNonFinite is Program.FirstNonFinite of the last batch, which it runs again.
func (t *Trainer) firstNonFinite() string {
	if t.parts == nil {
		return t.program.FirstNonFinite()
	}
	p, rows := t.parts, t.program.cfg.Batch
	for from := 0; from < p.batch.B; from += rows {
		if err := p.workers[0].run(p.in, p.batch.Rows(from, from+rows), from); err != nil {
			return ""
		}
		if name := t.program.FirstNonFinite(); name != "" {
			return name
		}
	}
	return ""
}
