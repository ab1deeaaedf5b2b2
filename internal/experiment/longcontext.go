package experiment

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/machine"
)

// trainedContext is the length of the sequences that models learn on before they
// read longer ones.
const trainedContext = 512

// longContext trains on short sequences and reads long ones.
func longContext() Experiment {
	return Experiment{
		Name:    "longcontext",
		About:   "Trained on 512 tokens, examined on up to 65,536: loss of text by position, recall of a value by its distance, and the cost of a token by the length that was read.",
		Minutes: "2 blocks of width 64 with one head, 400 steps of 4 sequences at a rate of 3e-3; examined on 6 texts of 65,536 bytes, and at distances up to 8,192",
		Full:    "6 blocks of width 384, 20,000 steps of 16 sequences at a rate of 1e-3; a GPU's hours",
		cells:   []string{SLSTM, MLSTM, Mixed, LSTM},
		OnText:  true,
		runs: func(p plan) []Run {
			s := size{vocab: textVocab, dim: 64, blocks: 2, heads: 1, conv: true}
			t, steps, length := Training{Batch: 4, LR: 3e-3, MinLR: 3e-4, Every: 50}, 400, 1<<16
			if p.setting == Full {
				s.dim, s.blocks, s.heads = 384, 6, 4
				t, steps = Training{Batch: 16, LR: 1e-3, MinLR: 1e-4, Every: 1000}, 20_000
			}
			t.Model = p.cell.model(s)
			s.vocab = data.Needle{}.Vocab()
			runs := []Run{
				{Group: "text-" + p.cell.Name, Labels: map[string]string{"task": "text", "cell": p.cell.Name}, Settings: reading{Training: t.onText(trainedContext, steps, p), Sequences: 6, Length: length, held: p.text.held}},
				{Group: "needle-" + p.cell.Name, Labels: map[string]string{"task": "needle", "cell": p.cell.Name}, Settings: t.onNeedle(p.cell.model(s), steps, p.seed)},
			}
			if p.seed == 1 { // costs do not depend on the seed
				runs = append(runs, costRuns(p)...)
			}
			return runs
		},
		charts: func(all []Result) []Plot {
			return []Plot{
				{Title: "Loss of text by position, in nats a byte", Axis: "position", LogX: true, Curve: lossByPosition, Only: []string{"task", "text"}, By: "cell"},
				{Title: "Recall of a value by its distance, scaled accuracy", Axis: "distance", LogX: true, Curve: "recall, by distance", Only: []string{"task", "needle"}, By: "cell"},
				{Title: "Memory of a training step by the length of its sequence, MiB", Axis: "length", Log: true, Curve: trainingMemory, Only: []string{"task", "cost"}, By: "cell"},
			}
		},
	}
}

// The names of curves.
const (
	lossByPosition = "loss by position"
	trainingMemory = "memory of a training step"
)

// onNeedle completes a training on a needle, examined at distances up to sixteen
// times the length of the sequences.
func (t Training) onNeedle(m xlstm.Config, steps int, seed uint64) Training {
	t.Model, t.Seed, t.Warmup, t.Beta2, t.WeightDecay, t.Clip = m, seed, steps/10, 0.95, 0.1, 1
	far := data.Needle{Length: 16*trainedContext + 2}
	for d := 64; d <= 16*trainedContext; d *= 2 {
		far.At = append(far.At, d)
	}
	t.Lessons = []Lesson{{Source{Needle: &data.Needle{Length: trainedContext, Asked: 16}}, steps}}
	t.Exams = []Exam{
		{Name: "recall within 512", Source: Source{Needle: &data.Needle{Length: trainedContext, Asked: 16}}, Batch: 8, Batches: 4, Seed: examSeed},
		{Name: "recall", Source: Source{Needle: &far}, Batch: 8, Batches: 8, Seed: examSeed, Last: true, ByPosition: true},
	}
	return t
}

// reading is a training on a text whose model then reads long texts.
type reading struct {
	Training
	Sequences int `json:"sequences"`
	Length    int `json:"length"`
	held      []int
}

func (r reading) do(ctx context.Context, at site) (*Outcome, error) {
	return r.doThen(ctx, at, func(m *xlstm.Model, out *Outcome) error {
		by, err := m.LossByPosition(ctx, data.IDs(r.held), xlstm.PositionConfig{Sequences: r.Sequences, Length: r.Length, Batch: r.Sequences, Piece: trainedContext})
		if err != nil {
			return err
		}
		for _, p := range by {
			out.add(lossByPosition, p.To, p.Nats)
		}
		return nil
	})
}

