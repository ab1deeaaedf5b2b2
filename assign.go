package xlstm

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gorgonia-xlstm/xlstm/layers"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/gorgonia-xlstm/xlstm/safetensors"
	"github.com/pkg/errors"
	"gorgonia.org/tensor"
)

// pair is a parameter and the tensor on disk that holds it.
type pair struct {
	param string
	from  safetensors.Entry
	want  layers.TensorShape
	// stored is the format of a weight that is packed in the file, with its
	// scales.
	stored nodes.Format
	scales safetensors.Entry
	// heads is the number of heads by which the tensor has to be reordered, since
	// it lies in CUDA's layout; 0 for all others.
	heads int
}

// assignment is how a model's parameters are stored.
type assignment struct {
	pairs []pair             // in file order
	head  *safetensors.Entry // that is stored although it is tied to the embedding
}

// assign finds each parameter of a model of this configuration among the tensors.
// It looks at names and shapes alone, and lists all that does not fit.
func assign(c Config, tensors []safetensors.Entry, layout Layout) (a assignment, problems []string, err error) {
	if c.NumBlocks > len(tensors) {
		return a, nil, errors.Errorf("it has %d tensors, too few for the %d blocks of the model's configuration", len(tensors), c.NumBlocks)
	}
	if err := c.Validate(); err != nil {
		return a, nil, err
	}
	wanted, err := c.tensors()
	if err != nil {
		return a, nil, err
	}
	rest := make(map[string]safetensors.Entry)
	for _, t := range tensors {
		rest[t.Name] = t
	}
	take := func(name string) (safetensors.Entry, bool) {
		t, ok := rest[name]
		delete(rest, name)
		return t, ok
	}
	cuda := make(map[string]bool) // by cell
	plan := c.blueprint()
	for _, want := range wanted {
		t, ok := take(want.Name)
		if want.Name == plan.embeddingName() {
			for _, name := range plan.otherEmbeddings {
				if !ok {
					t, ok = take(name)
				}
			}
		}
		if !ok {
			problems = append(problems, want.Name+" is missing")
			continue
		}
		p := pair{param: want.Name, from: t, want: want}
		problem := p.fit(c, want, layout, cuda)
		if problem == "" && p.stored != nodes.Float {
			p.scales, ok = take(t.Name + layers.ScaleSuffix)
			problem = p.fitScales(ok)
		}
		if problem != "" {
			problems = append(problems, problem)
			continue
		}
		a.pairs = append(a.pairs, p)
	}
	if head, ok := take(headName); ok {
		if c.TieWeights {
			a.head = &head
		} else {
			rest[headName] = head
		}
	}
	for _, t := range tensors {
		if _, ok := rest[t.Name]; ok {
			problems = append(problems, fmt.Sprintf("%.200q is no parameter of the model", t.Name))
		}
	}
	a.sort(tensors)
	return a, problems, nil
}

// fit says in what a tensor's shape is not the one that is wanted, and notes its
// layout. The kernel of a cell comes before its bias, whose shape says nothing.
func (p *pair) fit(c Config, want layers.TensorShape, layout Layout, cuda map[string]bool) (problem string) {
	shape := p.from.Shape
	if e := p.from.Encoding; !e.Known() {
		if !want.Packable {
			return fmt.Sprintf("%s is of dtype %s, which is for packed weights", want.Name, e)
		}
		p.stored = map[safetensors.Encoding]nodes.Format{safetensors.I8: nodes.Int8, safetensors.U8: nodes.Int4}[e]
		want.Shape = []int{want.Shape[0], p.stored.RowBytes(want.Shape[1])}
	}
	differs := fmt.Sprintf("%s has shape %v and not %v", want.Name, tensor.Shape(shape), tensor.Shape(want.Shape))
	cell, ordered := cellName(want.Name)
	if !ordered {
		if !slices.Equal(shape, want.Shape) {
			return differs
		}
		return ""
	}
	if strings.HasSuffix(want.Name, kernelSuffix) {
		is := layoutOf(shape, want.Shape)
		switch {
		case is == AnyLayout:
			return differs
		case layout != AnyLayout && is != layout:
			return fmt.Sprintf("%s has shape %v, which is the %v layout and not the %v one", want.Name, tensor.Shape(shape), is, layout)
		}
		cuda[cell] = is == CUDA
	} else if !slices.Equal(shape, want.Shape) {
		return differs
	}
	if cuda[cell] {
		p.heads = c.SLSTMBlock.SLSTM.NumHeads
	}
	return ""
}

