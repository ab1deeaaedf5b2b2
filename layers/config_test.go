package layers

import (
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"gorgonia.org/tensor"
)

func TestBadMLSTMConfigsAreNamed(t *testing.T) {
	good := MLSTMConfig{EmbeddingDim: 6, InnerDim: 8, NumHeads: 2, ConvKernel: 4, QKVBlock: 4}
	for _, c := range []struct {
		change func(*MLSTMConfig)
		names  []string
	}{
		{func(c *MLSTMConfig) { c.NumHeads = 3 }, []string{"8", "3 heads"}},
		{func(c *MLSTMConfig) { c.NumHeads = 0 }, []string{"0 heads"}},
		{func(c *MLSTMConfig) { c.NumHeads = -2 }, []string{"-2 heads"}},
		{func(c *MLSTMConfig) { c.QKVBlock = 3 }, []string{"8", "blocks of 3"}},
		{func(c *MLSTMConfig) { c.QKVBlock = 0 }, []string{"blocks of 0"}},
		{func(c *MLSTMConfig) { c.InnerDim = 0 }, []string{"inner width of 0"}},
		{func(c *MLSTMConfig) { c.ConvKernel = 0 }, []string{"convolution of 0"}},
		{func(c *MLSTMConfig) { c.EmbeddingDim = 0 }, []string{"0"}},
		{func(c *MLSTMConfig) { c.EmbeddingDim = -1 }, []string{"-1"}},
	} {
		cfg := good
		c.change(&cfg)
		_, err := NewMLSTM(scopeOf(t, tensor.Float32, 1), cfg)
		testutil.WantError(t, err, append(c.names, "mLSTM")...)
		_, err = MLSTMBlockConfig{cfg}.NewBlock(scopeOf(t, tensor.Float32, 1))
		testutil.WantError(t, err)
	}
}

func TestBadSLSTMConfigsAreNamed(t *testing.T) {
	good := SLSTMConfig{EmbeddingDim: 6, NumHeads: 2, ConvKernel: 4}
	for _, c := range []struct {
		change func(*SLSTMConfig)
		names  []string
	}{
		{func(c *SLSTMConfig) { c.NumHeads = 4 }, []string{"6", "4 heads"}},
		{func(c *SLSTMConfig) { c.NumHeads = 0 }, []string{"0 heads"}},
		{func(c *SLSTMConfig) { c.EmbeddingDim = 0 }, []string{"width of 0"}},
		{func(c *SLSTMConfig) { c.ConvKernel = -1 }, []string{"-1"}},
		{func(c *SLSTMConfig) { c.BiasInit = "ones" }, []string{`"ones"`, PowerlawBlockdependent, SmallInit}},
		{func(c *SLSTMConfig) { c.RecurrentInit = "ones" }, []string{`"ones"`, ZerosInit}},
	} {
		cfg := good
		c.change(&cfg)
		_, err := NewSLSTM(scopeOf(t, tensor.Float32, 1), cfg)
		testutil.WantError(t, err, append(c.names, "sLSTM")...)
		_, err = SLSTMBlockConfig{cfg, nil}.NewBlock(scopeOf(t, tensor.Float32, 1))
		testutil.WantError(t, err)
	}
}

func TestBadFeedForwardConfigsAreNamed(t *testing.T) {
	for _, cfg := range []FeedForwardConfig{
		{EmbeddingDim: 0, UpDim: 4, Activation: "gelu"},
		{EmbeddingDim: 4, UpDim: 0, Activation: "gelu"},
		{EmbeddingDim: 4, UpDim: -4, Activation: "gelu"},
		{EmbeddingDim: 4, UpDim: 4, Activation: "softplus"},
	} {
		s := scopeOf(t, tensor.Float32, 1)
		l, err := NewFeedForward(s, cfg)
		if err == nil {
			_, err = l.Fwd(s.input("x", 2, 4))
		}
		testutil.WantError(t, err)
	}
}

func TestWrongInputsOfLayersAreErrors(t *testing.T) {
	for _, u := range units() {
		t.Run(u.name, func(t *testing.T) {
			for name, shape := range map[string][]int{
				"too wide": {4, u.dim + 1}, "three axes": {2, 2, u.dim}, "one axis": {4}, "no multiple of the batch": {3, u.dim},
			} {
				store := newStore(t, u.fused())
				s := NewScope(scopeOf(t, tensor.Float64, 1).Graph(), store, 2)
				l, err := u.fused()(s)
				if err != nil {
					t.Fatal(err)
				}
				if _, _, err := l.Fwd(s.input("x", shape...), nil); err == nil {
					t.Errorf("%s: no error for an input of shape %v", name, shape)
				}
			}
			s := scopeOf(t, tensor.Float64, 1)
			l, err := u.fused()(s)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := l.Fwd(nil, nil); err == nil {
				t.Error("no error for a nil input")
			}
			if _, _, err := l.Fwd(s.input("y", 2, u.dim), &State{Conv: s.input("conv", 1, 1, 1), SLSTM: s.input("slstm", 1, 1, 1), C: s.input("C", 1, 1, 1, 1), N: s.input("n", 1, 1, 1), M: s.input("m", 1, 1)}); err == nil {
				t.Error("no error for a state of the wrong shape")
			}
		})
	}
}

// A state without its n or m is a mistake, not an empty memory.
func TestIncompleteStateIsAnError(t *testing.T) {
	for _, symbolic := range []bool{false, true} {
		s := scopeOf(t, tensor.Float64, 1)
		s.ComputeCells(CellConfig{Symbolic: symbolic})
		l, err := NewMLSTM(s, MLSTMConfig{EmbeddingDim: 6, InnerDim: 8, NumHeads: 2, ConvKernel: 4, QKVBlock: 4})
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = l.Fwd(s.input("x", 2, 6), &State{C: s.input("C", 1, 2, 4, 4)})
		testutil.WantError(t, err)
	}
}

func TestSymbolicLayersReportWrongStates(t *testing.T) {
	for _, u := range units() {
		t.Run(u.name, func(t *testing.T) {
			s := scopeOf(t, tensor.Float64, 1)
			l, err := u.symbolic()(s)
			if err != nil {
				t.Fatal(err)
			}
			st := &State{C: s.input("C", 1, 1, 1, 1), N: s.input("n", 1, 1, 1), M: s.input("m", 1, 1), SLSTM: s.input("slstm", 3, 1, u.dim)}
			_, _, err = l.Fwd(s.input("x", 2, u.dim), st)
			testutil.WantError(t, err)
		})
	}
}
