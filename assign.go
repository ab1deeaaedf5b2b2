package xlstm

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/gorgonia-xlstm/xlstm/layers"
	"github.com/pkg/errors"
	"gorgonia.org/tensor"
)

// pair is a parameter and the tensor on disk that holds it.
type pair struct {
	param string
	from  storedTensor
	// heads is the number of heads by which the tensor has to be reordered, since
	// it lies in CUDA's layout; 0 for all others.
	heads int
}

// assignment is how a model's parameters are stored.
type assignment struct {
	pairs []pair        // in the order in which they lie on disk
	head  *storedTensor // that is stored although it is tied to the embedding
}

// assign finds each parameter of a model of this configuration among the tensors.
// It looks at names and shapes alone, and lists all that does not fit.
func assign(c Config, tensors []storedTensor, layout Layout) (a assignment, problems []string, err error) {
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
	rest := make(map[string]storedTensor)
	for _, t := range tensors {
		rest[t.name] = t
	}
	take := func(name string) (storedTensor, bool) {
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
		p := pair{param: want.Name, from: t}
		if problem := p.fit(c, want, layout, cuda); problem != "" {
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
		if _, ok := rest[t.name]; ok {
			problems = append(problems, fmt.Sprintf("%.200q is no parameter of the model", t.name))
		}
	}
	a.sort(tensors)
	return a, problems, nil
}

// fit says in what a tensor's shape is not the one that is wanted, and notes its
// layout. The kernel of a cell comes before its bias, whose shape says nothing.
func (p *pair) fit(c Config, want layers.TensorShape, layout Layout, cuda map[string]bool) (problem string) {
	shape := p.from.shape
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

// sort brings the pairs into the order in which their tensors lie.
func (a *assignment) sort(tensors []storedTensor) {
	place := make(map[string]int)
	for i, t := range tensors {
		place[t.name] = i
	}
	slices.SortFunc(a.pairs, func(x, y pair) int { return place[x.from.name] - place[y.from.name] })
}

// scan reads all numbers, keeps none, and lists what a model in type dt could not
// hold, and a head that differs from the embedding that it is tied to.
func (a assignment) scan(dt tensor.Dtype) (problems []string, err error) {
	for _, p := range a.pairs {
		ok := true
		if err := p.from.each(func(x []float64) { ok = ok && allWithin(x, encodings[encodingOf(dt)].largest) }); err != nil {
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
	same, err := a.head.equals(a.pairs[i].from)
	if err == nil && !same {
		problems = []string{fmt.Sprintf("%s differs from %s though %s is true", headName, plan.embeddingName(), plan.tieField)}
	}
	return problems, err
}

// fill sets a model's parameters and lists those whose numbers it cannot hold.
// Every tensor is read into its place; only kernels that have to be reordered are
// for a moment in memory twice.
func (a assignment) fill(m *Model) (problems []string, err error) {
	for _, p := range a.pairs {
		to, _ := m.Param(p.param)
		if m.Dtype() == tensor.Float64 {
			err = fillNumbers(to.Float64s(), p)
		} else {
			err = fillNumbers(to.Float32s(), p)
		}
		if err != nil {
			return nil, errors.Wrapf(err, "tensor %.200q", p.from.name)
		}
		if !fitsIn(to, encodingOf(m.Dtype())) {
			problems = append(problems, notFinite(p.param, m.Dtype()))
		}
	}
	return problems, nil
}

func fillNumbers[T float32 | float64](dst []T, p pair) error {
	if err := readNumbers(dst, p.from.reader(), p.from.encoding); err != nil {
		return err
	}
	if p.heads > 0 {
		copy(dst, toVanilla(p.param, p.heads, dst))
	}
	return nil
}

// scanned is how many numbers are looked at at once.
const scanned = 1 << 14

// each calls f for all numbers of the tensor, some at a time.
func (t storedTensor) each(f func(x []float64)) error {
	r, n := t.reader(), tensor.Shape(t.shape).TotalSize()
	buf := make([]float64, min(n, scanned))
	for ; n > 0; n -= len(buf) {
		buf = buf[:min(n, len(buf))]
		if err := readNumbers(buf, r, t.encoding); err != nil {
			return errors.Wrapf(err, "tensor %.200q", t.name)
		}
		f(buf)
	}
	return nil
}

// equals says whether two tensors have the same shape and numbers.
func (t storedTensor) equals(other storedTensor) (bool, error) {
	if !slices.Equal(t.shape, other.shape) {
		return false, nil
	}
	r, same := other.reader(), true
	var failed error
	buf := make([]float64, scanned)
	err := t.each(func(x []float64) {
		if err := readNumbers(buf[:len(x)], r, other.encoding); err != nil {
			failed = errors.Wrapf(err, "tensor %.200q", other.name)
			return
		}
		same = same && slices.Equal(x, buf[:len(x)])
	})
	if err == nil {
		err = failed
	}
	return same, err
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

// fitsIn says whether all numbers of t are finite in an encoding.
func fitsIn(t *tensor.Dense, as Encoding) bool {
	if t.Dtype() == tensor.Float64 {
		return allWithin(t.Float64s(), encodings[as].largest)
	}
	return allWithin(t.Float32s(), encodings[as].largest)
}

func allWithin[T float32 | float64](x []T, largest float64) bool {
	for _, v := range x {
		if !(math.Abs(float64(v)) <= largest) { // so that NaN is not
			return false
		}
	}
	return true
}
