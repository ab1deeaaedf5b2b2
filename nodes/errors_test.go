package nodes

import (
	"fmt"
	"slices"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// buildWith builds a case with its inputs changed and turns a panic into a failure.
func (c graphCase) buildWith(t *testing.T, change func(g *gorgonia.ExprGraph, k int, in input) *gorgonia.Node) (err error) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			t.Errorf("panic: %v", r)
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	g := gorgonia.NewGraph()
	var x []*gorgonia.Node
	for k, in := range c.inputs {
		x = append(x, change(g, k, in))
	}
	_, err = c.build(x)
	return err
}

func (i input) node(g *gorgonia.ExprGraph, dt tensor.Dtype, shape ...int) *gorgonia.Node {
	return gorgonia.NewTensor(g, dt, len(shape), gorgonia.WithShape(shape...), gorgonia.WithName(i.name))
}

// optionalInputs may be nil.
var optionalInputs = []string{
	"Linear b", "LinearSplit b", "HeadwiseLinear narrow b", "layer norm w", "RMS norm w", "Fork v", "Fork of one row and column v",
	"Stabilizer of a memory n", "CausalConvSiLU continued window", "CausalConvSiLU of one step window", "SLSTM continued state", "LSTM continued state", "Simplified continued state",
}

// eachInput calls f for every input of every operation.
func eachInput(t *testing.T, f func(t *testing.T, c graphCase, k int)) {
	all := cases()
	delete(all, "LinearSplit with an unused output") // takes a result that an error leaves out
	for name, c := range all {
		for k, in := range c.inputs {
			t.Run(name+" "+in.name, func(t *testing.T) { f(t, c, k) })
		}
	}
}

func TestNilInputsAreErrors(t *testing.T) {
	all := cases()
	// These cases take the graph from the input that would be nil, or use results
	// that an error leaves out.
	for _, name := range []string{"Embedding", "CrossEntropy with an ignored target", "Dropout", "LinearSplit with an unused output"} {
		delete(all, name)
	}
	for name, c := range all {
		for k, in := range c.inputs {
			err := c.buildWith(t, func(g *gorgonia.ExprGraph, j int, in input) *gorgonia.Node {
				if j == k {
					return nil
				}
				return in.node(g, tensor.Float64, in.shape...)
			})
			if optional := slices.Contains(optionalInputs, name+" "+in.name); optional != (err == nil) {
				t.Errorf("%s with a nil %s: error %v", name, in.name, err)
			}
		}
	}
}

func TestMixedElementTypesAreErrors(t *testing.T) {
	eachInput(t, func(t *testing.T, c graphCase, k int) {
		if len(c.inputs) < 2 {
			return
		}
		err := c.buildWith(t, func(g *gorgonia.ExprGraph, j int, in input) *gorgonia.Node {
			if j == k {
				return in.node(g, tensor.Float32, in.shape...)
			}
			return in.node(g, tensor.Float64, in.shape...)
		})
		testutil.WantError(t, err, "float32", "float64")
	})
}

func TestIntegersInThePlaceOfFloatsAreErrors(t *testing.T) {
	eachInput(t, func(t *testing.T, c graphCase, k int) {
		err := c.buildWith(t, func(g *gorgonia.ExprGraph, j int, in input) *gorgonia.Node {
			dt := tensor.Float64
			if j == k {
				dt = tensor.Int
			}
			return in.node(g, dt, in.shape...)
		})
		testutil.WantError(t, err)
	})
}

// An input of another shape is an error wherever the operation has another input
// to compare with, or wants a certain number of axes.
func TestWrongShapesAreErrors(t *testing.T) {
	eachInput(t, func(t *testing.T, c graphCase, k int) {
		for name, change := range map[string]func(shape []int) []int{
			"an axis more":      func(s []int) []int { return append(slices.Clone(s), 2) },
			"an axis less":      func(s []int) []int { return s[1:] },
			"a longer last":     func(s []int) []int { s = slices.Clone(s); s[len(s)-1]++; return s },
			"a longer first":    func(s []int) []int { s = slices.Clone(s); s[0]++; return s },
			"exchanged axes":    func(s []int) []int { s = slices.Clone(s); slices.Reverse(s); return s },
			"a single element":  func([]int) []int { return []int{1} },
			"a scalar":          func([]int) []int { return nil },
			"a very long first": func(s []int) []int { s = slices.Clone(s); s[0] = 1 << 20; return s },
		} {
			err := c.buildWith(t, func(g *gorgonia.ExprGraph, j int, in input) *gorgonia.Node {
				if j == k {
					return in.node(g, tensor.Float64, change(in.shape)...)
				}
				return in.node(g, tensor.Float64, in.shape...)
			})
			if wrongAxes := name == "an axis more" || name == "an axis less"; wrongAxes && err == nil && len(c.inputs) > 1 {
				t.Errorf("no error for %s", name)
			}
		}
	})
}

