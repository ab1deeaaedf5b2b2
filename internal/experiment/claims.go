package experiment

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
)

// Claim is a statement of a paper, and how results judge it.
type Claim struct {
	Text, Source string
	Experiment   string
	// full reports whether results of the full setting are judged too.
	full bool
	// judge says what was measured, and whether the claim holds. It is only
	// asked about results that are there.
	judge func(all []Result) (measured string, v verdict)
}

// verdict is whether a claim holds.
type verdict string

const (
	holds      verdict = "holds"
	partly     verdict = "in part"
	refuted    verdict = "does not hold"
	unmeasured verdict = "not measured"
)

// verdictOf returns holds if all conditions are true, partly if some are, and
// unmeasured if there are none.
func verdictOf(conditions ...bool) verdict {
	if len(conditions) == 0 {
		return unmeasured
	}
	n := 0
	for _, c := range conditions {
		if c {
			n++
		}
	}
	switch n {
	case len(conditions):
		return holds
	case 0:
		return refuted
	}
	return partly
}

// The sources of claims.
const (
	xlstmPaper   = "xLSTM, arXiv 2405.04517"
	scalingPaper = "xLSTM scaling laws, arXiv 2510.02228"
	notInPapers  = "not in the papers; what users ask"
)

// Claims returns all claims.
func Claims() []Claim {
	return []Claim{
		{"Models with memory mixing (sLSTM, and with it mixed models, and the LSTM) solve parity and extrapolate to longer strings.", xlstmPaper + ", section 4.1", "parity", true, func(all []Result) (string, verdict) {
			return solved(all, atFarthest, []string{SLSTM, Mixed, LSTM, LSTMBlock}, func(y spread) bool { return y.low >= 0.99 })
		}},
		{"The mLSTM alone, without memory mixing, does not solve parity.", xlstmPaper + ", section 4.1", "parity", true, func(all []Result) (string, verdict) {
			return solved(all, atFarthest, []string{MLSTM}, func(y spread) bool { return y.high < 0.9 })
		}},
		{"Models with memory mixing solve regular languages.", xlstmPaper + ", section 4.1", "languages", true, func(all []Result) (string, verdict) {
			return solved(regular(all), atFarthest, []string{SLSTM, Mixed, LSTM, LSTMBlock}, func(y spread) bool { return y.mean >= 0.99 })
		}},
		{"The matrix memory of the mLSTM recalls associations; a scalar memory in a model of the same width and depth does not.", xlstmPaper + ", section 4.1", "recall", true, func(all []Result) (string, verdict) {
			good, v := solved(all, "accuracy", []string{MLSTM, Mixed}, func(y spread) bool { return y.low >= 0.99 })
			bad, w := solved(all, "accuracy", []string{LSTM, LSTMBlock, SLSTM, Simplified}, func(y spread) bool { return y.high < 0.9 })
			return good + "; " + bad, verdictOf(v == holds, w == holds)
		}},
		{"Trained on a short context, the loss stays low on contexts many times as long.", xlstmPaper + ", length extrapolation", "longcontext", false, judgeExtrapolation},
		{"Time and memory of a token do not grow with the length of what was read.", xlstmPaper + ", the recurrence", "longcontext", false, judgeCost},
		{"Memory and time of a training step grow in proportion to the length of its sequences.", "TFLA, arXiv 2503.14376", "longcontext", false, judgeTraining},
		{"The memory keeps a value beyond the context that was trained on.", notInPapers, "longcontext", false, judgeNeedle},
		{"The forget gates of the mLSTM let gradients flow over long distances from the start.", xlstmPaper + ", initialisation of the forget gates", "gradients", false, judgeGradients},
		{"Residual blocks train at any depth at one learning rate, and depth helps.", xlstmPaper + ", residual blocks; 24 to 64 blocks", "depth", false, judgeDepth},
		{"The loss falls with the number of parameters as a power law.", scalingPaper + ", whose law L = E + (A·N^−α + B·D^−β)^γ also has the tokens D", "scaling", false, judgeScaling},
		{"Features in and out: xLSTM forecasts a series better than an LSTM.", notInPapers, "series", false, judgeSeries},
	}
}

