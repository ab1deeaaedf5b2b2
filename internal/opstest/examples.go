// Package opstest has examples of every operation for testing devices: run an
// example on two devices and compare the results.
package opstest

import (
	"math"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// Example is an operation and its derivative, nil for none.
type Example struct{ Op, Grad ops.Op }

// Examples returns at least one example for every operation except views, and
// for each optional operand one example with it and one without.
func Examples() []Example {
	var all []Example
	for _, group := range [][]Example{elementwise(), products(), packed(), moves(), convs(), mlstms(), slstms(), lstms(), simplified(), optimisers(), composites()} {
		all = append(all, group...)
	}
	return all
}

func elementwise() (all []Example) {
	s := ops.Shape{5, 7}
	for _, fn := range []ops.Activation{ops.GELU, ops.ReLU, ops.ReLUSquared, ops.SiLU, ops.SELU, ops.Sigmoid, ops.LogSigmoid, ops.Tanh} {
		all = append(all, Example{ops.Activate{Fn: fn, Shape: s}, ops.ActivateGrad{Fn: fn, Shape: s}}, Example{ops.Gated{Fn: fn, Shape: s}, ops.GatedGrad{Fn: fn, Shape: s}})
	}
	for _, norm := range []ops.Norm{
		{N: 5, Width: 8, Groups: 1, Eps: 1e-5, Centered: true, Residual: true, Weight: true},
		{N: 5, Width: 12, Groups: 3, Eps: 1e-5, Centered: true},
		{N: 5, Width: 9, Groups: 1, Eps: 1e-6, Weight: true},
	} {
		all = append(all, Example{norm, ops.NormGrad{Norm: norm}})
	}
	for _, withN := range []bool{false, true} {
		all = append(all, Example{ops.Stabilize{WithN: withN, Shape: s}, ops.StabilizeGrad{WithN: withN, Shape: s}})
	}
	return append(all,
		Example{ops.SoftCap{Cap: 1.5, Shape: s}, ops.SoftCapGrad{Cap: 1.5, Shape: s}},
		Example{ops.SkipGate{N: 5, D: 7}, ops.SkipGateGrad{N: 5, D: 7}},
		Example{ops.Add{Shape: s}, nil},
		Example{ops.Mul{Shape: s}, nil},
		Example{ops.ForkGrad{N: 3, Shape: s}, nil},
		Example{ops.Maximum{Shape: s}, ops.MaximumGrad{Shape: s}},
		Example{ops.ExpGate{Shape: s}, nil},
		Example{ops.AddBias{N: 5, D: 7, Lo: 3, Size: 12}, ops.AddBiasGrad{N: 5, D: 7, Lo: 3, Size: 12}},
		Example{ops.Dropout{ID: 3, Rate: 0.4, Shape: s}, ops.DropoutGrad{ID: 3, Rate: 0.4, Shape: s}},
		Example{ops.CrossEntropy{N: 5, V: 7}, ops.CrossEntropyGrad{N: 5, V: 7}},
	)
}

func products() (all []Example) {
	for _, l := range []ops.LinearGrad{
		{Linear: ops.Linear{Rows: 5, In: 7, Outs: []int{6}, Bias: true}, Has: []bool{true}},
		{Linear: ops.Linear{Rows: 33, In: 16, Outs: []int{8, 4, 20}}, Has: []bool{true, true, true}},
		{Linear: ops.Linear{Rows: 5, In: 7, Outs: []int{6, 3, 2}, Bias: true}, Has: []bool{false, true, false}},
	} {
		all = append(all, Example{l.Linear, l})
	}
	for _, h := range []ops.Headwise{
		{N: 5, Heads: 3, In: 4, Out: 4, Stride: 4},
		{N: 1, Heads: 3, In: 4, Out: 4, Stride: 4, Bias: true},
		{N: 5, Heads: 2, In: 13, Out: 13, Row: 26, Stride: 52},
		{N: 5, Heads: 2, In: 3, Out: 5, Stride: 5, Bias: true},
	} {
		all = append(all, Example{h, ops.HeadwiseGrad{Headwise: h}})
	}
	gates := ops.MLSTMGates{N: 5, NH: 2, Widths: [3]int{8, 8, 6}}
	return append(all,
		Example{gates, ops.MLSTMGatesGrad{MLSTMGates: gates, Has: [2]bool{true, true}}},
		Example{gates, ops.MLSTMGatesGrad{MLSTMGates: gates, Has: [2]bool{false, true}}},
		Example{ops.Embedding{N: 5, V: 7, D: 6}, ops.EmbeddingGrad{N: 5, V: 7, D: 6}},
		Example{ops.HeadOuter{N: 5, Heads: 2, A: 3, B: 4}, nil},
		Example{ops.HeadLeft{N: 5, Heads: 2, A: 3, B: 4}, nil},
		Example{ops.HeadRight{N: 5, Heads: 2, A: 3, B: 4}, nil},
	)
}

// packed are the operations with packed weights: with one row, few and many, and
// numbers of groups that are even and odd.
func packed() (all []Example) {
	for _, f := range []ops.Format{ops.BF16, ops.Int8, ops.Int4} {
		all = append(all,
			Example{ops.PackedLinear{Format: f, Rows: 1, In: 96, Outs: []int{7, 30}, Bias: true}, nil},
			Example{ops.PackedLinear{Format: f, Rows: 5, In: 64, Outs: []int{50}}, nil},
			Example{ops.PackedLinear{Format: f, Rows: 33, In: 96, Outs: []int{50, 1}, Bias: true}, nil},
			Example{ops.PackedEmbedding{Format: f, N: 5, V: 7, D: 96}, nil},
		)
	}
	return all
}

func moves() []Example {
	s := ops.Shape{3, 4}
	return []Example{
		{ops.TimeStep{B: 2, T: 5, D: 3, Step: 4}, ops.TimeStepGrad{B: 2, T: 5, D: 3, Step: 4}},
		{ops.StackTime{B: 2, T: 5, D: 3}, nil},
		{ops.Stack{N: 3, Shape: s}, nil},
		{ops.Pick{N: 3, K: 1, Shape: s}, ops.PickGrad{N: 3, K: 1, Shape: s}},
		{ops.Reshape{From: s, To: ops.Shape{2, 6}}, nil},
	}
}

func convs() (all []Example) {
	for _, c := range []ops.ConvGrad{
		{Conv: ops.Conv{B: 2, T: 70, D: 6, K: 4, SiLU: true}, Has: [2]bool{true, false}},
		{Conv: ops.Conv{B: 2, T: 1, D: 6, K: 4, SiLU: true, Window: true}, Has: [2]bool{true, true}},
		{Conv: ops.Conv{B: 2, T: 7, D: 5, K: 3, Window: true, Resets: true}, Has: [2]bool{true, true}},
		{Conv: ops.Conv{B: 2, T: 7, D: 5, K: 4, SiLU: true}, Has: [2]bool{false, true}},
	} {
		all = append(all, Example{c.Conv, c})
	}
	return all
}

func mlstms() (all []Example) {
	cell := func(t, dqk, dhv int, form ops.Form, chunk int, state, resets bool, has ...bool) {
		m := ops.MLSTM{B: 2, T: t, NH: 2, DQK: dqk, DHV: dhv, Form: form, Chunk: chunk, ScaleQ: 1, ScaleK: 1 / math.Sqrt(float64(dqk)), Eps: 1e-6, State: state, Resets: resets}
		all = append(all, Example{m, ops.MLSTMGrad{MLSTM: m, Has: [4]bool(has)}})
	}
	cell(70, 8, 8, ops.Chunkwise, 64, false, false, true, false, false, false)
	cell(1, 8, 12, ops.Chunkwise, 64, true, false, true, true, true, true)
	cell(11, 5, 3, ops.Chunkwise, 4, true, true, true, true, false, true)
	cell(9, 5, 3, ops.Parallel, 0, false, false, false, true, true, true)
	cell(9, 5, 3, ops.Parallel, 0, false, true, true, false, false, false)
	cell(9, 5, 3, ops.Recurrent, 0, true, false, true, true, true, false)
	cell(9, 5, 3, ops.Recurrent, 0, false, true, true, false, false, false)
	return all
}

func optimisers() []Example {
	many := make([]int, 60) // more than some devices take at a time
	for k := range many {
		many[k] = 1 + k
	}
	sizes, decay := []int{7, 40000, 1}, []float64{0.1, 0, 0.3}
	return []Example{
		{ops.ClipNorm{Sizes: sizes}, nil},
		{ops.AdamStep{Sizes: sizes, Decay: decay, Decoupled: true}, nil},
		{ops.AdamStep{Sizes: sizes, Decay: decay}, nil},
		{ops.AdamStep{Sizes: sizes, Decay: decay, Decoupled: true, Copies: []int{0, 1}}, nil},
		{ops.AdamStep{Sizes: many, Decay: make([]float64, len(many)), Decoupled: true}, nil},
		{ops.MoveMean{Sizes: sizes}, nil},
	}
}

func slstms() (all []Example) {
	for _, s := range []ops.SLSTMGrad{
		{SLSTM: ops.SLSTM{B: 2, T: 9, NH: 2, DH: 6, Clip: math.Inf(1)}, Has: [2]bool{true, false}},
		{SLSTM: ops.SLSTM{B: 9, T: 3, NH: 1, DH: 16, Clip: 0.1, State: true}, Has: [2]bool{true, true}},
		{SLSTM: ops.SLSTM{B: 2, T: 7, NH: 3, DH: 5, Clip: 0, State: true, Resets: true}, Has: [2]bool{false, true}},
	} {
		all = append(all, Example{s.SLSTM, s})
	}
	return all
}

func lstms() (all []Example) {
	for _, s := range []ops.LSTMGrad{
		{LSTM: ops.LSTM{B: 2, T: 9, H: 6}, Has: [2]bool{true, false}},
		{LSTM: ops.LSTM{B: 9, T: 3, H: 16, State: true}, Has: [2]bool{true, true}},
		{LSTM: ops.LSTM{B: 17, T: 12, H: 96, State: true, Resets: true}, Has: [2]bool{true, true}},
		{LSTM: ops.LSTM{B: 2, T: 7, H: 5, Resets: true}, Has: [2]bool{false, true}},
		{LSTM: ops.LSTM{B: 1, T: 1, H: 5, State: true}, Has: [2]bool{true, false}},
	} {
		all = append(all, Example{s.LSTM, s})
	}
	return all
}

func simplified() (all []Example) {
	for _, s := range []ops.SimplifiedGrad{
		{Simplified: ops.Simplified{B: 2, T: 9, H: 6, Eps: 1e-5}, Has: [2]bool{true, false}},
		{Simplified: ops.Simplified{B: 9, T: 3, H: 16, Eps: 1e-5, State: true}, Has: [2]bool{true, true}},
		{Simplified: ops.Simplified{B: 2, T: 7, H: 5, Eps: 1e-5, State: true, Resets: true}, Has: [2]bool{false, true}},
	} {
		all = append(all, Example{s.Simplified, s})
	}
	return all
}

func composites() (all []Example) {
	all = mlstmLayers()
	for _, n := range []ops.Norm{
		{N: 5, Width: 8, Groups: 1, Eps: 1e-5, Centered: true, Residual: true, Weight: true},
		{N: 5, Width: 12, Groups: 3, Eps: 1e-5},
	} {
		gated := ops.GatedNorm{Norm: n, Fn: ops.Sigmoid}
		all = append(all, Example{ops.AddNorm{Norm: n}, nil}, Example{ops.NormGradAdd{Norm: n}, nil}, Example{gated, ops.GatedNormGrad{GatedNorm: gated}},
			Example{ops.Twin{Op: ops.AddNorm{Norm: n}}, nil}, Example{ops.Twin{Op: ops.NormGrad{Norm: n}}, nil}, Example{ops.Twin{Op: ops.NormGradAdd{Norm: n}}, nil},
			Example{normedMaps(n), nil}, Example{ops.Twin{Op: normedMaps(n)}, nil},
			Example{ops.LinearGradAgain{Inner: gated, Map: ops.Linear{Rows: n.N, In: n.Width, Outs: []int{6}}}, nil})
	}
	maps := ops.Linears{Maps: []ops.Linear{{Rows: 5, In: 7, Outs: []int{6}}, {Rows: 5, In: 7, Outs: []int{4, 3}, Bias: true}}}
	gates := ops.Linears{Maps: []ops.Linear{{Rows: 5, In: 7, Outs: []int{6}}, {Rows: 5, In: 7, Outs: []int{6}, Bias: true}}}
	for _, e := range []ops.EmbeddedLinear{
		{Linear: ops.Linear{Rows: 19, In: 7, Outs: []int{12}}, V: 5},
		{Linear: ops.Linear{Rows: 300, In: 5, Outs: []int{70}}, V: 150},
		{Linear: ops.Linear{Rows: 4, In: 3, Outs: []int{2, 5}, Bias: true}, V: 9},
	} {
		all = append(all, Example{e, ops.EmbeddedLinearGrad{EmbeddedLinear: e}})
	}
	capped := ops.CappedCrossEntropy{CrossEntropy: ops.CrossEntropy{N: 5, V: 7}, Cap: 1.5}
	for _, fn := range []ops.Activation{ops.SiLU, ops.Sigmoid, ops.Tanh} {
		all = append(all, Example{ops.LinearGradAgain{Inner: ops.Gated{Fn: fn, Shape: ops.Shape{5, 7}}, Map: ops.Linear{Rows: 5, In: 7, Outs: []int{6}}}, nil})
	}
	for _, s := range []struct{ n, blocks, heads int }{{37, 9, 3}, {150, 40, 4}} {
		width := 4 * s.blocks
		p := ops.Projections{Map: ops.Headwise{N: s.n, Heads: s.blocks, In: 4, Out: 4, Stride: 4}, Gates: ops.MLSTMGates{N: s.n, NH: s.heads, Widths: [3]int{width, width, width}}}
		all = append(all, Example{p, ops.ProjectionsGrad{Projections: p}}, Example{ops.Plus{Op: ops.ProjectionsGrad{Projections: p}, N: []int{2, 1}}, nil})
	}
	for _, n := range []ops.Norm{
		{N: 7, Width: 256, Groups: 4, Eps: 1e-5, Centered: true, Residual: true, Weight: true},
		{N: 21, Width: 512, Groups: 2, Eps: 1e-5, Centered: true, Weight: true},
		{N: 600, Width: 768, Groups: 4, Eps: 1e-5, Centered: true, Residual: true, Weight: true},
		{N: 5, Width: 1024, Groups: 8, Eps: 1e-5, Weight: true},
	} {
		exit := ops.MLSTMExit{Norm: n}
		all = append(all, Example{exit, ops.MLSTMExitGrad{MLSTMExit: exit}})
	}
	return append(all,
		Example{ops.LossAndGrad{CrossEntropy: ops.CrossEntropy{N: 5, V: 7}}, nil},
		Example{ops.LossAndGrad{CrossEntropy: ops.CrossEntropy{N: 5, V: 16}, Cap: 1.5}, nil},
		Example{ops.Largest{V: 9, K: 4}, nil},
		Example{maps, ops.LinearsGrad{Linears: maps, Has: [][]bool{{true}, {true, true}}}},
		Example{maps, ops.LinearsGrad{Linears: maps, Has: [][]bool{{false}, {false, true}}}},
		Example{ops.GatedLinears{Linears: gates, Fn: ops.SiLU}, nil},
		Example{ops.GatedLinears{Linears: gates, Fn: ops.SiLU, Alone: true}, nil},
		Example{capped, ops.CappedCrossEntropyGrad{CappedCrossEntropy: capped}},
		Example{ops.Plus{Op: ops.ConvGrad{Conv: ops.Conv{B: 2, T: 21, D: 6, K: 4, SiLU: true}, Has: [2]bool{true, false}}, N: []int{2}}, nil},
		Example{ops.Plus{Op: ops.HeadwiseGrad{Headwise: ops.Headwise{N: 5, Heads: 3, In: 4, Out: 4, Stride: 4}}, N: []int{1}}, nil},
		Example{ops.Plus{Op: ops.HeadwiseGrad{Headwise: ops.Headwise{N: 5, Heads: 2, In: 3, Out: 5, Stride: 5, Bias: true}}, N: []int{2}}, nil},
		Example{ops.Plus{Op: ops.MLSTMGatesGrad{MLSTMGates: ops.MLSTMGates{N: 5, NH: 6, Widths: [3]int{8, 8, 6}}, Has: [2]bool{true, true}}, N: []int{1, 0, 2}}, nil},
		Example{ops.Plus{Op: ops.SkipGateGrad{N: 5, D: 7}, N: []int{0, 1}}, nil},
	)
}

// mlstmLayers are the composites of the paper's mLSTM layer.
func mlstmLayers() (all []Example) {
	for _, c := range []ops.Conv{{B: 2, T: 70, D: 8}, {B: 1, T: 5, D: 12, Window: true}, {B: 2, T: 67, D: 36, Resets: true}, {B: 3, T: 2, D: 16, Window: true, Resets: true}} {
		c.K, c.SiLU = 4, true
		entry := ops.MLSTMEntry{Conv: c, Map: ops.Headwise{N: c.B * c.T, Heads: c.D / 4, In: 4, Out: 4, Stride: 4}, NH: 2}
		all = append(all, Example{entry, ops.MLSTMEntryGrad{MLSTMEntry: entry}})
	}
	for _, c := range []ops.MLSTM{{B: 2, T: 70, NH: 2, DQK: 4, DHV: 6, Chunk: 16}, {B: 1, T: 70, NH: 1, DQK: 4, DHV: 6, Chunk: 16}, {B: 1, T: 9, NH: 1, DQK: 3, DHV: 5, Chunk: 64}, {B: 2, T: 9, NH: 2, DQK: 4, DHV: 4, Chunk: 64, State: true}} {
		c.ScaleQ, c.ScaleK, c.Eps = 1, 0.5, 1e-6
		all = append(all, Example{ops.MLSTMOutput{MLSTM: c}, nil})
	}
	for _, c := range []ops.MLSTM{{B: 2, T: 70, NH: 2, DQK: 8, DHV: 8, Chunk: 16}, {B: 1, T: 70, NH: 1, DQK: 4, DHV: 4, Chunk: 16, State: true}, {B: 2, T: 21, NH: 3, DQK: 12, DHV: 12, Chunk: 64, State: true, Resets: true}} {
		c.ScaleQ, c.ScaleK, c.Eps = 1, 0.5, 1e-6
		m := ops.Headwise{N: c.B * c.T, Heads: c.NH * c.DQK / 4, In: 4, Out: 4, Stride: 4}
		all = append(all, Example{ops.MLSTMMapped{MLSTM: c, Map: m}, nil}, Example{ops.MLSTMMappedGrad{MLSTMGrad: ops.MLSTMGrad{MLSTM: c, Has: [4]bool{true, c.State, c.State, c.State}}, Map: m}, nil})
		if !c.Resets {
			all = append(all, Example{ops.MLSTMMapped{MLSTM: c, Map: m, Alone: true}, nil})
		}
	}
	for _, c := range []ops.SLSTM{{B: 3, T: 21, NH: 2, DH: 12}, {B: 2, T: 9, NH: 1, DH: 16, State: true}, {B: 9, T: 130, NH: 2, DH: 20, State: true, Resets: true}, {B: 4, T: 40, NH: 3, DH: 96}} {
		c.Clip = 1 // with any numbers gradients would overflow
		m := ops.SLSTMMapped{SLSTM: c, Map: ops.Headwise{N: c.B * c.T, Heads: c.NH, In: c.DH, Out: c.DH, Stride: c.DH}}
		all = append(all, Example{m, ops.SLSTMMappedGrad{SLSTMGrad: ops.SLSTMGrad{SLSTM: c, Has: [2]bool{true, c.State}}, Map: m.Map}})
	}
	for _, n := range []ops.Norm{{N: 37, Width: 24, Groups: 2, Eps: 1e-5, Centered: true, Residual: true, Weight: true}, {N: 5, Width: 12, Groups: 1, Eps: 1e-6}} {
		exit := ops.MLSTMExit{Norm: n}
		all = append(all, Example{exit, ops.MLSTMExitGrad{MLSTMExit: exit}})
	}
	return all
}

// normedMaps is the derivative of two maps of a norm.
func normedMaps(n ops.Norm) ops.LinearsGradAgain {
	maps := []ops.Linear{{Rows: n.N, In: n.Width, Outs: []int{6}}, {Rows: n.N, In: n.Width, Outs: []int{3}, Bias: true}}
	return ops.LinearsGradAgain{LinearsGrad: ops.LinearsGrad{Linears: ops.Linears{Maps: maps}, Has: [][]bool{{true}, {true}}}, Norm: n}
}