// costs measures what a model's tokens cost. It is not trained.
type costs struct {
	Model xlstm.Config `json:"model"`
	// Lengths are those that are read with a carried state, and Training those
	// of sequences that a training step has as a whole.
	Lengths  []int `json:"lengths"`
	Training []int `json:"training"`
}

func costRuns(p plan) []Run {
	c := costs{Lengths: []int{1 << 10, 1 << 12, 1 << 14, 1 << 16}, Training: []int{trainedContext, 1 << 10, 1 << 12, 1 << 14}}
	c.Model = p.cell.model(size{vocab: textVocab, dim: 128, blocks: 2, heads: 4, conv: true})
	return []Run{{Group: "cost-" + p.cell.Name, Labels: map[string]string{"task": "cost", "cell": p.cell.Name}, Settings: c}}
}

func (c costs) do(ctx context.Context, at site) (*Outcome, error) {
	m, err := xlstm.New(c.Model, xlstm.WithDevice(at.device))
	if err != nil {
		return nil, err
	}
	out := &Outcome{Params: m.NumParams()}
	for _, n := range c.Training {
		cost, err := c.Model.Cost(xlstm.CostOptions{Batch: 1, Steps: n})
		if err != nil {
			return nil, err
		}
		mem := cost.TrainingMemory()
		out.add(trainingMemory, n, float64(mem.Params+mem.Gradients+mem.Moments+mem.Activations)/(1<<20))
		out.set("state, KiB", float64(cost.StateBytes())/(1<<10))
	}
	if err := c.read(ctx, m, at, out); err != nil {
		return nil, err
	}
	for _, n := range c.Training {
		if err := c.step(ctx, m, n, at, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// timed runs a program once and returns how long it took, on a device until it
// is done there.
func (at site) timed(p *xlstm.Program, in xlstm.Input) (time.Duration, error) {
	start := time.Now()
	err := p.Run(in)
	if err == nil && at.device != nil {
		err = at.device.Sync()
	}
	return time.Since(start), err
}

// read measures the time of a token in the fastest of the last pieces of a text of
// every length, of which only the state is carried.
func (c costs) read(ctx context.Context, m *xlstm.Model, where site, out *Outcome) error {
	p, err := m.Compile(xlstm.ProgramConfig{Batch: 1, Steps: trainedContext, Carry: true})
	if err != nil {
		return err
	}
	defer p.Close()
	state, err := m.NewState(1)
	if err != nil {
		return err
	}
	in := xlstm.Input{Tokens: noise(trainedContext), State: state}
	at := 0
	for _, n := range c.Lengths {
		took := time.Duration(math.MaxInt64)
		for at < n {
			if err := ctx.Err(); err != nil {
				return err
			}
			piece, err := where.timed(p, in)
			if err != nil {
				return err
			}
			if at += trainedContext; at > n-4*trainedContext {
				took = min(took, piece)
			}
		}
		out.measure(fmt.Sprintf("µs a token read at %d", n), took.Seconds()*1e6/trainedContext)
	}
	return nil
}

// step measures the fastest of some steps of training on one sequence of a
// length.
func (c costs) step(ctx context.Context, m *xlstm.Model, n int, at site, out *Outcome) error {
	free, err := at.free()
	if err != nil {
		return err
	}
	p, err := m.Compile(xlstm.ProgramConfig{Batch: 1, Steps: n, Grad: true})
	if err != nil {
		return err
	}
	defer p.Close()
	in := xlstm.Input{Tokens: noise(n), Targets: noise(n)}
	took := time.Duration(math.MaxInt64)
	for range 3 { // the first one also allocates
		if err := ctx.Err(); err != nil {
			return err
		}
		step, err := at.timed(p, in)
		if err != nil {
			return err
		}
		took = min(took, step)
	}
	out.measure(fmt.Sprintf("µs a token of a training step of %d", n), took.Seconds()*1e6/float64(n))
	if at.device != nil {
		left, err := at.free()
		out.measure(fmt.Sprintf("MiB on the device of a training step of %d", n), (free-left)/(1<<20))
		return err
	}
	// Of a process of its own, and of lengths that grow.
	out.measure(fmt.Sprintf("MiB of the process after a training step of %d", n), machine.PeakMemory()/(1<<20))
	return nil
}

// free returns the bytes that are free on the device, 0 for the CPU.
func (at site) free() (float64, error) {
	sized, ok := at.device.(interface {
		Memory() (free, total int64, err error)
	})
	if !ok {
		return 0, nil
	}
	free, _, err := sized.Memory()
	return float64(free), err
}

// noise returns n tokens without a pattern.
func noise(n int) []int {
	ids := make([]int, n)
	x := uint32(1)
	for i := range ids {
		x = x*1664525 + 1013904223
		ids[i] = int(x >> 24)
	}
	return ids
}
