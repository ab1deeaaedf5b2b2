package nodes

import (
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

func mlstmOut(h *gorgonia.Node, st MLSTMState, err error) ([]*gorgonia.Node, error) {
	return []*gorgonia.Node{h, st.C, st.N, st.M}, err
}

func ids(g *gorgonia.ExprGraph, name string, v ...int) *gorgonia.Node {
	return gorgonia.NewVector(g, tensor.Int, gorgonia.WithShape(len(v)), gorgonia.WithName(name), gorgonia.WithValue(tensor.New(tensor.WithShape(len(v)), tensor.WithBacking(v))))
}

// gatesInputs are the inputs of MLSTMGates for n rows, q and k of width qk and v
// of width v.
func gatesInputs(n, qk, v, heads int) []input {
	w := 2*qk + v
	return []input{in("q", n, qk), in("k", n, qk), in("v", n, v), in("wi", heads, w), in("bi", heads), in("wf", heads, w), in("bf", heads)}
}

// forked gives x to four readers, of which one is not read.
func forked(x, w, v *gorgonia.Node) ([]*gorgonia.Node, error) {
	xs, err := Fork(x, 4)
	if err != nil {
		return nil, err
	}
	a, err := Linear(xs[0], w, nil)
	if err != nil {
		return nil, err
	}
	b, err := Norm(NormConfig{Eps: 0.1}, xs[1], v)
	if err != nil {
		return nil, err
	}
	c, err := Add(xs[2], b)
	return []*gorgonia.Node{a, c}, err
}

// cases are all operations, with shapes that include one row, one head, width
// one and lengths that no chunk divides.
func cases() map[string]graphCase {
	cs := map[string]graphCase{
		"Linear": {[]input{in("x", 5, 3), in("w", 4, 3), in("b", 4)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) { return one(Linear(x[0], x[1], x[2])) }},
		"Linear without bias, one row, one column": {[]input{in("x", 1, 3), in("w", 1, 3)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) { return one(Linear(x[0], x[1], nil)) }},
		"LinearSplit": {[]input{in("x", 5, 3), in("w", 6, 3), in("b", 6)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) { return LinearSplit(x[0], x[1], x[2], 2, 1, 3) }},
		"LinearSplit with an unused output": {[]input{in("x", 5, 3), in("w", 6, 3)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			ys, err := LinearSplit(x[0], x[1], nil, 4, 2)
			return ys[1:], err
		}},
		"MLSTMGates": {gatesInputs(5, 3, 2, 2), func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return two(MLSTMGates(x[0], x[1], x[2], x[3], x[4], x[5], x[6]))
		}},
		"MLSTMGates of one row, one head, width one": {gatesInputs(1, 1, 1, 1), func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return two(MLSTMGates(x[0], x[1], x[2], x[3], x[4], x[5], x[6]))
		}},
		"Fork": {[]input{in("x", 4, 3), in("w", 2, 3), in("v", 3)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return forked(x[0], x[1], x[2])
		}},
		"Fork of one row and column": {[]input{in("x", 1, 1), in("w", 1, 1), in("v", 1)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return forked(x[0], x[1], x[2])
		}},
		"HeadwiseLinear narrow": {[]input{in("x", 5, 6), in("w", 2, 4, 3), in("b", 8)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) { return one(HeadwiseLinear(x[0], x[1], x[2])) }},
		"HeadwiseLinear wide":   {[]input{in("x", 3, 32), in("w", 2, 3, 16)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) { return one(HeadwiseLinear(x[0], x[1], nil)) }},
		"RecurrentLinear":       {[]input{in("y", 3, 6), in("r", 2, 12, 3)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) { return one(RecurrentLinear(x[0], x[1], 2)) }},
		"RecurrentLinear wide":  {[]input{in("y", 2, 26), in("r", 2, 52, 13)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) { return one(RecurrentLinear(x[0], x[1], 1)) }},
		"layer norm": {[]input{in("x", 4, 6), in("w", 6)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return one(Norm(NormConfig{Eps: 1e-5, Residual: true}, x[0], x[1]))
		}},
		"head norm without weight": {[]input{in("x", 4, 6)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return one(Norm(NormConfig{Groups: 2, Eps: 1e-5}, x[0], nil))
		}},
		"RMS norm": {[]input{in("x", 4, 6), in("w", 6)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return one(Norm(NormConfig{Eps: 1e-6, RMS: true}, x[0], x[1]))
		}},
		"LogSigmoid": {[]input{in("x", 4, 3)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) { return one(LogSigmoid(x[0])) }},
		"Sigmoid":    {[]input{in("x", 4, 3)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) { return one(Sigmoid(x[0])) }},
		"Tanh":       {[]input{in("x", 4, 3)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) { return one(Tanh(x[0])) }},
		"SiLU":       {[]input{in("x", 4, 3)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) { return one(SiLU(x[0])) }},
		"SoftCap":    {[]input{in("x", 4, 3)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) { return one(SoftCap(x[0], 1.5)) }},
		"SkipGate": {[]input{in("h", 4, 3), in("c", 4, 3), in("skip", 3), in("z", 4, 3)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return one(SkipGate(x[0], x[1], x[2], x[3]))
		}},
		"Add": {[]input{in("a", 4, 3), in("b", 4, 3)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) { return one(Add(x[0], x[1])) }},
		"Stabilizer": {[]input{in("lf", 4, 3), in("m", 4, 3), in("i", 4, 3)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return one(Stabilizer(x[0], x[1], x[2], nil))
		}},
		"Stabilizer of a memory": {[]input{in("lf", 4, 3), in("m", 4, 3), in("i", 4, 3), in("n", 4, 3).still()}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return one(Stabilizer(x[0], x[1], x[2], x[3]))
		}},
		"ExpGate":   {[]input{in("x", 4, 3), in("m", 4, 3)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) { return one(ExpGate(x[0], x[1])) }},
		"Maximum":   {[]input{in("a", 4, 3), in("b", 4, 3)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) { return one(Maximum(x[0], x[1])) }},
		"HeadOuter": {[]input{in("a", 2, 4), in("b", 2, 6)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) { return one(HeadOuter(2, x[0], x[1])) }},
		"HeadScale": {[]input{in("a", 2, 2), in("c", 2, 6)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) { return one(HeadScale(2, x[0], x[1])) }},
		"HeadRead":  {[]input{in("a", 2, 4), in("c", 2, 12)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) { return one(HeadRead(2, x[0], x[1])) }},
		"AddBias":   {[]input{in("x", 4, 3), in("b", 9)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) { return one(AddBias(x[0], x[1], 6)) }},
		"Stack":     {[]input{in("a", 2, 3), in("b", 2, 3)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) { return one(Stack(x...)) }},
		"Pick":      {[]input{in("x", 3, 2, 2)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) { return one(Pick(2, x[0])) }},
		"Reshape":   {[]input{in("x", 3, 4)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) { return one(Reshape(x[0], 2, 6)) }},
		"TimeStep":  {[]input{in("x", 6, 2)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) { return one(TimeStep(2, 1, x[0])) }},
		"StackTime": {[]input{in("a", 2, 3), in("b", 2, 3)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) { return one(StackTime(x)) }},
		"Embedding": {[]input{in("w", 5, 3)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return one(Embedding(ids(x[0].Graph(), "ids", 4, 0, 4, 2), x[0]))
		}},
		"CrossEntropy with an ignored target": {[]input{in("logits", 4, 5)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return one(CrossEntropy(x[0], ids(x[0].Graph(), "targets", 4, Ignored, 0, 4)))
		}},
		"Dropout": {[]input{in("x", 6, 5)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			key := DropoutKey(x[0].Graph())
			gorgonia.Let(key, tensor.New(tensor.WithShape(3), tensor.WithBacking([]int{7, 3, 2})))
			return one(Dropout(x[0], key, 1, 0.4))
		}},
		"CausalConv": {[]input{in("x", 10, 2), in("w", 2, 1, 4), in("b", 2)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return two(CausalConv(2, x[0], x[1], x[2], nil))
		}},
		"CausalConvSiLU continued": {[]input{in("x", 6, 2), in("w", 2, 1, 4), in("b", 2), in("window", 2, 4, 2)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return two(CausalConvSiLU(2, x[0], x[1], x[2], x[3]))
		}},
		"CausalConvSiLU of one step": {[]input{in("x", 1, 1), in("w", 1, 1, 4), in("b", 1), in("window", 1, 4, 1)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return two(CausalConvSiLU(1, x[0], x[1], x[2], x[3]))
		}},
	}
	for _, name := range ActivationNames() {
		cs["Activate "+name] = graphCase{[]input{in("x", 4, 3)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) { return one(Activate(name, x[0])) }}
		cs["GatedActivation "+name] = graphCase{[]input{in("g", 4, 3), in("u", 4, 3)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return one(GatedActivation(name, x[0], x[1]))
		}}
	}
	addCells(cs)
	return cs
}

