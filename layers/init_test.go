package layers

import (
	"math"
	"testing"

	"gorgonia.org/tensor"
)

// parameter makes a layer and returns one of its parameters.
func parameter(t *testing.T, mk maker, name string) []float64 {
	t.Helper()
	s := scopeOf(t, tensor.Float64, 3)
	if _, err := mk(s); err != nil {
		t.Fatal(err)
	}
	p, ok := s.store.Get(name)
	if !ok {
		t.Fatalf("no parameter %s", name)
	}
	return numbersIn(p.Value)
}

func wantValues(t *testing.T, name string, got []float64, want func(i int) float64) {
	t.Helper()
	for i, v := range got {
		if math.Abs(v-want(i)) > 1e-12 {
			t.Errorf("%s: element %d is %v, want %v", name, i, v, want(i))
			return
		}
	}
}

// wantSpread reports numbers whose mean is not 0 or whose deviation is off by
// more than 3 %.
func wantSpread(t *testing.T, name string, got []float64, std float64) {
	t.Helper()
	var sum, sq float64
	for _, v := range got {
		sum += v
		sq += v * v
	}
	n := float64(len(got))
	if n < 5000 {
		t.Fatalf("%s: %v numbers are too few to judge", name, n)
	}
	if s := math.Sqrt(sq / n); math.Abs(s/std-1) > 0.03 {
		t.Errorf("%s: standard deviation %v, want %v", name, s, std)
	}
	if mean := sum / n; math.Abs(mean) > 4*std/math.Sqrt(n) {
		t.Errorf("%s: mean %v", name, mean)
	}
}

func constant(c float64) func(int) float64 { return func(int) float64 { return c } }

func TestMLSTMBlockBeginsLikeTheOfficialOne(t *testing.T) {
	const d, inner, nh, blocks = 96, 256, 4, 6
	mk := mlstmUnit("", true, MLSTMConfig{EmbeddingDim: d, InnerDim: inner, NumHeads: nh, ConvKernel: 4, QKVBlock: 32, Bias: true, NumBlocks: blocks}).fused()
	at := func(name string) []float64 { return parameter(t, mk, name) }
	small := math.Sqrt(2 / (5. * d))
	wantSpread(t, "proj_up", at("xlstm.proj_up.weight"), small)
	for _, name := range []string{"xlstm.q_proj", "xlstm.k_proj", "xlstm.v_proj"} {
		wantSpread(t, name, at(name+".weight"), small)
		wantValues(t, name, at(name+".bias"), constant(0))
	}
	wantSpread(t, "proj_down", at("xlstm.proj_down.weight"), 2/(blocks*math.Sqrt(d)))
	for _, name := range []string{"xlstm_norm.weight", "xlstm.mlstm_cell.outnorm.weight", "xlstm.mlstm_cell.igate.weight", "xlstm.mlstm_cell.fgate.weight", "xlstm.proj_up.bias", "xlstm.proj_down.bias"} {
		wantValues(t, name, at(name), constant(0))
	}
	wantValues(t, "skip", at("xlstm.learnable_skip"), constant(1))
	wantValues(t, "forget bias", at("xlstm.mlstm_cell.fgate.bias"), func(i int) float64 { return 3 + float64(i) })
}

func TestMLSTMInputGateBiasIsNormalWithDeviationOneTenth(t *testing.T) {
	// As many heads as it takes to judge.
	const nh = 8192
	s := scopeOf(t, tensor.Float64, 1)
	wantSpread(t, "igate.bias", param(t, s, "bias", Normal(0.1), nh), 0.1)
	mk := mlstmUnit("", false, MLSTMConfig{EmbeddingDim: 4, InnerDim: 16, NumHeads: 16, ConvKernel: 1, QKVBlock: 4}).fused()
	var sq float64
	for _, v := range parameter(t, mk, "mlstm_cell.igate.bias") {
		sq += v * v
	}
	if std := math.Sqrt(sq / 16); std < 0.05 || std > 0.15 {
		t.Errorf("deviation of 16 biases is %v, want about 0.1", std)
	}
}

func TestForgetBiasOfOneHeadIsTheLowerEnd(t *testing.T) {
	mk := mlstmUnit("", false, MLSTMConfig{EmbeddingDim: 4, InnerDim: 4, NumHeads: 1, ConvKernel: 1, QKVBlock: 4}).fused()
	wantValues(t, "forget bias", parameter(t, mk, "mlstm_cell.fgate.bias"), constant(3))
}

