package dot_test

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/dot"
	"github.com/gorgonia-xlstm/xlstm/layers"
	"gorgonia.org/gorgonia"
)

// views are all that the options can make of a graph.
func views(p *xlstm.Program) map[string][]dot.Option {
	params, notation := dot.Parameters(p.Model()...), dot.Notation(layers.Symbol, layers.Operation)
	return map[string][]dot.Option{
		"everything":   {},
		"forward":      {dot.ForwardOnly()},
		"elided":       {dot.Elide(), params, notation},
		"depth 1":      {dot.Depth(1), params, notation},
		"depth 2":      {dot.Depth(2), dot.Elide(), params, notation},
		"depth 9":      {dot.Depth(9), dot.Elide(), params, notation},
		"a block open": {dot.Depth(2), dot.Elide(), params, notation, dot.Open("blocks.0", "blocks.1.ffn")},
		"a block only": {dot.Only("blocks.1"), dot.Elide(), notation, params},
	}
}

// TestSameGraphSameBytes: of one graph, and of one that is built again.
func TestSameGraphSameBytes(t *testing.T) {
	cfg := xlstm.ProgramConfig{Batch: 2, Steps: 4, Grad: true, Carry: true}
	_, p := program(t, cfg, nil)
	_, again := program(t, cfg, nil)
	other := views(again)
	for name, opts := range views(p) {
		first := marshal(t, p.Graph(), opts...)
		if marshal(t, p.Graph(), opts...) != first {
			t.Errorf("%s: two exports of one graph differ", name)
		}
		if marshal(t, again.Graph(), other[name]...) != first {
			t.Errorf("%s: a graph that is built again is written differently", name)
		}
		parse(t, first)
	}
}

// TestEveryNodeIsDrawn: without options, each with its edges.
func TestEveryNodeIsDrawn(t *testing.T) {
	for name, cfg := range map[string]xlstm.ProgramConfig{
		"fused":    {Batch: 2, Steps: 4, Grad: true, Carry: true},
		"symbolic": {Batch: 1, Steps: 2, Grad: true, FwdConfig: xlstm.FwdConfig{Symbolic: true}},
	} {
		_, p := program(t, cfg, nil)
		d := parse(t, marshal(t, p.Graph()))
		if got, want := len(d.nodes), len(p.Graph().AllNodes()); got != want {
			t.Errorf("%s: %d nodes are drawn of %d", name, got, want)
		}
		edges := map[[2]int64]bool{}
		for _, n := range p.Graph().AllNodes() {
			for it := p.Graph().From(n.ID()); it.Next(); {
				edges[[2]int64{it.Node().ID(), n.ID()}] = true
			}
		}
		if len(d.edges) != len(edges) {
			t.Errorf("%s: %d edges are drawn of %d", name, len(d.edges), len(edges))
		}
	}
}

// TestNothingIsLostInFolds: every operation that is folded is named by its fold,
// and everything that is drawn is connected.
func TestNothingIsLostInFolds(t *testing.T) {
	_, p := program(t, xlstm.ProgramConfig{Batch: 2, Steps: 4, Grad: true}, nil)
	for _, name := range []string{"depth 1", "depth 2", "depth 9", "a block open"} {
		d := parse(t, marshal(t, p.Graph(), views(p)[name]...))
		text := strings.Join(d.labels(), ", ")
		for _, n := range p.Graph().AllNodes() {
			if n.Op() == nil || n.IsScalar() {
				continue
			}
			label := cmp.Or(layers.Operation(n), n.Op().String())
			if trivial, ok := n.Op().(interface{ Trivial() bool }); ok && !trivial.Trivial() && !strings.Contains(text, label) {
				t.Errorf("%s: the operation %s is nowhere", name, label)
			}
		}
		for id, n := range d.nodes {
			if !slices.ContainsFunc(d.edges, func(e edge) bool { return e.from == id || e.to == id }) {
				t.Errorf("%s: %q is connected to nothing", name, n.label)
			}
		}
	}
}

var counted = regexp.MustCompile(`([0-9,]+) parameter`)