func TestArgumentsThatMakeNoSenseAreErrors(t *testing.T) {
	g := gorgonia.NewGraph()
	m := func(name string, shape ...int) *gorgonia.Node { return in(name).node(g, tensor.Float64, shape...) }
	x, gates, key := m("x", 6, 4), m("gates", 6, 2), DropoutKey(g)
	state := &MLSTMState{m("C", 2, 2, 2, 2), m("n", 2, 2, 2), m("m", 2, 2)}
	mlstm := func(cfg MLSTMConfig, st *MLSTMState) error {
		_, _, err := MLSTM(cfg, x, x, x, gates, gates, st)
		return err
	}
	slstm := func(cfg SLSTMConfig) error {
		_, _, err := SLSTM(cfg, x, x, x, x, m("r", 2, 8, 2), m("bias", 16), nil)
		return err
	}
	lstm := func(batch, hidden int) error {
		_, _, err := LSTM(LSTMConfig{Batch: batch}, m("gates4", 6, 8), m(fmt.Sprint("r", hidden), 4*hidden, hidden), m("b", 8), nil)
		return err
	}
	second := func(_ any, err error) error { return err }
	for name, c := range map[string]struct {
		err   error
		words []string
	}{
		"rows and batch of MLSTM":        {mlstm(MLSTMConfig{Batch: 4, NumHeads: 2}, nil), []string{"MLSTM", "6 rows", "batch of 4"}},
		"batch zero of MLSTM":            {mlstm(MLSTMConfig{NumHeads: 2}, nil), []string{"batch of 0"}},
		"negative batch of SLSTM":        {slstm(SLSTMConfig{Batch: -2, NumHeads: 2}), []string{"SLSTM", "batch of -2"}},
		"heads of SLSTM":                 {slstm(SLSTMConfig{Batch: 2, NumHeads: 3}), []string{"SLSTM", "4", "3 heads"}},
		"batch of LSTM":                  {lstm(4, 2), []string{"LSTM", "6 rows", "batch of 4"}},
		"hidden size of LSTM":            {lstm(2, 3), []string{"LSTM", "x", "(6, 8)", "(6, 12)"}},
		"no heads of SLSTM":              {slstm(SLSTMConfig{Batch: 2}), []string{"0 heads"}},
		"heads of MLSTM":                 {mlstm(MLSTMConfig{Batch: 2, NumHeads: 3}, nil), []string{"MLSTM", "(6, 2)", "(6, 3)"}},
		"negative heads of MLSTM":        {mlstm(MLSTMConfig{Batch: 2, NumHeads: -1}, nil), []string{"-1 heads"}},
		"state of the parallel form":     {mlstm(MLSTMConfig{Batch: 2, NumHeads: 2, Form: Parallel}, state), []string{"parallel", "Chunkwise"}},
		"unknown form":                   {mlstm(MLSTMConfig{Batch: 2, NumHeads: 2, Form: 7}, nil), []string{"form 7"}},
		"state of another batch":         {mlstm(MLSTMConfig{Batch: 3, NumHeads: 2}, state), []string{"C", "(2, 2, 2, 2)", "(3, 2, 2, 2)"}},
		"state without n":                {mlstm(MLSTMConfig{Batch: 2, NumHeads: 2}, &MLSTMState{C: state.C, M: state.M}), []string{"needs N"}},
		"ids of floats":                  {second(Embedding(m("ids", 3), m("table", 5, 2))), []string{"Embedding", "float64"}},
		"no ids":                         {second(Embedding(nil, m("table", 5, 2))), []string{"Embedding"}},
		"targets of floats":              {second(CrossEntropy(x, m("targets", 6))), []string{"CrossEntropy", "float64"}},
		"no targets":                     {second(CrossEntropy(x, nil)), []string{"targets"}},
		"too few targets":                {second(CrossEntropy(x, ids(g, "five", 0, 0, 0, 0, 0))), []string{"(5)", "(6)"}},
		"logits of integers":             {second(CrossEntropy(in("ints").node(g, tensor.Int, 5, 2), ids(g, "five", 0, 0, 0, 0, 0))), []string{"float"}},
		"dropout of everything":          {second(Dropout(x, key, 1, 1)), []string{"[0, 1)"}},
		"dropout below nothing":          {second(Dropout(x, key, 1, -0.1)), []string{"-0.1"}},
		"dropout without key":            {second(Dropout(x, nil, 1, 0.5)), []string{"key"}},
		"dropout with a key of floats":   {second(Dropout(x, m("key", 3), 1, 0.5)), []string{"float64"}},
		"dropout of nil":                 {second(Dropout(nil, key, 1, 0.5)), []string{"input"}},
		"unknown activation":             {second(Activate("softplus", x)), []string{"softplus", "gelu"}},
		"unknown gated activation":       {second(GatedActivation("softplus", x, x)), []string{"softplus", "gelu"}},
		"cap of zero":                    {second(SoftCap(x, 0)), []string{"positive"}},
		"groups of Norm":                 {second(Norm(NormConfig{Groups: 3}, x, nil)), []string{"4", "3 groups"}},
		"step past the end":              {second(TimeStep(2, 3, x)), []string{"step 3 of 3"}},
		"negative step":                  {second(TimeStep(2, -1, x)), []string{"step -1"}},
		"rows and batch of TimeStep":     {second(TimeStep(4, 0, x)), []string{"6 rows", "batch of 4"}},
		"no steps":                       {second(StackTime(nil)), []string{"step"}},
		"nothing to stack":               {second(Stack()), []string{"input"}},
		"entry past the end":             {second(Pick(6, x)), []string{"6"}},
		"reshape to another size":        {second(Reshape(x, 5, 5)), []string{"(5, 5)"}},
		"reshape to negative sizes":      {second(Reshape(x, -4, -6)), []string{"(-4, -6)"}},
		"bias window past the end":       {second(AddBias(x, m("eight", 8), 5)), []string{"5", "8"}},
		"negative bias window":           {second(AddBias(x, m("eight", 8), -1)), []string{"-1"}},
		"widths that do not add up":      {second(LinearSplit(x, m("w", 5, 4), nil, 2, 2)), []string{"(5, 4)", "(4, 4)"}},
		"a negative width":               {second(LinearSplit(x, m("w", 5, 4), nil, 7, -2)), []string{"-2"}},
		"no widths":                      {second(LinearSplit(x, m("w", 5, 4), nil)), []string{"output"}},
		"no readers of a fork":           {second(Fork(x, 0)), []string{"Fork", "0"}},
		"a fork of nothing":              {second(Fork(nil, 2)), []string{"Fork"}},
		"a fork of integers":             {second(Fork(ids(g, "five", 0, 0, 0, 0, 0), 2)), []string{"fork", "float"}},
		"gate four of RecurrentLinear":   {second(RecurrentLinear(m("y", 3, 4), m("r", 2, 8, 2), 4)), []string{"gate 4"}},
		"negative gate":                  {second(RecurrentLinear(m("y", 3, 4), m("r", 2, 8, 2), -1)), []string{"gate -1"}},
		"kernel without four gates":      {second(RecurrentLinear(m("y", 3, 4), m("r3", 2, 6, 2), 0)), []string{"(2, 6, 2)"}},
		"heads of HeadOuter":             {second(HeadOuter(3, x, x)), []string{"3 heads"}},
		"no heads of HeadOuter":          {second(HeadOuter(0, x, x)), []string{"0 heads"}},
		"memory of HeadRead":             {second(HeadRead(2, x, gates)), []string{"does not fit"}},
		"gates of HeadScale":             {second(HeadScale(2, x, x)), []string{"(6, 4)", "2)"}},
		"rows of HeadOuter":              {second(HeadOuter(2, x, m("five", 5, 4))), []string{"(5, 4)"}},
		"inputs of two different graphs": {second(Add(x, matrix(gorgonia.NewGraph(), "x", 6, 4))), []string{"graph"}},
	} {
		t.Run(name, func(t *testing.T) { testutil.WantError(t, c.err, c.words...) })
	}
}