func TestConvolutionBeginsUniform(t *testing.T) {
	const d = 8192
	for _, kernel := range []int{1, 4} {
		bound := 1 / math.Sqrt(float64(kernel))
		mk := slstmUnit("", false, SLSTMConfig{EmbeddingDim: d, NumHeads: d, ConvKernel: kernel}, nil).fused()
		for _, name := range []string{"conv1d.conv.weight", "conv1d.conv.bias"} {
			v := parameter(t, mk, name)
			wantSpread(t, name, v, bound/math.Sqrt(3))
			top := 0.0
			for _, x := range v {
				top = max(top, math.Abs(x))
			}
			if top > bound || top < 0.99*bound {
				t.Errorf("kernel %d: %s reaches to %v, want %v", kernel, name, top, bound)
			}
		}
	}
}

func TestSLSTMBlockBeginsLikeTheOfficialOne(t *testing.T) {
	const d, up, blocks = 96, 128, 6
	mk := slstmUnit("", true, SLSTMConfig{EmbeddingDim: d, NumHeads: 1, ConvKernel: 4, NormWeight: true, NumBlocks: blocks},
		&FeedForwardConfig{EmbeddingDim: d, UpDim: up, Activation: "gelu", Bias: true, NumBlocks: blocks}).fused()
	at := func(name string) []float64 { return parameter(t, mk, name) }
	small := math.Sqrt(2 / (5. * d))
	for _, gate := range []string{"i", "f", "z", "o"} {
		wantSpread(t, gate, at("xlstm."+gate+"gate.weight"), small)
	}
	wantSpread(t, "ffn up", at("ffn.proj_up.weight"), small)
	wantSpread(t, "ffn down", at("ffn.proj_down.weight"), 2/(blocks*math.Sqrt(d)))
	for _, name := range []string{"xlstm_norm.weight", "ffn_norm.weight", "xlstm.group_norm.weight", "xlstm.slstm_cell._recurrent_kernel_", "ffn.proj_up.bias", "ffn.proj_down.bias"} {
		wantValues(t, name, at(name), constant(0))
	}
}

func TestPowerlawBiasSpreadsTheForgetGatesOfEachHead(t *testing.T) {
	for _, c := range []struct {
		d, nh, block, blocks int
		exponent             float64
	}{
		{8, 2, 0, 1, 0.3}, {8, 2, 0, 4, 0.3}, {8, 2, 3, 4, 1.6}, {9, 1, 1, 3, 0.95}, {6, 3, 2, 5, 0.3 + 1.3/2},
	} {
		mk := slstmUnit("", false, SLSTMConfig{EmbeddingDim: c.d, NumHeads: c.nh, Block: c.block, NumBlocks: c.blocks}, nil).fused()
		dh := c.d / c.nh
		wantValues(t, "bias", parameter(t, mk, "slstm_cell._bias_"), func(i int) float64 {
			if i/c.d != 1 { // gates in the order i, f, z, o
				return 0
			}
			return 5 - 12*math.Pow(float64(i%dh)/float64(dh-1), c.exponent)
		})
	}
}

func TestPowerlawBiasOfHeadsOfWidthOneIsFinite(t *testing.T) {
	mk := slstmUnit("", false, SLSTMConfig{EmbeddingDim: 3, NumHeads: 3, Block: 1, NumBlocks: 2}, nil).fused()
	wantValues(t, "bias", parameter(t, mk, "slstm_cell._bias_"), func(i int) float64 {
		if i/3 != 1 {
			return 0
		}
		return 5
	})
}

func TestOtherInitsOfTheSLSTMCell(t *testing.T) {
	const d = 2048
	bias := func(init string, d, nh int) []float64 {
		return parameter(t, slstmUnit("", false, SLSTMConfig{EmbeddingDim: d, NumHeads: nh, BiasInit: init}, nil).fused(), "slstm_cell._bias_")
	}
	wantValues(t, "zeros", bias(ZerosInit, 6, 2), constant(0))
	wantValues(t, "small", bias(SmallInit, 8, 2), func(i int) float64 {
		if i/8 != 1 {
			return 0
		}
		return 3 + float64(i%4)
	})
	wantSpread(t, "standard", bias(StandardInit, d, d), 1/math.Sqrt(3*d))
	kernel := parameter(t, slstmUnit("", false, SLSTMConfig{EmbeddingDim: 48, NumHeads: 1, RecurrentInit: StandardInit}, nil).fused(), "slstm_cell._recurrent_kernel_")
	wantSpread(t, "standard kernel", kernel, 1/math.Sqrt(3*48))
}