func addCells(cs map[string]graphCase) {
	gates := func(rows, heads, dqk, dhv int) []input {
		return []input{in("q", rows, heads*dqk), in("k", rows, heads*dqk), in("v", rows, heads*dhv), in("i", rows, heads).times(2), in("f", rows, heads).times(2)}
	}
	for name, form := range map[string]Form{"chunkwise": Chunkwise, "parallel": Parallel, "recurrent": Recurrent} {
		cs["MLSTM "+name] = graphCase{gates(14, 2, 3, 2), func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return mlstmOut(MLSTM(MLSTMConfig{Batch: 2, NumHeads: 2, Form: form, Chunk: 3, Eps: 0.01}, x[0], x[1], x[2], x[3], x[4], nil))
		}}
		cs["MLSTM of one step, head and channel, "+name] = graphCase{gates(1, 1, 1, 1), func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			h, _, err := MLSTM(MLSTMConfig{Batch: 1, NumHeads: 1, Form: form, Eps: 0.01}, x[0], x[1], x[2], x[3], x[4], nil)
			return one(h, err)
		}}
		if form == Parallel {
			continue
		}
		cs["MLSTM continued "+name] = graphCase{append(gates(14, 2, 3, 2), in("C", 2, 2, 3, 2), in("n", 2, 2, 3), in("m", 2, 2)), func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return mlstmOut(MLSTM(MLSTMConfig{Batch: 2, NumHeads: 2, Form: form, Chunk: 4, ScaleQueries: true, Eps: 0.01}, x[0], x[1], x[2], x[3], x[4], &MLSTMState{x[5], x[6], x[7]}))
		}}
	}
	cell := func(rows, heads, dh int) []input {
		d := heads * dh
		return []input{in("i", rows, d).times(2), in("f", rows, d).times(2), in("z", rows, d), in("o", rows, d), in("r", heads, 4*dh, dh).times(0.5), in("bias", 4*d)}
	}
	cs["SLSTM"] = graphCase{cell(10, 2, 3), func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
		return two(SLSTM(SLSTMConfig{Batch: 2, NumHeads: 2}, x[0], x[1], x[2], x[3], x[4], x[5], nil))
	}}
	cs["SLSTM continued"] = graphCase{append(cell(10, 2, 3), in("state", 4, 2, 6).times(0.1).plus(1)), func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
		return two(SLSTM(SLSTMConfig{Batch: 2, NumHeads: 2}, x[0], x[1], x[2], x[3], x[4], x[5], x[6]))
	}}
	cs["LSTM"], cs["LSTM continued"] = lstmCase(2, 9, 3, false), lstmCase(2, 5, 3, true)
	cs["Simplified"], cs["Simplified continued"] = simplifiedCase(2, 5, 4, false), simplifiedCase(2, 3, 4, true)
	cs["LSTM of one step and unit"] = graphCase{lstmCase(1, 1, 1, false).inputs, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
		h, _, err := LSTM(LSTMConfig{Batch: 1}, x[0], x[1], x[2], nil)
		return one(h, err)
	}}
	cs["SLSTM of one step, head and channel"] = graphCase{cell(1, 1, 1), func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
		y, _, err := SLSTM(SLSTMConfig{Batch: 1, NumHeads: 1}, x[0], x[1], x[2], x[3], x[4], x[5], nil)
		return one(y, err)
	}}
}