// TestParameterCountsAddUp: at every depth to the model's, however much is open.
func TestParameterCountsAddUp(t *testing.T) {
	for name, change := range map[string]func(*xlstm.Config){
		"usual": nil,
		"tied":  func(c *xlstm.Config) { c.TieWeights = true },
		"bias":  func(c *xlstm.Config) { c.Bias = true },
	} {
		m, p := program(t, xlstm.ProgramConfig{Batch: 2, Steps: 4, Grad: true}, change)
		single := map[string]int{}
		for _, param := range m.Params() {
			path := strings.Split(param.Name, ".")
			single[path[len(path)-1]] = param.Value.Size()
		}
		for _, view := range []string{"depth 1", "depth 2", "depth 9", "a block open"} {
			sum := 0
			for _, n := range parse(t, marshal(t, p.Graph(), views(p)[view]...)).nodes {
				if found := counted.FindStringSubmatch(n.label); found != nil {
					k, err := strconv.Atoi(strings.ReplaceAll(found[1], ",", ""))
					if err != nil {
						t.Fatal(err)
					}
					sum += k
				} else if strings.Contains(n.attrs, "#fdf4e3") { // a parameter by itself
					sum += single[strings.Split(n.label, "|")[0]]
				}
			}
			if sum != m.NumParams() {
				t.Errorf("%s, %s: %d parameters are counted of %d", name, view, sum, m.NumParams())
			}
		}
	}
}

// TestOptions: each does what it says.
func TestOptions(t *testing.T) {
	_, p := program(t, xlstm.ProgramConfig{Batch: 2, Steps: 4, Grad: true, Carry: true}, nil)
	g, all := p.Graph(), views(p)

	d := parse(t, marshal(t, g, all["depth 2"]...))
	embedding, _ := d.labelled(t, "token_embedding")
	first, _ := d.labelled(t, "blocks.0")
	last, _ := d.labelled(t, "blocks.2")
	back, node := d.labelled(t, "∂ blocks.2")
	if _, ok := d.joined(embedding, first); !ok {
		t.Error("no edge from the embedding to block 0")
	}
	if e, ok := d.joined(last, back); !ok || !strings.Contains(e.attrs, "constraint=false") {
		t.Error("the backward pass of block 2 does not stand beside it")
	}
	if !strings.Contains(node.label, "mLSTM'") || strings.Contains(node.label, "part") || strings.Contains(node.label, "+") {
		t.Errorf("the backward pass of block 2 is %q", node.label)
	}

	d = parse(t, marshal(t, g, append(all["depth 2"], dot.ForwardOnly())...))
	if text := strings.Join(d.labels(), " "); strings.Contains(text, "∂") || strings.Contains(text, "'") {
		t.Errorf("the forward pass alone has %q", text)
	}

	d = parse(t, marshal(t, g, append(all["a block open"], dot.ForwardOnly())...))
	cell, _ := d.labelled(t, "mLSTM")
	for title, symbol := range map[string]string{"q_proj": "q", "k_proj": "k", "v_proj": "v", "mLSTM gates": "ĩ, f̃"} {
		id, _ := d.labelled(t, title)
		if e, _ := d.joined(id, cell); e.label != symbol {
			t.Errorf("the edge from %s to the cell is labelled %q, want %q", title, e.label, symbol)
		}
	}
	state, _ := d.labelled(t, "block_0")
	if e, _ := d.joined(state, cell); e.label != "C₀, n₀, m₀" {
		t.Errorf("the state's edge to the cell is labelled %q", e.label)
	}
	d.labelled(t, "blocks.2")
	d.labelled(t, "proj_up")

	d = parse(t, marshal(t, g, all["a block only"]...))
	if !slices.Contains(d.boxes, "xlstm_block_stack.blocks.1") || slices.Contains(d.boxes, "xlstm_block_stack") {
		t.Errorf("block 1 alone is in the boxes %q", d.boxes)
	}
	d.labelled(t, "blocks.0")
	if _, n := d.labelled(t, "slstm_cell"); !strings.Contains(n.label, "8×16") { // of h, not of all results in one
		t.Errorf("the cell is %q", n.label)
	}

	if with, without := len(parse(t, marshal(t, g)).nodes), len(parse(t, marshal(t, g, dot.Elide())).nodes); without >= with {
		t.Errorf("%d nodes with views, %d without", with, without)
	}
}

