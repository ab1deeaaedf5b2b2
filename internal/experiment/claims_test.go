package experiment

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// TestVerdicts hold if all conditions do, in part if some do, and not if there are
// none.
func TestVerdicts(t *testing.T) {
	if verdictOf(true, true) != holds || verdictOf(true, false) != partly || verdictOf(false, false) != refuted || verdictOf() != unmeasured {
		t.Error("verdicts")
	}
}

// TestClaimsDependOnResults: parity that is not solved, or is by the mLSTM, changes
// the verdicts.
func TestClaimsDependOnResults(t *testing.T) {
	result := func(cell string, accuracy float64) Result {
		r := Result{Group: cell, Labels: map[string]string{"task": "parity", "cell": cell}}
		r.set("accuracy at 256", accuracy)
		return r
	}
	for _, test := range []struct {
		slstm, mlstm float64
		want         [2]verdict
	}{{1, 0.1, [2]verdict{holds, holds}}, {0.5, 0.1, [2]verdict{refuted, holds}}, {1, 0.95, [2]verdict{holds, refuted}}} {
		all := []Result{result(SLSTM, test.slstm), result(MLSTM, test.mlstm)}
		for i, c := range Claims()[:2] {
			if said, v := c.judge(all); v != test.want[i] || !strings.Contains(said, "LSTM") {
				t.Errorf("%v: %s: %s, %s", test, c.Text, said, v)
			}
		}
	}
}

// TestDepthMustHelpEveryTime: a loss that rises from one number of blocks to the next
// speaks against the claim, even if the deepest model is better than the shallowest.
func TestDepthMustHelpEveryTime(t *testing.T) {
	for losses, want := range map[[3]float64]verdict{{2.5, 2.4, 2.3}: holds, {2.5, 2.3, 2.4}: refuted} {
		var all []Result
		for i, y := range losses {
			r := Result{Group: fmt.Sprint(i), Labels: map[string]string{"cell": MLSTM, "blocks": fmt.Sprint(2 * (i + 1))}}
			r.set(heldLoss, y)
			all = append(all, r)
		}
		if said, v := judgeDepth(all); v != want {
			t.Errorf("%s: %s, want %s", said, v, want)
		}
	}
}

// TestExtrapolationIsJudgedWithoutTheLSTM, which stands beside.
func TestExtrapolationIsJudgedWithoutTheLSTM(t *testing.T) {
	of := func(cell string, far float64) Result {
		r := Result{Group: cell, Labels: map[string]string{"task": "text", "cell": cell}}
		r.add(lossByPosition, trainedContext, 2)
		r.add(lossByPosition, 1<<16, far)
		return r
	}
	if said, v := judgeExtrapolation([]Result{of(MLSTM, 2.05), of(LSTM, 3)}); v != holds || !strings.Contains(said, "3.000") {
		t.Errorf("%s: %s", said, v)
	}
	if said, v := judgeExtrapolation([]Result{of(MLSTM, 3), of(LSTM, 2)}); v != refuted {
		t.Errorf("%s: %s", said, v)
	}
}

// TestExponentIsThatOfAPowerLaw.
func TestExponentIsThatOfAPowerLaw(t *testing.T) {
	var x, y []float64
	for _, n := range []float64{1e3, 1e4, 1e5} {
		x, y = append(x, n), append(y, 7*math.Pow(n, -0.25))
	}
	if a, b := exponent(x, y); math.Abs(a-7) > 1e-9 || math.Abs(b-0.25) > 1e-12 {
		t.Errorf("%g·x^−%g", a, b)
	}
}

// TestMackeyGlass is the series of its equation: bounded, not constant, and the
// same far from the start whatever the length that is asked for, up to scale.
func TestMackeyGlass(t *testing.T) {
	x := mackeyGlass(2000)
	mean, square := 0.0, 0.0
	for _, v := range x {
		mean, square = mean+v/2000, square+v*v/2000
	}
	if math.Abs(mean) > 1e-9 || math.Abs(square-1) > 1e-9 {
		t.Errorf("mean %g, variance %g", mean, square)
	}
	turns := 0
	for i := 2; i < len(x); i++ {
		if (x[i]-x[i-1])*(x[i-1]-x[i-2]) < 0 {
			turns++
		}
	}
	if turns < 60 || turns > 200 { // a turn every ten to thirty-three steps
		t.Errorf("%d turns in 2000 steps", turns)
	}
}

// TestNormsByDistance are those of the rows from the last.
func TestNormsByDistance(t *testing.T) {
	got := normsByDistance([]float32{3, 4, 0, 0, 0, 0, 6, 8}, 2, 2) // two texts of two tokens of width 2
	if want := math.Sqrt(50); math.Abs(got[0]-want) > 1e-9 || math.Abs(got[1]-math.Sqrt(12.5)) > 1e-9 {
		t.Errorf("%v", got)
	}
}

// TestClaimsWithoutTheirResultsDoNotHold: nothing that was not measured does.
func TestClaimsWithoutTheirResultsDoNotHold(t *testing.T) {
	other := Result{Group: "other", Labels: map[string]string{"task": "other", "cell": "other", "blocks": "2", "width": "16"}}
	for _, c := range Claims() {
		if said, v := c.judge([]Result{other}); v == holds || v == partly {
			t.Errorf("%s: %s, %s", c.Text, said, v)
		}
	}
}

// TestFullResultsAreJudgedAtTheirBestRates, and results without rates as they are.
func TestFullResultsAreJudgedAtTheirBestRates(t *testing.T) {
	result := func(cell, rate string, accuracy float64) Result {
		r := Result{Group: cell + rate, Labels: map[string]string{"task": "parity", "cell": cell}}
		if rate != "" {
			r.Labels[rateLabel] = rate
		}
		r.set(atFarthest, accuracy)
		return r
	}
	got := atBestRates([]Result{
		result(SLSTM, "0.01", 0.2), result(SLSTM, "0.001", 1), result(SLSTM, "0.001", 0.9), result(SLSTM, "0.01", 0.3),
		result(MLSTM, "", 0.1), result(MLSTM, "", 0.2),
	})
	var said []string
	for _, r := range got {
		said = append(said, fmt.Sprint(r.Group, " ", r.Figures[atFarthest]))
	}
	if want := "slstm0.001 1, slstm0.001 0.9, mlstm 0.1, mlstm 0.2"; strings.Join(said, ", ") != want {
		t.Errorf("%v, want %s", said, want)
	}
}
