package xlstm

import (
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/gorgonia-xlstm/xlstm/dist"
	"github.com/gorgonia-xlstm/xlstm/internal/floats"
	"github.com/gorgonia-xlstm/xlstm/optim"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// shard is a trainer's part in an optimiser whose state is divided over the ranks
// of a group (ZeRO, stage 1): each keeps the moments of its stretches of the
// parameters, updates these, and gets the others from their ranks.
type shard struct {
	group   dist.Group
	params  gorgonia.Nodes
	buckets [][][]stretch // by bucket and rank
}

// stretch is the elements from … to, without to, of a parameter with this number.
type stretch struct{ param, from, to int }

func (s stretch) size() int { return s.to - s.from }

// shardUnit divides the first element's index of every stretch, so that stretches
// begin where rows of memory do.
const shardUnit = 64

// bucketsOf divides parameters of the given sizes into buckets of at least so many
// elements, roughly in the order in which a backward pass computes their gradients:
// the last ones first.
func bucketsOf(sizes []int, least int) (buckets [][]int) {
	var b []int
	size := 0
	for i := len(sizes) - 1; i >= 0; i-- {
		b, size = append(b, i), size+sizes[i]
		if size >= least || i == 0 {
			buckets, b, size = append(buckets, b), nil, 0
		}
	}
	return buckets
}

// sharesOf divides the parameters of a bucket among n ranks, in shares of about the
// same size. A share has at most one stretch of each parameter.
func sharesOf(bucket, sizes []int, n int) [][]stretch {
	total := 0
	for _, p := range bucket {
		total += sizes[p]
	}
	shares, before := make([][]stretch, n), 0
	for _, p := range bucket {
		from := 0
		for r := range n {
			to := total*(r+1)/n - before
			if to < sizes[p] {
				to = max(0, to) / shardUnit * shardUnit
			}
			if to = min(to, sizes[p]); to > from {
				shares[r] = append(shares[r], stretch{p, from, to})
				from = to
			}
		}
		before += sizes[p]
	}
	return shares
}

// sizesOf returns the numbers of elements of parameters.
func sizesOf(params gorgonia.Nodes) (sizes []int) {
	for _, n := range params {
		sizes = append(sizes, n.Shape().TotalSize())
	}
	return sizes
}

func newShard(g dist.Group, params gorgonia.Nodes, bucket int) (*shard, error) {
	s := &shard{group: g, params: params}
	sizes := sizesOf(params)
	for _, b := range bucketsOf(sizes, bucket) {
		s.buckets = append(s.buckets, sharesOf(b, sizes, g.Size()))
	}
	for rank := range g.Size() {
		if len(s.of(rank)) == 0 {
			return nil, errors.Errorf("xlstm: the optimiser's state for so few parameters cannot be shared by %d ranks", g.Size())
		}
	}
	return s, nil
}

// of returns the stretches of a rank.
func (s *shard) of(rank int) (all []stretch) {
	for _, ranks := range s.buckets {
		all = append(all, ranks[rank]...)
	}
	return all
}

// mine returns the stretches of this rank.
func (s *shard) mine() []stretch { return s.of(s.group.Rank()) }

// piece is a stretch of a parameter that a solver updates.
type piece struct {
	name        string
	value, grad *tensor.Dense
}

func (p piece) Name() string                      { return p.name }
func (p piece) Value() gorgonia.Value             { return p.value }
func (p piece) Grad() (gorgonia.Value, error)     { return p.grad, nil }
func (s stretch) of(t *tensor.Dense) floats.Slice { return floats.Of(t.Data()).Cut(s.from, s.to) }

// cut returns a stretch of a tensor, in the tensor's memory.
func (s stretch) cut(t *tensor.Dense) *tensor.Dense {
	return tensor.New(tensor.WithShape(s.size()), tensor.WithBacking(s.of(t).Data()))
}

// value returns the memory of a stretch of the parameters.
func (s *shard) value(st stretch) any {
	return st.of(s.params[st.param].Value().(*tensor.Dense)).Data()
}

// partSolver is a Solver that can update a part of the parameters.
type partSolver interface {
	StepPart(part, all []gorgonia.ValueGrad) error
}

// step lets the solver update this rank's stretches and shares the results. means are
// the gradients of all parameters.
func (s *shard) step(solver Solver, means []*meanGrad, all []gorgonia.ValueGrad) error {
	p, ok := solver.(partSolver)
	if !ok {
		return errors.Errorf("xlstm: a %T cannot update a part of the parameters; use a solver of package optim, or do not shard it", solver)
	}
	var part []gorgonia.ValueGrad
	for _, st := range s.mine() {
		n := s.params[st.param]
		part = append(part, piece{n.Name(), st.cut(n.Value().(*tensor.Dense)), st.cut(means[st.param].mean)})
	}
	if err := p.StepPart(part, all); err != nil {
		return err
	}
	for _, ranks := range s.buckets {
		for rank, stretches := range ranks {
			if err := s.share(rank, stretches); err != nil {
				return err
			}
		}
	}
	return nil
}

// share copies stretches of the parameters of a rank to the others.
func (s *shard) share(rank int, stretches []stretch) error {
	var raw []byte
	for _, st := range stretches {
		x := s.value(st)
		if rank != s.group.Rank() {
			raw = append(raw, make([]byte, binary.Size(x))...)
			continue
		}
		var err error
		if raw, err = binary.Append(raw, binary.LittleEndian, x); err != nil {
			return err
		}
	}
	if err := s.group.Broadcast(raw, rank); err != nil || rank == s.group.Rank() {
		return err
	}
	for _, st := range stretches {
		n, err := binary.Decode(raw, binary.LittleEndian, s.value(st))
		if err != nil {
			return err
		}
		raw = raw[n:]
	}
	return nil
}

// whole returns the solver's state with the moments of whole parameters on rank 0,
// to which the others send theirs. Their own result has no moments.
func (s *shard) whole(own optim.State) (optim.State, error) {
	all := optim.State{Step: own.Step, Tensors: make(map[string]*tensor.Dense)}
	for rank := range s.group.Size() {
		names, err := json.Marshal(slices.Sorted(maps.Keys(own.Tensors)))
		if err != nil {
			return all, err
		}
		if names, err = dist.Share(s.group, names, rank); err != nil {
			return all, err
		}
		var keys []string
		if err := json.Unmarshal(names, &keys); err != nil {
			return all, err
		}
		for _, key := range keys {
			if err := s.collect(all, own, key, rank); err != nil {
				return all, errors.Wrapf(err, "xlstm: collecting %s of rank %d", key, rank)
			}
		}
	}
	return all, nil
}

// collect takes a rank's moments of one kind and parameter into the state of all.
func (s *shard) collect(all, own optim.State, key string, rank int) error {
	st, ok := s.find(key, rank)
	if !ok {
		return errors.New("it belongs to another rank")
	}
	n := s.params[st.param]
	part := own.Tensors[key]
	if rank != s.group.Rank() {
		part = tensor.New(tensor.Of(n.Dtype()), tensor.WithShape(st.size()))
	}
	if err := shareTensor(s.group, part, rank); err != nil || s.group.Rank() > 0 {
		return err
	}
	if all.Tensors[key] == nil {
		all.Tensors[key] = tensor.New(tensor.Of(n.Dtype()), tensor.WithShape(n.Shape()...))
	}
	st.of(all.Tensors[key]).Copy(floats.Of(part.Data()))
	return nil
}

// part returns what this rank keeps of a state with the moments of whole parameters.
func (s *shard) part(all optim.State) optim.State {
	own := optim.State{Step: all.Step, Tensors: make(map[string]*tensor.Dense)}
	for key, whole := range all.Tensors {
		if s.index(key) < 0 {
			own.Tensors[key] = whole // the solver says what is wrong with it
		} else if st, mine := s.find(key, s.group.Rank()); mine {
			own.Tensors[key] = st.cut(whole)
		}
	}
	return own
}

// index returns the number of the parameter that a tensor of a solver's state belongs
// to, −1 if there is none.
func (s *shard) index(key string) int {
	_, name, _ := strings.Cut(key, ".")
	return slices.IndexFunc(s.params, func(n *gorgonia.Node) bool { return n.Name() == name })
}

// find returns the rank's stretch of the parameter that a tensor of a solver's state
// belongs to.
func (s *shard) find(key string, rank int) (stretch, bool) {
	param := s.index(key)
	for _, st := range s.of(rank) {
		if st.param == param {
			return st, true
		}
	}
	return stretch{}, false
}

// first returns the first of the parameters that the ranks name, in the order of the
// parameters, on all ranks; empty if none names one.
func (s *shard) first(name string) (string, error) {
	best, found := len(s.params), ""
	for rank := range s.group.Size() {
		theirs, err := dist.Share(s.group, []byte(name), rank)
		if err != nil {
			return "", err
		}
		k := slices.IndexFunc(s.params, func(n *gorgonia.Node) bool { return n.Name() == string(theirs) })
		if k >= 0 && k < best {
			best, found = k, string(theirs)
		}
	}
	return found, nil
}