// TestSymbolicStepsReadAsEquations: the values of each step have their names.
func TestSymbolicStepsReadAsEquations(t *testing.T) {
	_, p := program(t, xlstm.ProgramConfig{Batch: 1, Steps: 2, FwdConfig: xlstm.FwdConfig{Symbolic: true}}, nil)
	for path, want := range map[string][]string{
		"blocks.0.xlstm.mlstm_cell.step.2": {"q₂", "k₂", "v₂", "ĩ₂", "f̃₂", "C₁", "n₁", "m₁", "C₂", "n₂", "m₂", "h₂", "log σ", "max(log f + m, ĩ)", "exp(x − m)", "k vᵀ", "Cᵀ q", "n · q", "⊙"},
		"blocks.1.xlstm.slstm_cell.step.1": {"h₀", "c₀", "n₀", "m₀", "h₁", "c₁", "n₁", "m₁", "Wⁱx", "Wᶠx", "Wᶻx", "Wᵒx", "R", "b", "R h", "tanh", "σ", "÷"},
	} {
		d := parse(t, marshal(t, p.Graph(), dot.Only(path), dot.Elide(), dot.Parameters(p.Model()...), dot.Notation(layers.Symbol, layers.Operation)))
		for _, text := range want {
			d.labelled(t, text)
		}
	}
}

// TestMistakesAreExplained: in one sentence that says what there is.
func TestMistakesAreExplained(t *testing.T) {
	_, p := program(t, xlstm.ProgramConfig{Batch: 2, Steps: 4}, nil)
	plain := gorgonia.NewGraph()
	gorgonia.NewScalar(plain, gorgonia.Float64, gorgonia.WithName("x"))
	for _, c := range []struct {
		g    *gorgonia.ExprGraph
		opts []dot.Option
		says []string
	}{
		{nil, nil, []string{"nil"}},
		{p.Graph(), []dot.Option{dot.Depth(-1)}, []string{"-1", "at least 0"}},
		{p.Graph(), []dot.Option{dot.Depth(2), dot.Open("blocks.7")}, []string{"blocks.7", "there are token_embedding"}},
		{p.Graph(), []dot.Option{dot.Only("")}, nil},
		{p.Graph(), []dot.Option{dot.Open("")}, []string{`""`}},
		{p.Graph(), []dot.Option{dot.Only("conv1d")}, []string{"conv1d", "choose among", "blocks.0.xlstm.conv1d"}},
		{p.Graph(), []dot.Option{dot.Only("blocks.0"), dot.Open("blocks.0")}, []string{"leave Open out"}},
		{plain, []dot.Option{dot.Only("x")}, []string{`"x"`, "none of its nodes has a dotted name"}},
	} {
		_, err := dot.Marshal(c.g, c.opts...)
		if (err == nil) != (c.says == nil) {
			t.Errorf("want an error that says %q, got %v", c.says, err)
		}
		for _, want := range c.says {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error %q does not say %q", err, want)
			}
		}
	}
}

// TestOpenedBackwardPassIsReadable: what differentiates a layer bears its name, and
// reads of the forward pass come from there alone.
func TestOpenedBackwardPassIsReadable(t *testing.T) {
	_, p := program(t, xlstm.ProgramConfig{Batch: 1, Steps: 4, Grad: true}, nil)
	opts := []dot.Option{dot.Depth(2), dot.Open("blocks.0"), dot.Parameters(p.Model()...)}
	opened := parse(t, marshal(t, p.Graph(), append(opts, dot.Elide())...))
	for _, layer := range []string{"proj_up", "q_proj", "k_proj", "v_proj", "conv1d", "outnorm", "proj_down", "xlstm_norm"} {
		from, _ := opened.labelled(t, layer)
		to, _ := opened.labelled(t, "∂ "+layer)
		if e, ok := opened.joined(from, to); !ok || !strings.Contains(e.attrs, "dashed") {
			t.Errorf("∂ %s does not read %s", layer, layer)
		}
		reads := 0
		for _, e := range opened.edges {
			if e.to == to && strings.Contains(e.attrs, "dashed") {
				reads++
			}
		}
		if reads != 1 {
			t.Errorf("∂ %s reads %d parts of the forward pass", layer, reads)
		}
	}
	dashed := func(d *drawing) (n int) {
		for _, e := range d.edges {
			n += strings.Count(e.attrs, "constraint=false")
		}
		return n
	}
	if all := dashed(parse(t, marshal(t, p.Graph(), opts...))); dashed(opened) >= all {
		t.Errorf("%d of %d edges into the backward pass are shown", dashed(opened), all)
	}
}
