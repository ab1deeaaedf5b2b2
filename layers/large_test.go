package layers

import (
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"gorgonia.org/tensor"
)

func largeUnit(name string, block bool, cfg LargeConfig) unit {
	cfg.GateSoftCap, cfg.NormEps, cfg.Eps = 15, 1e-6, 1e-6
	return unit{name: name, dim: cfg.EmbeddingDim, mlstm: true, mk: func(symbolic bool, form nodes.Form, chunk int) maker {
		return func(s Scope) (recurrent, error) {
			s.ComputeCells(CellConfig{form, chunk, symbolic})
			if block {
				return cfg.NewBlock(s)
			}
			return NewLargeMLSTM(s, cfg)
		}
	}}
}

func TestBadLargeConfigsAreNamed(t *testing.T) {
	good := LargeConfig{EmbeddingDim: 6, NumHeads: 2, QKDim: 4, VDim: 6, UpDim: 5, GateSoftCap: 15}
	for _, c := range []struct {
		change func(*LargeConfig)
		names  []string
	}{
		{func(c *LargeConfig) { c.NumHeads = 3 }, []string{"4", "6", "3 heads"}},
		{func(c *LargeConfig) { c.NumHeads = 0 }, []string{"0 heads"}},
		{func(c *LargeConfig) { c.QKDim = 0 }, []string{"widths of 0"}},
		{func(c *LargeConfig) { c.VDim = 5 }, []string{"5"}},
		{func(c *LargeConfig) { c.EmbeddingDim = 0 }, []string{"embedding of 0"}},
	} {
		cfg := good
		c.change(&cfg)
		_, err := NewLargeMLSTM(scopeOf(t, tensor.Float32, 1), cfg)
		testutil.WantError(t, err, append(c.names, "mLSTM")...)
		_, err = cfg.NewBlock(scopeOf(t, tensor.Float32, 1))
		testutil.WantError(t, err)
	}
	for _, change := range []func(*LargeConfig){
		func(c *LargeConfig) { c.UpDim = 0 }, func(c *LargeConfig) { c.GateSoftCap = 0 }, func(c *LargeConfig) { c.GateSoftCap = -1 }, func(c *LargeConfig) { c.Eps = -1 }, func(c *LargeConfig) { c.NormEps = -1 },
	} {
		cfg := good
		change(&cfg)
		s := scopeOf(t, tensor.Float32, 1)
		l, err := cfg.NewBlock(s)
		if err == nil {
			_, _, err = l.Fwd(s.input("x", 2, 6), nil)
		}
		testutil.WantError(t, err)
	}
}