func TestIndicesOutOfRangeAreErrorsOfTheRun(t *testing.T) {
	for name, c := range map[string]struct {
		build func(g *gorgonia.ExprGraph) (*gorgonia.Node, error)
		words []string
	}{
		"id past the end": {func(g *gorgonia.ExprGraph) (*gorgonia.Node, error) {
			return Embedding(ids(g, "ids", 0, 5), matrix(g, "w", 5, 2))
		}, []string{"embedding", "5", "position 1"}},
		"negative id": {func(g *gorgonia.ExprGraph) (*gorgonia.Node, error) {
			return Embedding(ids(g, "ids", -1, 0), matrix(g, "w", 5, 2))
		}, []string{"-1", "position 0"}},
		"target past the end": {func(g *gorgonia.ExprGraph) (*gorgonia.Node, error) {
			return CrossEntropy(matrix(g, "w", 3, 5), ids(g, "ids", 0, 1, 5))
		}, []string{"crossEntropy", "5", "position 2"}},
		"negative target that is not Ignored": {func(g *gorgonia.ExprGraph) (*gorgonia.Node, error) {
			return CrossEntropy(matrix(g, "w", 3, 5), ids(g, "ids", 0, Ignored, -2))
		}, []string{"-2", "position 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := gorgonia.NewGraph()
			y, err := c.build(g)
			if err != nil {
				t.Fatal(err)
			}
			w := g.ByName("w")[0]
			if _, err := gorgonia.Grad(gorgonia.Must(gorgonia.Sum(gorgonia.Must(gorgonia.Square(y)))), w); err != nil {
				t.Fatal(err)
			}
			if err := gorgonia.Let(w, tensor.New(tensor.Of(tensor.Float64), tensor.WithShape(w.Shape()...))); err != nil {
				t.Fatal(err)
			}
			m := gorgonia.NewTapeMachine(g)
			defer m.Close()
			testutil.WantError(t, m.RunAll(), c.words...)
		})
	}
}

func TestOperationsWithoutADerivativeSaySo(t *testing.T) {
	g := gorgonia.NewGraph()
	x := matrix(g, "x", 2, 3)
	y, err := mul(x, x)
	if err != nil {
		t.Fatal(err)
	}
	_, err = y.Op().(gorgonia.SDOp).SymDiff(gorgonia.Nodes{x, x}, y, x)
	testutil.WantError(t, err, "no derivative")
}
