package layers

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/golden"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// TestGoldenLSTM compares a stack of LSTM layers with PyTorch's nn.LSTM, whose
// weights it takes by their names: outputs, final states and all gradients, fused
// and symbolic.
func TestGoldenLSTM(t *testing.T) {
	files, err := golden.Kernels("../testdata/golden", "lstm")
	if err != nil || len(files) < 2 {
		t.Fatalf("found %d cases: %v", len(files), err)
	}
	for _, path := range files {
		want, err := golden.Read(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, symbolic := range []bool{false, true} {
			name := strings.TrimSuffix(filepath.Base(path), ".safetensors")
			if symbolic {
				name += " symbolic"
			}
			t.Run(name, func(t *testing.T) { compareLSTM(t, want, symbolic) })
		}
	}
}

func compareLSTM(t *testing.T, want map[string]golden.Tensor, symbolic bool) {
	x, h0 := want["x"], want["h0"]
	batch, steps, in, layers, hidden := x.Shape[0], x.Shape[1], x.Shape[2], h0.Shape[0], h0.Shape[2]
	store, err := NewStore(tensor.Float64, 1)
	if err != nil {
		t.Fatal(err)
	}
	g := gorgonia.NewGraph()
	s := NewScope(g, store, batch)
	s.ComputeCells(CellConfig{Symbolic: symbolic})
	lstm, err := NewStack(s, LSTMStackConfig(in, hidden, layers, 0))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range store.Params() {
		if w := want[p.Name]; !p.Value.Shape().Eq(tensor.Shape(w.Shape)) {
			t.Fatalf("%s has shape %v, PyTorch's %v", p.Name, p.Value.Shape(), w.Shape)
		}
		copy(p.Value.Float64s(), want[p.Name].Data)
	}
	bound := map[*gorgonia.Node]*tensor.Dense{}
	input := func(name string, data []float64, shape ...int) *gorgonia.Node {
		n := s.input(name, shape...)
		bound[n] = dense(slices.Clone(data), shape...)
		return n
	}
	xn, begin := input("x", x.Data, batch*steps, in), StackState{}
	wrt := map[string]*gorgonia.Node{"dx": xn}
	for k := range layers {
		n := input("begin"+fmt.Sprint(k), layerState(want["h0"], want["c0"], k), 2, batch, hidden)
		begin, wrt[stateGrad(k)] = append(begin, &State{LSTM: n}), n
	}
	y, ends, err := lstm.Fwd(xn, begin)
	if err != nil {
		t.Fatal(err)
	}
	term := func(name string, n *gorgonia.Node, weights []float64) *gorgonia.Node {
		w := input("weights of "+name, weights, n.Shape()...)
		return gorgonia.Must(gorgonia.Sum(gorgonia.Must(gorgonia.HadamardProd(n, w))))
	}
	loss, out := term("y", y, want["dy"].Data), map[string]*gorgonia.Node{"y": y}
	for k, end := range ends {
		out["end"+fmt.Sprint(k)] = end.LSTM
		loss = gorgonia.Must(gorgonia.Add(loss, term("end"+fmt.Sprint(k), end.LSTM, layerState(want["dhn"], want["dcn"], k))))
	}
	for _, p := range s.Learnables() {
		wrt["d"+p.Name()] = p
	}
	wanted := map[string][]float64{"y": want["y"].Data, "dx": want["dx"].Data}
	for _, p := range store.Params() {
		wanted["d"+p.Name] = want["d"+p.Name].Data
	}
	for k := range layers {
		wanted["end"+fmt.Sprint(k)] = layerState(want["hn"], want["cn"], k)
		wanted[stateGrad(k)] = layerState(want["dh0"], want["dc0"], k)
	}
	same(t, execute(t, g, bound, out, loss, wrt), wanted)
	if err := nodes.Check(g); err != nil {
		t.Error(err)
	}
}

func stateGrad(layer int) string { return "d begin" + fmt.Sprint(layer) }

// layerState is our state of layer k of PyTorch's (L, B, H).
func layerState(h, c golden.Tensor, k int) []float64 {
	n := len(h.Data) / h.Shape[0]
	return slices.Concat(h.Data[k*n:(k+1)*n], c.Data[k*n:(k+1)*n])
}
