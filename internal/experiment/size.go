package experiment

import (
	"fmt"
	"math"
	"strconv"
)

// onText completes a training on windows of a text, with its loss on the part
// that is held out.
func (t Training) onText(length, steps int, p plan) Training {
	t.Seed, t.Warmup, t.Beta2, t.WeightDecay, t.Clip = p.seed, steps/10, 0.95, 0.1, 1
	t.Lessons = []Lesson{{Source{Text: p.text.windows(length)}, steps}}
	t.Exams = []Exam{{Name: heldLoss, Source: Source{Text: p.text.heldOut(length)}, Batch: 16, Batches: 16, Seed: examSeed}}
	return t
}

// heldLoss is the name of the loss on text that is held out.
const heldLoss = "held-out loss"

// depth trains models of growing depth at one learning rate.
func depth() Experiment {
	return Experiment{
		Name:    "depth",
		About:   "Models of 2 to 24 blocks at one learning rate, with the official initialisation: loss on held-out text, in nats a byte.",
		Minutes: "width 64, 4 heads, 200 steps of 8 windows of 64 bytes at a rate of 3e-3",
		Full:    "width 384, 20,000 steps of 16 windows of 256 bytes at a rate of 1e-3; days on two cores",
		cells:   []string{SLSTM, MLSTM, Mixed, LSTMBlock},
		OnText:  true,
		runs: func(p plan) (all []Run) {
			for _, blocks := range []int{2, 6, 12, 24} {
				s := size{vocab: textVocab, dim: 64, blocks: blocks, heads: 4, conv: true}
				t, length, steps := Training{Batch: 8, LR: 3e-3, MinLR: 3e-4, Every: 50}, 64, 200
				if p.setting == Full {
					s.dim = 384
					t, length, steps = Training{Batch: 16, LR: 1e-3, MinLR: 1e-4, Every: 1000}, 256, 20_000
				}
				t.Model = p.cell.model(s)
				all = append(all, Run{
					Group: fmt.Sprintf("%s-%d-blocks", p.cell.Name, blocks), Settings: t.onText(length, steps, p),
					Labels: map[string]string{"cell": p.cell.Name, "blocks": strconv.Itoa(blocks)},
				})
			}
			return all
		},
		charts: func(all []Result) []Plot {
			plots := []Plot{{Title: "Held-out loss, nats a byte", Axis: "number of blocks", Figure: heldLoss, Over: "blocks", By: "cell"}}
			for _, blocks := range values(all, "blocks") {
				plots = append(plots, Plot{Title: blocks + " blocks: held-out loss in training", Curve: heldLoss, Only: []string{"blocks", blocks}, By: "cell"})
			}
			return plots
		},
	}
}

// scaling trains models of growing width on the same tokens.
func scaling() Experiment {
	return Experiment{
		Name:    "scaling",
		About:   "Models of growing width on the same number of tokens: loss on held-out text, in nats a byte, against the parameters without embedding and head.",
		Minutes: "2 blocks of width 16 to 128, 400 steps of 8 windows of 128 bytes at a rate of 3e-3",
		Full:    "4 blocks of width 64 to 512, 50,000 steps of 16 windows of 256 bytes at a rate of 1e-3; a GPU's hours",
		cells:   []string{MLSTM, Mixed},
		OnText:  true,
		runs: func(p plan) (all []Run) {
			widths, blocks := []int{16, 32, 64, 96, 128}, 2
			t, length, steps := Training{Batch: 8, LR: 3e-3, MinLR: 3e-4, Every: 100}, 128, 400
			if p.setting == Full {
				widths, blocks = []int{64, 128, 192, 256, 384, 512}, 4
				t, length, steps = Training{Batch: 16, LR: 1e-3, MinLR: 1e-4, Every: 1000}, 256, 50_000
			}
			for _, dim := range widths {
				t.Model = p.cell.model(size{vocab: textVocab, dim: dim, blocks: blocks, heads: 4, conv: true})
				all = append(all, Run{
					Group: fmt.Sprintf("%s-width-%d", p.cell.Name, dim), Settings: t.onText(length, steps, p),
					Labels: map[string]string{"cell": p.cell.Name, "width": strconv.Itoa(dim)},
				})
			}
			return all
		},
		charts: func(all []Result) []Plot {
			return []Plot{{Title: "Held-out loss, nats a byte", Axis: "number of parameters", LogX: true, Figure: heldLoss, Over: overParameters, By: "cell"}}
		},
	}
}

// inner returns the number of a run's parameters without embedding and head.
func inner(r Result) int {
	width, err := strconv.Atoi(r.Labels["width"])
	if err != nil {
		return r.Params
	}
	return r.Params - 2*textVocab*width
}

// exponent fits y = a·x^−b to points by least squares of the logarithms.
func exponent(x, y []float64) (a, b float64) {
	n := float64(len(x))
	var sx, sy, sxx, sxy float64
	for i := range x {
		lx, ly := math.Log(x[i]), math.Log(y[i])
		sx, sy, sxx, sxy = sx+lx, sy+ly, sxx+lx*lx, sxy+lx*ly
	}
	b = -(n*sxy - sx*sy) / (n*sxx - sx*sx)
	return math.Exp((sy + b*sx) / n), b
}
