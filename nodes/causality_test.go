package nodes

import (
	"fmt"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// wantCausal changes the inputs of step t of the first sequence, for every t, and
// reports a change in an output of another sequence or of a step before, and none
// in step t. sequences is the number of inputs, from the first, that run over
// time; the case's first result does, too.
func wantCausal(t *testing.T, c graphCase, batch, steps, sequences int) {
	t.Helper()
	for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
		m := compile(t, c, dt)
		values := c.values(1)
		m.run(t, values)
		want := elementsOf(m.results[0])
		width := len(want) / (batch * steps)
		for step := range steps {
			changed := c.values(1)
			for _, v := range changed[:sequences] {
				w := len(v) / (batch * steps)
				for k := step * w; k < (step+1)*w; k++ {
					v[k] += 3
				}
			}
			m.run(t, changed)
			got := elementsOf(m.results[0])
			touched := false
			for k := range got {
				at := k / width // of the row: sequence·steps + step
				if at == step && got[k] != want[k] {
					touched = true
				}
				if (at < step || at >= steps) && got[k] != want[k] {
					t.Fatalf("%v: step %d of sequence 0 changes step %d of sequence %d", dt, step, at%steps, at/steps)
				}
			}
			if !touched {
				t.Errorf("%v: step %d does not depend on its own input", dt, step)
			}
		}
	}
}

func TestMLSTMIsCausal(t *testing.T) {
	s := size{2, 9, 2, 3}
	for _, cfg := range []MLSTMConfig{{Form: Chunkwise, Chunk: 4}, {Form: Chunkwise, Chunk: 64}, {Form: Parallel}, {Form: Recurrent}} {
		cfg.Batch, cfg.NumHeads = s.b, s.nh
		t.Run(fmt.Sprintf("%+v", cfg), func(t *testing.T) { wantCausal(t, mlstmCase(cfg, s, false), s.b, s.t, 5) })
	}
}

func TestSLSTMIsCausal(t *testing.T) {
	s := size{2, 9, 2, 3}
	wantCausal(t, slstmCase(s, false), s.b, s.t, 4)
}

func TestLSTMIsCausal(t *testing.T) {
	wantCausal(t, lstmCase(2, 9, 3, false), 2, 9, 1)
}

func TestSimplifiedIsCausal(t *testing.T) {
	wantCausal(t, simplifiedCase(2, 9, 4, false), 2, 9, 1)
}

func TestCausalConvIsCausal(t *testing.T) {
	for name, conv := range map[string]func(int, *gorgonia.Node, *gorgonia.Node, *gorgonia.Node, *gorgonia.Node) (*gorgonia.Node, *gorgonia.Node, error){"CausalConv": CausalConv, "CausalConvSiLU": CausalConvSiLU} {
		t.Run(name, func(t *testing.T) {
			c := graphCase{[]input{in("x", 18, 3), in("w", 3, 1, 4), in("b", 3)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
				return two(conv(2, x[0], x[1], x[2], nil))
			}}
			wantCausal(t, c, 2, 9, 1)
		})
	}
}