// fitScales says in what the scales of a packed weight are not as they must be.
func (p *pair) fitScales(found bool) (problem string) {
	name, shape := p.from.Name+layers.ScaleSuffix, []int{p.want.Shape[0], p.want.Shape[1] / nodes.Group}
	switch {
	case !found:
		return name + " is missing"
	case p.scales.Encoding != safetensors.BF16 || !slices.Equal(p.scales.Shape, shape):
		return fmt.Sprintf("%s is %s of shape %v and not BF16 of %v", name, p.scales.Encoding, tensor.Shape(p.scales.Shape), tensor.Shape(shape))
	}
	return ""
}

// sort brings the pairs into the order in which their tensors lie.
func (a *assignment) sort(tensors []safetensors.Entry) {
	place := make(map[string]int)
	for i, t := range tensors {
		place[t.Name] = i
	}
	slices.SortFunc(a.pairs, func(x, y pair) int { return place[x.from.Name] - place[y.from.Name] })
}

// scan reads all numbers, keeps none, and lists what a model in type dt could not
// hold, and a head that differs from the embedding that it is tied to.
func (a assignment) scan(dt tensor.Dtype) (problems []string, err error) {
	for _, p := range a.pairs {
		if p.stored != nodes.Float {
			continue
		}
		ok, err := p.from.FiniteIn(safetensors.EncodingOf(dt))
		if err != nil {
			return nil, err
		}
		if !ok {
			problems = append(problems, notFinite(p.param, dt))
		}
	}
	return problems, nil
}

func notFinite(name string, dt tensor.Dtype) string {
	return fmt.Sprintf("%s holds numbers that are not finite in %v", name, dt)
}

// checkHead compares a tied head with the embedding, if both are there.
func (a assignment) checkHead(c Config) (problems []string, err error) {
	plan := c.blueprint()
	i := slices.IndexFunc(a.pairs, func(p pair) bool { return p.param == plan.embeddingName() })
	if a.head == nil || i < 0 {
		return nil, nil
	}
	same, err := a.head.Equals(a.pairs[i].from)
	if err == nil && !same {
		problems = []string{fmt.Sprintf("%s differs from %s though %s is true", headName, plan.embeddingName(), plan.tieField)}
	}
	return problems, err
}

// fill sets a model's parameters, without packed ones, and lists those whose numbers
// it cannot hold.
// Every tensor is read into its place; only kernels that have to be reordered are
// for a moment in memory twice.
func (a assignment) fill(m *Model) (problems []string, err error) {
	for _, p := range a.pairs {
		to, ok := m.Param(p.param)
		if !ok { // it is packed
			continue
		}
		if err := p.from.ReadInto(to); err != nil {
			return nil, err
		}
		p.reorder(to)
		if !safetensors.EncodingOf(m.Dtype()).Holds(to) {
			problems = append(problems, notFinite(p.param, m.Dtype()))
		}
	}
	return problems, nil
}

// reorder brings a kernel or a bias that lies in CUDA's layout into ours.
func (p pair) reorder(to *tensor.Dense) {
	switch {
	case p.heads == 0:
	case to.Dtype() == tensor.Float64:
		copy(to.Float64s(), toVanilla(p.param, p.heads, to.Float64s()))
	default:
		copy(to.Float32s(), toVanilla(p.param, p.heads, to.Float32s()))
	}
}

// listed makes one error of all problems, nil if there are none.
func listed(what string, problems []string) error {
	const most = 10
	if len(problems) == 0 {
		return nil
	}
	if more := len(problems) - most; more > 0 {
		problems = append(problems[:most:most], fmt.Sprintf("and %d more", more))
	}
	return errors.Errorf("%s: %s", what, strings.Join(problems, "; "))
}