// regular leaves out the language that is not regular.
func regular(all []Result) (some []Result) {
	for _, r := range all {
		if !strings.Contains(r.Labels["task"], "brackets") {
			some = append(some, r)
		}
	}
	return some
}

// atBestRates keeps, of every task and cell that was trained at several rates, the
// runs at the rate with the highest mean accuracy on the longest strings, as the
// paper does.
func atBestRates(all []Result) (some []Result) {
	for _, task := range values(all, "task") {
		for _, cell := range values(all, "cell") {
			var best []Result
			of := where(all, "task", task, "cell", cell)
			for _, rate := range values(of, rateLabel) {
				runs := where(of, rateLabel, rate)
				if best == nil || figure(runs, atFarthest).mean > figure(best, atFarthest).mean {
					best = runs
				}
			}
			some = append(some, best...)
		}
	}
	return some
}

// solved says what a figure of some cells is in every task, and judges it.
func solved(all []Result, name string, cells []string, good func(spread) bool) (string, verdict) {
	var parts []string
	var conditions []bool
	for _, cell := range cells {
		var figures []string
		for _, task := range values(all, "task") {
			if y := figure(where(all, "task", task, "cell", cell), name); y.n > 0 {
				figures = append(figures, y.String())
				conditions = append(conditions, good(y))
			}
		}
		if len(figures) > 0 {
			parts = append(parts, titleOf("cell", cell)+" "+strings.Join(figures, ", "))
		}
	}
	said := strings.Join(parts, "; ")
	if tasks := values(all, "task"); len(tasks) > 1 {
		said = strings.Join(tasks, "; ") + " – " + said
	}
	return said, verdictOf(conditions...)
}

// eachCell joins what is said of every cell of some results.
func eachCell(all []Result, say func(cell string, of []Result) (string, bool)) (string, verdict) {
	var parts []string
	var conditions []bool
	for _, cell := range values(all, "cell") {
		said, good := say(cell, where(all, "cell", cell))
		parts, conditions = append(parts, titleOf("cell", cell)+" "+said), append(conditions, good)
	}
	return strings.Join(parts, "; "), verdictOf(conditions...)
}

// at returns the mean of a curve at a point, NaN if it has none there.
func at(of []Result, name string, x int) float64 {
	c := meanCurve(Plot{Curve: name}.points(of))
	if i := slices.Index(c.Steps, x); i >= 0 {
		return c.Y[i]
	}
	return math.NaN()
}

func judgeExtrapolation(all []Result) (string, verdict) {
	var conditions []bool
	said, _ := eachCell(where(all, "task", "text"), func(cell string, of []Result) (string, bool) {
		near, far := at(of, lossByPosition, trainedContext), at(of, lossByPosition, 1<<16)
		if cell != LSTM && cell != LSTMBlock { // which stand beside, for comparison
			conditions = append(conditions, far < near+0.1)
		}
		return fmt.Sprintf("%.3f, %.3f", near, far), true
	})
	v := verdictOf(conditions...)
	return "loss at the positions from 256 to 511 and from 32,768 to 65,535, in nats a byte: " + said, v
}

func judgeCost(all []Result) (string, verdict) {
	said, v := eachCell(where(all, "task", "cost"), func(_ string, of []Result) (string, bool) {
		near, far := of[0].Measured["µs a token read at 1024"], of[0].Measured["µs a token read at 65536"]
		return fmt.Sprintf("%.4g KiB, %.0f µs, %.0f µs", of[0].Figures["state, KiB"], near, far), far < 1.5*near
	})
	return "state, time of a token after 1,024 and after 65,536: " + said, v
}

