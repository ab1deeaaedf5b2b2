package nodes

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// scanBack runs an sLSTM over the values of a slstmCase that continues a state
// and returns the gradients of Σ wy⊙y + Σ ws⊙state by input, and y and the state.
func scanBack(t *testing.T, cfg SLSTMConfig, s size, values [][]float64, wy, ws []float64) (grads [][]float64, y, state []float64) {
	t.Helper()
	g := gorgonia.NewGraph()
	c := slstmCase(s, true)
	bound := func(name string, shape []int, v []float64) *gorgonia.Node {
		return gorgonia.NewTensor(g, tensor.Float64, len(shape), gorgonia.WithShape(shape...), gorgonia.WithName(name), gorgonia.WithValue(dense(tensor.Float64, shape, v)))
	}
	var x gorgonia.Nodes
	for k, in := range c.inputs {
		x = append(x, bound(in.name, in.shape, values[k]))
	}
	ys, next, err := SLSTM(cfg, x[0], x[1], x[2], x[3], x[4], x[5], x[6])
	if err != nil {
		t.Fatal(err)
	}
	var yv, sv gorgonia.Value
	gorgonia.Read(ys, &yv)
	gorgonia.Read(next, &sv)
	loss := gorgonia.Must(gorgonia.Add(
		gorgonia.Must(gorgonia.Sum(gorgonia.Must(gorgonia.HadamardProd(ys, bound("wy", ys.Shape(), wy))))),
		gorgonia.Must(gorgonia.Sum(gorgonia.Must(gorgonia.HadamardProd(next, bound("ws", next.Shape(), ws)))))))
	ds, err := gorgonia.Grad(loss, x...)
	if err != nil {
		t.Fatal(err)
	}
	m := gorgonia.NewTapeMachine(g)
	defer m.Close()
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
	for _, d := range ds {
		grads = append(grads, elementsOf(d.Value()))
	}
	return grads, elementsOf(yv), elementsOf(sv)
}

// What GradientClip and CutGradient do is what bounding the gradient of y in the
// state does when the scan is taken back one step at a time.
func TestGradientClipBoundsWhatFlowsBackThroughTheRecurrence(t *testing.T) {
	whole, step := size{1, 6, 2, 3}, size{1, 1, 2, 3}
	const d = 6
	c := slstmCase(whole, true)
	values := c.values(3)
	w := graphCase{inputs: []input{in("wy", whole.t, d), in("ws", 4, d)}}.values(4)
	var free [][]float64
	for _, bound := range []float64{math.Inf(1), 0.1, 0} {
		t.Run(fmt.Sprint("bound ", bound), func(t *testing.T) {
			cfg := SLSTMConfig{Batch: 1, NumHeads: 2, CutGradient: bound == 0}
			if !cfg.CutGradient && !math.IsInf(bound, 1) {
				cfg.GradientClip = bound
			}
			got, _, _ := scanBack(t, cfg, whole, values, w[0], w[1])
			if free == nil {
				free = got
			} else if apart(got[2], free[2]) < 1e-3 {
				t.Error("the bound has no effect: the case is too tame")
			}

			at := func(k int, state []float64) [][]float64 {
				v := slices.Clone(values)
				for g := range 4 {
					v[g] = values[g][k*d : (k+1)*d]
				}
				v[6] = state
				return v
			}
			plain := SLSTMConfig{Batch: 1, NumHeads: 2}
			states := [][]float64{values[6]}
			none := make([]float64, 4*d)
			for k := range whole.t {
				_, _, next := scanBack(t, plain, step, at(k, states[k]), none[:d], none)
				states = append(states, next)
			}
			want := make([][]float64, 7)
			want[4], want[5] = make([]float64, len(values[4])), make([]float64, len(values[5]))
			back := w[1]
			for k := whole.t - 1; k >= 0; k-- {
				grads, _, _ := scanBack(t, plain, step, at(k, states[k]), w[0][k*d:(k+1)*d], back)
				for g := range 4 {
					want[g] = append(slices.Clone(grads[g]), want[g]...)
				}
				for g := 4; g < 6; g++ {
					for j, v := range grads[g] {
						want[g][j] += v
					}
				}
				back = grads[6]
				for j, v := range back[:d] {
					back[j] = min(max(v, -bound), bound)
				}
			}
			want[6] = back
			for k, in := range c.inputs {
				wantClose(t, "gradient of "+in.name, got[k], want[k], 1e-12)
			}
		})
	}
}
