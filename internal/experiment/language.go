package experiment

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gorgonia-xlstm/xlstm/data"
)

// rateLabel is the label of runs that differ in their rates, and atFarthest the
// name of the accuracy on the longest strings.
const (
	rateLabel  = "rate"
	atFarthest = "accuracy at 256"
)

// The lengths of the paper's experiments with formal languages (section 4.1 and
// appendix D.1 of xLSTM): strings to train on, and the longest in tests.
const (
	shortest = 3
	longest  = 40
	farthest = 256
)

// recurrentCells are compared wherever memory matters.
var recurrentCells = []string{SLSTM, MLSTM, Mixed, LSTM, LSTMBlock, Simplified}

// Where a language's answers are scored.
const (
	running = "running" // at every step, the answer for what has been read
	atEnd   = "end"     // once, as in the official data
)

// parity is the experiment on one language.
func parity() Experiment {
	return Experiment{
		Name:    "parity",
		About:   "Parity of strings up to length 40, examined on strings up to 256: scaled accuracy, 0 for guessing and 1 for all right.",
		Minutes: "2 blocks of width 64 with one head, 64 strings a step at a rate of 1e-2; the parity scored at every step (600 steps), or at the end alone (1,000 steps, of which 200 each up to length 4, 8 and 16)",
		Full:    fullLanguages,
		cells:   recurrentCells,
		runs: func(p plan) []Run {
			if p.setting == Full {
				return paperRuns(data.Parity, p)
			}
			return []Run{languageRun(data.Parity, running, p), languageRun(data.Parity, atEnd, p)}
		},
		charts: languageCharts,
	}
}

const fullLanguages = "the paper's: the answer scored at the end alone, 100,000 steps of 256 strings, at rates of 1e-2, 1e-3 and 1e-4; days on two cores"

// languages is the experiment on the other languages.
func languages() Experiment {
	return Experiment{
		Name:    "languages",
		About:   "Formal languages, strings up to length 40, examined on strings up to 256: scaled accuracy, 0 for guessing and 1 for all right.",
		Minutes: "2 blocks of width 64 with one head, 64 strings a step at a rate of 1e-2; the answer scored at every step (600 steps), of arithmetic with brackets at the end (1,000 steps, of which 200 each up to length 4, 8 and 16)",
		Full:    fullLanguages,
		cells:   []string{SLSTM, MLSTM, Mixed, LSTM, Simplified},
		runs: func(p plan) (all []Run) {
			for _, name := range data.Languages()[1:] {
				switch {
				case p.setting == Full:
					all = append(all, paperRuns(name, p)...)
				case name == data.ModularArithmeticBrackets:
					all = append(all, languageRun(name, atEnd, p))
				default:
					all = append(all, languageRun(name, running, p))
				}
			}
			return all
		},
		charts: languageCharts,
	}
}

// languageRun is a run on a language for minutes. Answers at the end alone are
// learned from short strings first.
func languageRun(name, scored string, p plan) Run {
	l := data.Language{Name: name, Min: shortest, Max: longest, EveryStep: scored == running}
	t := Training{Batch: 64, LR: 1e-2, MinLR: 1e-4, Every: 100}
	if scored == running {
		return t.onLanguage(l, 600, p)
	}
	for _, n := range []int{4, 8, 16} {
		short := l
		short.Max = n
		t.Lessons = append(t.Lessons, Lesson{Source{Language: &short}, 200})
	}
	return t.onLanguage(l, 400, p)
}

// paperRuns are the paper's runs on a language, one for each rate.
func paperRuns(name string, p plan) (all []Run) {
	for _, rate := range []float64{1e-2, 1e-3, 1e-4} {
		t := Training{Batch: 256, LR: rate, MinLR: 1e-5, Every: 1000}
		r := t.onLanguage(data.Language{Name: name, Min: shortest, Max: longest}, 100_000, p)
		r.Group, r.Labels[rateLabel] = fmt.Sprintf("%s-%g", r.Group, rate), strconv.FormatFloat(rate, 'g', -1, 64)
		all = append(all, r)
	}
	return all
}

// onLanguage completes a training with a last lesson on a language, and with
// examinations on strings of length 40 and of length 256.
func (t Training) onLanguage(l data.Language, steps int, p plan) Run {
	t.Model, t.Seed = p.cell.model(size{vocab: l.Vocab(), dim: 64, blocks: 2, heads: 1}), p.seed
	t.Lessons = append(t.Lessons, Lesson{Source{Language: &l}, steps})
	t.Warmup, t.Beta2, t.WeightDecay, t.Clip = t.steps()/10, 0.99, 0.1, 1
	scored := atEnd
	if l.EveryStep {
		scored = running
	}
	for _, n := range []int{longest, farthest} {
		exam := l
		exam.Max = n
		if !l.EveryStep {
			exam.Min = n - 1 // arithmetic has no even lengths
		}
		t.Exams = append(t.Exams, Exam{Name: fmt.Sprintf("accuracy at %d", n), Source: Source{Language: &exam}, Batch: 64, Batches: 4, Seed: examSeed, ByPosition: l.EveryStep && n == farthest})
	}
	return Run{Group: fmt.Sprintf("%s-%s-%s", l.Name, scored, p.cell.Name), Labels: map[string]string{"task": l.Name + ", " + scored, "cell": p.cell.Name}, Settings: t}
}

// examSeed is the seed of examinations, whatever that of the training: seeds of
// training begin at 1<<16.
const examSeed = 7

// languageCharts shows, for every language, how accuracy grows in training and
// how it falls with the length of strings.
func languageCharts(all []Result) (plots []Plot) {
	for _, task := range values(all, "task") {
		only := []string{"task", task}
		plots = append(plots, Plot{Title: fmt.Sprintf("%s: %s, in training", task, atFarthest), Axis: "step", Curve: atFarthest, Only: only, By: "cell"})
		if strings.HasSuffix(task, running) {
			plots = append(plots, Plot{Title: fmt.Sprintf("%s: accuracy by length", task), Axis: "length", Curve: atFarthest + ", by length", Only: only, By: "cell"})
		}
	}
	return plots
}
