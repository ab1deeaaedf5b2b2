package layers

import "testing"

// After the first step m is the input gate's pre-activation, so it shows which
// weight feeds that gate: the one that is called fgate.
func TestTheTensorCalledFgateFeedsTheInputGate(t *testing.T) {
	u := slstmUnit("", false, SLSTMConfig{EmbeddingDim: 3, NumHeads: 1}, nil)
	tr := trial{mk: u.fused(), batch: 1, x: u.sequence(1, 1)}
	tr.store = newStore(t, tr.mk)
	of := func(name string) []float64 {
		p, ok := tr.store.Get(name)
		if !ok {
			t.Fatalf("no parameter %s", name)
		}
		return numbersIn(p.Value)
	}
	w, bias, x := of("fgate.weight"), of("slstm_cell._bias_"), numbersIn(tr.x)
	want := make([]float64, 3)
	for o := range want {
		want[o] = bias[o]
		for i := range x {
			want[o] += w[o*3+i] * x[i]
		}
	}
	if d := apart(tr.run(t)["new slstm"][9:], want); d > 1e-12 {
		t.Errorf("m is %.3g away from the input gate of fgate.weight", d)
	}
}
