package nodes

import (
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/golden"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

const goldenRoot = "../testdata/golden"

// goldenFile is a kernel case: the tensors of a file, brought into our layouts.
type goldenFile struct {
	name    string
	tensors map[string]golden.Tensor
	report  golden.Report
}

func eachGolden(t *testing.T, kind string, check func(t *testing.T, f goldenFile)) {
	files, err := golden.Kernels(goldenRoot, kind)
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s cases under %s: %v", kind, goldenRoot, err)
	}
	report, err := golden.ReadReport(goldenRoot)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".safetensors")
		t.Run(name, func(t *testing.T) {
			tensors, err := golden.Read(path)
			if err != nil {
				t.Fatal(err)
			}
			check(t, goldenFile{"kernels/" + name, tensors, report})
		})
	}
}

// tolerance returns ten times PyTorch's own float32 error.
func (f goldenFile) tolerance(pick func(r golden.Report, name string) float64) float64 {
	return f.report.Float32Tolerance(f.name, func(n string) float64 {
		if !strings.HasPrefix(n, f.name[:len("kernels/mlstm")]) {
			return 0
		}
		return pick(f.report, n)
	})
}

// compare reports a tensor that is further away than tol, which is widened by a
// rounding where the file holds float32.
func (f goldenFile) compare(t *testing.T, what, name string, got []float64, tol float64) {
	t.Helper()
	want, ok := f.tensors[name]
	if !ok {
		t.Errorf("the file has no %s", name)
		return
	}
	if want.Rounded {
		tol = math.Max(tol, 1.2e-7)
	}
	floor := 0.0
	if name == "df" && golden.Apart(want.Data, make([]float64, len(want.Data)), 1) == 0 {
		// With one step there is nothing to forget. The forms that begin with a
		// stabiliser of 0 leave its eps here: small against the input gate's.
		for _, v := range f.tensors["di"].Data {
			floor = math.Max(floor, math.Abs(v))
		}
	}
	if d := golden.Apart(got, want.Data, floor); d > tol {
		t.Errorf("%s: %s is %.3g away, want at most %.3g", what, name, d, tol)
	}
}

// rows brings [B,H,T,W] into our [B·T, H·W], or, with back set, back.
func rows(x []float64, b, h, t, w int, back bool) []float64 {
	out := make([]float64, len(x))
	for i := range x {
		j, c := i/w, i%w
		bi, hi, ti := j/(h*t), j/t%h, j%t
		ours := ((bi*t+ti)*h+hi)*w + c
		if back {
			out[i] = x[ours]
		} else {
			out[ours] = x[i]
		}
	}
	return out
}

func (f goldenFile) node(g *gorgonia.ExprGraph, dt tensor.Dtype, name string, v []float64, shape ...int) *gorgonia.Node {
	return gorgonia.NewTensor(g, dt, len(shape), gorgonia.WithName(name), gorgonia.WithShape(shape...), gorgonia.WithValue(dense(dt, shape, v)))
}

// differentiate runs the graph of Σ y⊙dy and returns the gradients.
func differentiate(t *testing.T, y, dy *gorgonia.Node, wrt ...*gorgonia.Node) []gorgonia.Value {
	t.Helper()
	loss := gorgonia.Must(gorgonia.Sum(gorgonia.Must(gorgonia.HadamardProd(y, dy))))
	grads, err := gorgonia.Grad(loss, wrt...)
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(y.Graph()); err != nil {
		t.Fatal(err)
	}
	m := gorgonia.NewTapeMachine(y.Graph())
	defer m.Close()
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
	var out []gorgonia.Value
	for _, g := range grads {
		out = append(out, g.Value())
	}
	return out
}

// TestGoldenKernelFilesAreAllCompared: a file of another name would be passed
// over.
func TestGoldenKernelFilesAreAllCompared(t *testing.T) {
	files, err := golden.Kernels(goldenRoot, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		name := filepath.Base(path)
		if !strings.HasPrefix(name, "mlstm") && !strings.HasPrefix(name, "slstm") && !strings.HasPrefix(name, "lstm") && !strings.HasPrefix(name, "components") {
			t.Errorf("no test compares %s", name)
		}
	}
}

