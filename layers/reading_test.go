package layers

import (
	"testing"

	"github.com/gorgonia-xlstm/xlstm/nodes"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// TestWhatLayersReturnMayBeReadByAll: two layers and an operation of Gorgonia read
// one output, without a nodes.Fork in between, and the gradients are those of a
// graph that has one.
func TestWhatLayersReturnMayBeReadByAll(t *testing.T) {
	run := func(fork bool) map[string][]float64 {
		store, err := NewStore(tensor.Float64, 1)
		if err != nil {
			t.Fatal(err)
		}
		g := gorgonia.NewGraph()
		s := NewScope(g, store, 1)
		st, err := NewStack(s.Sub("stack"), stackOf())
		if err != nil {
			t.Fatal(err)
		}
		x := s.input("x", 4, 6)
		h, _, err := st.Fwd(x, nil)
		if err != nil {
			t.Fatal(err)
		}
		readers := []*gorgonia.Node{h, h}
		if fork {
			if readers, err = nodes.Fork(h, 2); err != nil {
				t.Fatal(err)
			}
		}
		var ys []*gorgonia.Node
		for k, name := range []string{"a", "b"} {
			l, err := NewLinear(s.Sub(name), 6, 6, true, Small(6))
			if err != nil {
				t.Fatal(err)
			}
			ys = append(ys, gorgonia.Must(l.Fwd(readers[k])))
		}
		y := gorgonia.Must(gorgonia.Add(gorgonia.Must(gorgonia.HadamardProd(ys[0], ys[1])), gorgonia.Must(gorgonia.Tanh(h))))
		wrt := map[string]*gorgonia.Node{"dx": x}
		for _, p := range s.Learnables() {
			wrt["d "+p.Name()] = p
		}
		return execute(t, g, map[*gorgonia.Node]*tensor.Dense{x: random("x", 4, 6)}, map[string]*gorgonia.Node{"y": y}, gorgonia.Must(gorgonia.Sum(y)), wrt)
	}
	same(t, run(false), run(true))
}