func judgeTraining(all []Result) (string, verdict) {
	const near, far = 1 << 10, 1 << 14
	said, v := eachCell(where(all, "task", "cost"), func(_ string, of []Result) (string, bool) {
		memory := [2]float64{at(of, trainingMemory, near), at(of, trainingMemory, far)}
		took := func(n int) float64 { return of[0].Measured[fmt.Sprintf("µs a token of a training step of %d", n)] }
		return fmt.Sprintf("%.0f and %.0f MiB, %.0f and %.0f µs a token", memory[0], memory[1], took(near), took(far)), memory[1] < 16*memory[0] && took(far) < 1.5*took(near)
	})
	return "a sequence of 1,024 and one of 16,384: " + said, v
}

func judgeNeedle(all []Result) (string, verdict) {
	said, v := eachCell(where(all, "task", "needle"), func(_ string, of []Result) (string, bool) {
		c := meanCurve(Plot{Curve: "recall, by distance"}.points(of))
		reach := 0
		for i, y := range c.Y {
			if y < 0.9 {
				break
			}
			reach = c.Steps[i]
		}
		return numbers.Commas(reach), reach > trainedContext
	})
	return "the farthest distance with an accuracy of 0.9 after training on 512 tokens: " + said, v
}

func judgeGradients(all []Result) (string, verdict) {
	const far = 162 // one of the distances that are measured
	said, _ := eachCell(all, func(_ string, of []Result) (string, bool) {
		return power(at(of, gradientAtFirst, far)) + ", " + power(at(of, gradientTrained, far)), true
	})
	m := at(where(all, "cell", MLSTM), gradientAtFirst, far)
	conditions := []bool{m > -3}
	for _, cell := range values(all, "cell") {
		if cell != MLSTM {
			conditions = append(conditions, m > at(where(all, "cell", cell), gradientAtFirst, far))
		}
	}
	return "powers of ten at a distance of 162 at initialisation and trained: " + said, verdictOf(conditions...)
}

// power says what a power of ten is, of which the least stands for all below.
func power(y float64) string {
	if y <= math.Log10(leastGradient) {
		return fmt.Sprintf("≤ %.0f", y)
	}
	return fmt.Sprintf("%.1f", y)
}

func judgeDepth(all []Result) (string, verdict) {
	depths := values(all, "blocks")
	said, v := eachCell(all, func(_ string, of []Result) (string, bool) {
		var losses []string
		falls, before := true, math.Inf(1)
		for _, d := range depths {
			y := figure(where(of, "blocks", d), heldLoss)
			falls = falls && y.n > 0 && y.mean < before
			losses, before = append(losses, short(y.mean)), y.mean
		}
		return strings.Join(losses, ", "), falls
	})
	return strings.Join(depths, ", ") + " blocks: " + said, v
}

func judgeScaling(all []Result) (string, verdict) {
	return eachCell(all, func(_ string, of []Result) (string, bool) {
		var x, y []float64
		falls := true
		for _, width := range values(of, "width") {
			some := where(of, "width", width)
			x, y = append(x, float64(inner(some[0]))), append(y, figure(some, heldLoss).mean)
			if n := len(y); n > 1 && y[n-1] >= y[n-2] {
				falls = false
			}
		}
		_, b := exponent(x, y)
		return fmt.Sprintf("loss ∝ N^−%.3f from %s to %s parameters", b, numbers.Commas(int(x[0])), numbers.Commas(int(x[len(x)-1]))), falls && b > 0
	})
}

func judgeSeries(all []Result) (string, verdict) {
	lstm := figure(where(all, "cell", LSTM), forecastError)
	var conditions []bool
	said, _ := eachCell(all, func(cell string, of []Result) (string, bool) {
		y := figure(of, forecastError)
		if cell != LSTM {
			conditions = append(conditions, y.mean < lstm.mean)
		}
		return y.String(), true
	})
	return "error relative to the standard deviation: " + said + "; the last value " + figure(all, persistence).String(), verdictOf(conditions...)
}
