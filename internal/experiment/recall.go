package experiment

import (
	"fmt"

	"github.com/gorgonia-xlstm/xlstm/data"
)

// recall is multi-query associative recall (section 4.1 of the paper, figure 5).
func recall() Experiment {
	return Experiment{
		Name:    "recall",
		About:   "Associative recall (MQAR): the values of keys after pairs of a key and a value, scaled accuracy.",
		Minutes: "2 blocks of width 64 with one head, a vocabulary of 64, 8 pairs in 64 tokens, 1,000 steps of 32 sequences at a rate of 3e-3",
		Full:    "the paper's: a vocabulary of 8192, contexts of 64, 128 and 256 with 4, 8 and 16 pairs, and contexts of 756, 1024 and 2048 with 48, 96 and 256 pairs, 200,000 steps of 32 sequences (64 epochs of 100,000); a GPU's days",
		cells:   recurrentCells,
		runs:    recallRuns,
		charts: func(all []Result) (plots []Plot) {
			for _, task := range values(all, "task") {
				plots = append(plots, Plot{Title: fmt.Sprintf("%s: accuracy in training", task), Curve: "accuracy", Only: []string{"task", task}, By: "cell"})
			}
			return plots
		},
	}
}

// paperRecalls are the contexts and pairs of the paper's experiments.
var paperRecalls = []struct{ context, pairs []int }{
	{[]int{64}, []int{4}}, {[]int{128}, []int{8}}, {[]int{256}, []int{16}}, {[]int{756, 1024, 2048}, []int{48, 96, 256}},
}

func recallRuns(p plan) (all []Run) {
	if p.setting == Minutes {
		t := Training{Batch: 32, LR: 3e-3, MinLR: 3e-5, Every: 100}
		return []Run{t.onRecall(data.Recall{VocabSize: 64, Length: 64, Pairs: 8}, 64, 1000, p)}
	}
	for _, r := range paperRecalls {
		for _, context := range r.context {
			for _, pairs := range r.pairs {
				if 4*pairs > context {
					continue // there is no room for so many questions
				}
				t := Training{Batch: 32, LR: 1e-3, MinLR: 1e-5, Every: 2000}
				all = append(all, t.onRecall(data.Recall{VocabSize: 8192, Length: context, Pairs: pairs}, 128, 200_000, p))
			}
		}
	}
	return all
}

// onRecall completes a training on recall.
func (t Training) onRecall(r data.Recall, dim, steps int, p plan) Run {
	t.Model, t.Seed = p.cell.model(size{vocab: r.VocabSize, dim: dim, blocks: 2, heads: 1}), p.seed
	t.Warmup, t.Beta2, t.WeightDecay, t.Clip = steps/10, 0.95, 0.1, 1
	t.Lessons = []Lesson{{Source{Recall: &r}, steps}}
	t.Exams = []Exam{{Name: "accuracy", Source: Source{Recall: &r}, Batch: 32, Batches: 8, Seed: examSeed}}
	task := fmt.Sprintf("%d pairs in %d tokens", r.Pairs, r.Length)
	return Run{Group: fmt.Sprintf("%d-in-%d-%s", r.Pairs, r.Length, p.cell.Name), Labels: map[string]string{"task": task, "cell": p.cell.Name}, Settings: t}
}