// lstmCase is a classic LSTM cell with all its results.
func lstmCase(batch, steps, hidden int, continued bool) graphCase {
	ins := []input{in("x", batch*steps, 4*hidden), in("r", 4*hidden, hidden).times(0.5), in("bias", 4*hidden)}
	if continued {
		ins = append(ins, in("state", 2, batch, hidden))
	}
	return graphCase{ins, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
		var state *gorgonia.Node
		if continued {
			state = x[3]
		}
		return two(LSTM(LSTMConfig{Batch: batch}, x[0], x[1], x[2], state))
	}}
}

// simplifiedCase is a simplified cell with all its results.
func simplifiedCase(batch, steps, hidden int, continued bool) graphCase {
	ins := []input{in("x", batch*steps, 4*hidden), in("r", 4*hidden, hidden).times(0.5), in("norms", 4*hidden).times(0.3).plus(0.7), in("m", hidden, hidden).times(0.5)}
	if continued {
		ins = append(ins, in("state", 2, batch, hidden))
	}
	return graphCase{ins, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
		var state *gorgonia.Node
		if continued {
			state = x[4]
		}
		return two(Simplified(SimplifiedConfig{Batch: batch}, x[0], x[1], x[2], x[3], state))
	}}
}

func TestGradientsAgainstCentralDifferences(t *testing.T) {
	for name, c := range cases() {
		t.Run(name, c.check)
	}
}