func TestGoldenMLSTM(t *testing.T) {
	eachGolden(t, "mlstm", func(t *testing.T, f goldenFile) {
		header, err := golden.Header(filepath.Join(goldenRoot, f.name+".safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		chunk, _ := strconv.Atoi(header["chunk"])
		for _, dt := range []tensor.Dtype{tensor.Float64, tensor.Float32} {
			f.checkMLSTM(t, dt.String()+" recurrent", dt, MLSTMConfig{Form: Recurrent}, false)
			f.checkMLSTM(t, dt.String()+" chunkwise", dt, MLSTMConfig{Chunk: chunk}, chunk > 0)
			f.checkMLSTM(t, dt.String()+" chunks of 5", dt, MLSTMConfig{Chunk: 5}, chunk > 0)
			if f.tensors["c0"].Data == nil {
				f.checkMLSTM(t, dt.String()+" parallel", dt, MLSTMConfig{Form: Parallel}, true)
			}
		}
	})
}

// checkMLSTM compares one form; own says that it is the form of the reference.
func (f goldenFile) checkMLSTM(t *testing.T, what string, dt tensor.Dtype, cfg MLSTMConfig, own bool) {
	b, h, steps, dqk := f.tensors["q"].Shape[0], f.tensors["q"].Shape[1], f.tensors["q"].Shape[2], f.tensors["q"].Shape[3]
	dhv := f.tensors["v"].Shape[3]
	cfg.Batch, cfg.NumHeads, cfg.ScaleQueries = b, h, true
	g := gorgonia.NewGraph()
	in := func(name string, w int) *gorgonia.Node {
		return f.node(g, dt, name, rows(f.tensors[name].Data, b, h, steps, w, false), b*steps, h*w)
	}
	q, k, v, i, fg, dh := in("q", dqk), in("k", dqk), in("v", dhv), in("i", 1), in("f", 1), in("dh", dhv)
	wrt, names := gorgonia.Nodes{q, k, v, i, fg}, []string{"q", "k", "v", "i", "f"}
	var state *MLSTMState
	if c0 := f.tensors["c0"].Data; c0 != nil {
		state = &MLSTMState{
			C: f.node(g, dt, "c0", c0, b, h, dqk, dhv), N: f.node(g, dt, "n0", f.tensors["n0"].Data, b, h, dqk),
			M: f.node(g, dt, "m0", f.tensors["m0"].Data, b, h),
		}
		wrt, names = append(wrt, state.C, state.N), append(names, "c0", "n0")
	}
	out, next, err := MLSTM(cfg, q, k, v, i, fg, state)
	if err != nil {
		t.Fatal(err)
	}
	var hv gorgonia.Value
	gorgonia.Read(out, &hv)
	grads := differentiate(t, out, dh, wrt...)
	tol := func(name string) float64 {
		tol := 1e-9
		if dt == tensor.Float32 {
			tol = f.tolerance(func(r golden.Report, n string) float64 {
				if name == "h" {
					return r[n].HRel
				}
				return r[n].Grads[name]
			})
		}
		if !own {
			tol += 2e-6 // what eps makes of another form
		}
		return tol
	}
	f.compare(t, what, "h", rows(elementsOf(hv), b, h, steps, dhv, true), tol("h"))
	for j, name := range names {
		got := elementsOf(grads[j])
		if w := map[string]int{"q": dqk, "k": dqk, "v": dhv, "i": 1, "f": 1}[name]; w > 0 {
			got = rows(got, b, h, steps, w, true)
		}
		f.compare(t, what, "d"+name, got, tol(name))
	}
	if cfg.Form == Parallel {
		return // it begins without a stabiliser, so its state is scaled otherwise
	}
	stateTol := tol("h")
	if dt == tensor.Float64 {
		stateTol = 1e-9
	}
	f.compare(t, what, "c_last", elementsOf(next.C.Value()), stateTol)
	f.compare(t, what, "n_last", elementsOf(next.N.Value()), stateTol)
	f.compare(t, what, "m_last", elementsOf(next.M.Value()), stateTol)
}

func TestGoldenSLSTM(t *testing.T) {
	eachGolden(t, "slstm", func(t *testing.T, f goldenFile) {
		for _, dt := range []tensor.Dtype{tensor.Float64, tensor.Float32} {
			f.checkSLSTM(t, dt)
		}
	})
}

// gateRows returns gate k of x [T,B,4·D] as our [B·T,D].
func gateRows(x []float64, steps, b, d, k int) []float64 {
	out := make([]float64, b*steps*d)
	for s := range steps {
		for r := range b {
			copy(out[(r*steps+s)*d:][:d], x[((s*b+r)*4+k)*d:][:d])
		}
	}
	return out
}

func (f goldenFile) checkSLSTM(t *testing.T, dt tensor.Dtype) {
	steps, b, d := f.tensors["dy"].Shape[0], f.tensors["dy"].Shape[1], f.tensors["dy"].Shape[2]
	r := f.tensors["R"].Shape
	g := gorgonia.NewGraph()
	var x [4]*gorgonia.Node
	for k, name := range []string{"i", "f", "z", "o"} {
		x[k] = f.node(g, dt, name, gateRows(f.tensors["x"].Data, steps, b, d, k), b*steps, d)
	}
	kernel := f.node(g, dt, "R", f.tensors["R"].Data, r...)
	bias := f.node(g, dt, "b", f.tensors["b"].Data, 4*d)
	s0 := f.node(g, dt, "s0", f.tensors["s0"].Data, 4, b, d)
	// The reference is [T,B,D].
	dy := make([]float64, b*steps*d)
	for s := range steps {
		for i := range b {
			copy(dy[(i*steps+s)*d:][:d], f.tensors["dy"].Data[(s*b+i)*d:][:d])
		}
	}
	y, state, err := SLSTM(SLSTMConfig{Batch: b, NumHeads: r[0]}, x[0], x[1], x[2], x[3], kernel, bias, s0)
	if err != nil {
		t.Fatal(err)
	}
	var yv gorgonia.Value
	gorgonia.Read(y, &yv)
	grads := differentiate(t, y, f.node(g, dt, "dy", dy, b*steps, d), x[0], x[1], x[2], x[3], kernel, bias, s0)
	tol := func(name string) float64 {
		switch {
		case dt == tensor.Float64:
			return 1e-9
		case name == "y":
			return f.tolerance(func(r golden.Report, n string) float64 { return r[n].YRel })
		}
		return f.tolerance(func(r golden.Report, n string) float64 { return r[n].Grads[name] })
	}
	f.compareStates(t, dt.String(), elementsOf(yv), elementsOf(state.Value()), steps, b, d, tol("y"))
	var dx []float64
	for s := range steps {
		for i := range b {
			for k := range 4 {
				dx = append(dx, elementsOf(grads[k])[(i*steps+s)*d:][:d]...)
			}
		}
	}
	f.compare(t, dt.String(), "dx", dx, tol("x"))
	f.compare(t, dt.String(), "dR", elementsOf(grads[4]), tol("R"))
	f.compare(t, dt.String(), "db", elementsOf(grads[5]), tol("b"))
	f.compare(t, dt.String(), "ds0", elementsOf(grads[6]), tol("s0"))
}

// compareStates compares all outputs and the final state with the reference's
// states [4,T+1,B,D].
func (f goldenFile) compareStates(t *testing.T, what string, y, state []float64, steps, b, d int, tol float64) {
	states := f.tensors["states"].Data
	at := func(k, s int) []float64 { return states[((k*(steps+1)+s)*b)*d:][:b*d] }
	want := make([]float64, len(y))
	for s := range steps {
		for i := range b {
			copy(want[(i*steps+s)*d:][:d], at(0, s+1)[i*d:])
		}
	}
	if dist := golden.Apart(y, want, 0); dist > tol {
		t.Errorf("%s: y is %.3g away, want at most %.3g", what, dist, tol)
	}
	for k, name := range []string{"y", "c", "n", "m"} {
		if k == 1 || k == 2 {
			// c and n are stored relative to m, whose rounding they carry: what
			// counts is their product with exp(m).
			for j := range b * d {
				state[k*b*d+j] *= math.Exp(state[3*b*d+j] - at(3, steps)[j])
			}
		}
		if dist := golden.Apart(state[k*b*d:][:b*d], at(k, steps), 0); dist > tol {
			t.Errorf("%s: final %s is %.3g away, want at most %.3g", what, name, dist, tol)
		}
	}
}

func TestGoldenComponents(t *testing.T) {
	eachGolden(t, "components", func(t *testing.T, f goldenFile) {
		found := map[string]bool{}
		for name := range f.tensors {
			component, _, _ := strings.Cut(name, ".")
			found[component] = true
		}
		for component := range found {
			t.Run(component, func(t *testing.T) {
				f.checkComponent(t, component, tensor.Float64, 1e-9)
				f.checkComponent(t, component, tensor.Float32, 2e-6)
			})
		}
	})
}

// build builds a component of the file from x, weight and bias.
func (f goldenFile) build(component string, x, w, b *gorgonia.Node, shape []int) (*gorgonia.Node, error) {
	switch component {
	case "v1_layernorm":
		return Norm(NormConfig{Eps: 1e-5, Residual: true}, x, w)
	case "v1_multihead_layernorm":
		return Norm(NormConfig{Groups: shape[1], Eps: 1e-5, Residual: true}, x, w)
	case "large_multihead_layernorm":
		return Norm(NormConfig{Groups: shape[2], Eps: 1e-6}, x, w)
	case "large_rmsnorm":
		return Norm(NormConfig{Eps: 1e-6, RMS: true}, x, w)
	case "v1_causal_conv1d":
		y, _, err := CausalConv(shape[0], x, w, b, nil)
		return y, err
	case "v1_linear_headwise":
		return HeadwiseLinear(x, w, b)
	case "large_soft_cap15":
		return SoftCap(x, 15)
	case "gelu_exact":
		return Activate("gelu", x)
	case "silu":
		return SiLU(x)
	case "logsigmoid":
		return LogSigmoid(x)
	}
	return nil, nil
}

func (f goldenFile) checkComponent(t *testing.T, component string, dt tensor.Dtype, tol float64) {
	part := func(name string) golden.Tensor { return f.tensors[component+"."+name] }
	shape := part("x").Shape
	width := shape[len(shape)-1]
	if component == "large_multihead_layernorm" {
		width = shape[2] * shape[3]
	}
	// The paper's per-head norm takes [B,NH,S,DH], our rows are (B·S, NH·DH).
	arrange := func(x []float64, back bool) []float64 {
		if component == "v1_multihead_layernorm" {
			return rows(x, shape[0], shape[1], shape[2], shape[3], back)
		}
		return x
	}
	if component == "v1_multihead_layernorm" {
		width = shape[1] * shape[3]
	}
	n := len(part("x").Data) / width
	g := gorgonia.NewGraph()
	x := f.node(g, dt, "x", arrange(part("x").Data, false), n, width)
	wrt, names := gorgonia.Nodes{x}, []string{"dx"}
	var params [2]*gorgonia.Node
	for k, name := range []string{"weight", "bias"} {
		if p := part(name); p.Data != nil {
			params[k] = f.node(g, dt, name, p.Data, p.Shape...)
			wrt, names = append(wrt, params[k]), append(names, "d"+name)
		}
	}
	y, err := f.build(component, x, params[0], params[1], shape)
	if err != nil {
		t.Fatal(err)
	}
	if y == nil {
		t.Fatalf("the file has a component %s that is not known here", component)
	}
	var yv gorgonia.Value
	gorgonia.Read(y, &yv)
	grads := differentiate(t, y, f.node(g, dt, "dy", arrange(part("dy").Data, false), n, width), wrt...)
	f.compare(t, dt.String(), component+".y", arrange(elementsOf(yv), true), tol)
	for k, name := range names {
		got := elementsOf(grads[k])
		if name == "dx" {
			got = arrange(got, true)
		}
		f.compare(t, dt.String(), component+"."+name, got, tol)
	}
}
