package xlstm

import (
	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// remote is a program on a device.
type remote struct {
	*nodes.Remote
	device Device
	inputs remoteInputs
	values map[*gorgonia.Node]*tensor.Dense // what was fetched, by node
	ran    bool
	row    []float32 // a row that is fetched
	ranked ranked
}

// remoteInputs are the integers that a run reads: pieces of one buffer, because a
// copy to a device takes long however short it is.
type remoteInputs struct {
	from []*tensor.Dense
	at   []int // where each begins
	all  []int
	to   nodes.Buffer // nil if there are none
}

// newRemoteInputs allocates the buffer for tensors, and returns the piece of each.
func newRemoteInputs(d Device, from []*tensor.Dense) (in remoteInputs, pieces []nodes.Buffer, err error) {
	in.from = from
	line, n := max(1, d.Alignment()/ops.Int.Size()), 0
	for _, t := range from {
		in.at = append(in.at, n)
		n += (t.Size() + line - 1) / line * line
	}
	if n == 0 {
		return in, nil, nil
	}
	in.all = make([]int, n)
	if in.to, err = d.Alloc(ops.Int, n); err != nil {
		return in, nil, err
	}
	for k, t := range from {
		pieces = append(pieces, in.to.Slice(in.at[k], t.Size()))
	}
	return in, pieces, nil
}

// upload copies what the next run reads.
func (in *remoteInputs) upload(d Device) error {
	if in.to == nil {
		return nil
	}
	for k, t := range in.from {
		copy(in.all[in.at[k]:], t.Data().([]int))
	}
	return errors.Wrap(d.Upload(in.to, in.all), "xlstm: copying the input of a run")
}

// newRemote prepares the program's graph for the device of its model.
func (p *Program) newRemote() (err error) {
	r := &remote{device: p.model.home.device, values: make(map[*gorgonia.Node]*tensor.Dense)}
	defer func() {
		if err != nil {
			r.freeInputs() // the error is that of the program
		}
	}()
	memory := make(map[*gorgonia.Node]nodes.Buffer)
	copies := nodes.Copies{Make: p.model.home.copiesOf}
	for _, n := range p.graph.AllNodes() {
		if b := p.model.home.constants[n.Name()]; b != nil && n.IsVar() && n.Dtype() == tensor.Byte {
			memory[n] = b
		}
	}
	for _, n := range p.out.Model() {
		if memory[n] != nil {
			continue // packed
		}
		memory[n] = p.model.home.buffer(n.Name())
		copies.Of = append(copies.Of, n)
	}
	var inputs []*gorgonia.Node
	var from []*tensor.Dense
	for _, in := range []struct {
		node *gorgonia.Node
		buf  *tensor.Dense
	}{{p.ids, p.idsBuf}, {p.targets, p.tgtBuf}, {p.resets, p.resetBuf}, {p.out.DropoutKey, p.keyBuf}} {
		if in.node != nil {
			inputs, from = append(inputs, in.node), append(from, in.buf)
		}
	}
	var pieces []nodes.Buffer
	if r.inputs, pieces, err = newRemoteInputs(r.device, from); err != nil {
		return err
	}
	for k, n := range inputs {
		memory[n] = pieces[k]
	}
	var keep gorgonia.Nodes
	if !p.cfg.dropLogits {
		keep = append(keep, p.out.result())
	}
	k := 0
	for i, st := range p.beginNodes {
		ends := p.out.State[i].Nodes()
		for j, n := range st.Nodes() {
			memory[n] = p.begin.buffers[k]
			if !p.cfg.Grad {
				memory[ends[j]] = p.begin.buffers[k]
			}
			k++
		}
	}
	for _, st := range p.out.State {
		keep = append(keep, st.Nodes()...)
	}
	if p.cfg.KeepValues {
		keep = p.graph.AllNodes()
	}
	if r.Remote, err = nodes.NewRemote(r.device, p.graph, memory, copies, keep...); err != nil {
		return errors.Wrap(err, "xlstm")
	}
	p.remote = r
	return nil
}

// runRemote copies the inputs to the device and enqueues a run there, by step.
func (p *Program) runRemote(step func() error) error {
	if p.begin != nil && p.begin.failed != nil {
		return p.begin.failed
	}
	if err := p.remote.inputs.upload(p.remote.device); err != nil {
		return err
	}
	p.remote.ran = true
	if err := step(); err != nil || !p.cfg.KeepValues {
		return errors.Wrap(err, "xlstm: running the graph")
	}
	return p.fetchValues()
}

// fetchValues copies the value of every operation's node from the device and binds
// it to the node.
func (p *Program) fetchValues() error {
	for _, n := range p.graph.AllNodes() {
		if n.Op() == nil || p.remote.Buffer(n) == nil {
			continue
		}
		v, err := p.remote.fetch(n)
		if err != nil {
			return err
		}
		if err := gorgonia.UnsafeLet(n, v); err != nil {
			return errors.Wrapf(err, "xlstm: the value of %v", n)
		}
	}
	return nil
}

// fetch returns the value of a node in the last run.
func (r *remote) fetch(n *gorgonia.Node) (*tensor.Dense, error) {
	t := r.values[n]
	if t == nil {
		shape := n.Shape()
		if len(shape) == 0 {
			shape = tensor.Shape{1}
		}
		t = tensor.New(tensor.Of(n.Dtype()), tensor.WithShape(shape...))
		r.values[n] = t
	}
	return t, errors.Wrapf(r.device.Download(t.Data(), r.Buffer(n)), "xlstm: fetching %v", n)
}

// fetchRow copies a row of the value of node n, (rows, width), to row.
func (r *remote) fetchRow(n *gorgonia.Node, at int, row []float64) error {
	b := r.Buffer(n).Slice(at*len(row), len(row))
	if b.Dtype() == ops.Float64 {
		return errors.Wrapf(r.device.Download(row, b), "xlstm: fetching a row of %v", n)
	}
	if len(r.row) < len(row) {
		r.row = make([]float32, len(row))
	}
	singles := r.row[:len(row)]
	err := r.device.Download(singles, b)
	for i, x := range singles {
		row[i] = float64(x)
	}
	return errors.Wrapf(err, "xlstm: fetching a row of %v", n)
}

// ranked are the most likely tokens by a row of logits on a device.
type ranked struct {
	launch    device.Launch
	values    nodes.Buffer
	at        nodes.Buffer
	workspace nodes.Buffer // or nil
	node      *gorgonia.Node
	row, top  int
}

// largest returns the indices and the values of the k largest numbers of a row of
// node n, (rows, width).
func (r *remote) largest(n *gorgonia.Node, row, k int) (at, values []float64, err error) {
	if err := r.rank(n, row, k); err != nil {
		return nil, nil, errors.Wrap(err, "xlstm: ranking logits")
	}
	if err := r.ranked.launch(); err != nil {
		return nil, nil, errors.Wrap(err, "xlstm: ranking logits")
	}
	for _, from := range []struct {
		b  nodes.Buffer
		to *[]float64
	}{{r.ranked.at, &at}, {r.ranked.values, &values}} {
		*from.to = make([]float64, k)
		if from.b.Dtype() == ops.Float64 {
			err = r.device.Download(*from.to, from.b)
		} else {
			singles := make([]float32, k)
			err = r.device.Download(singles, from.b)
			for i, x := range singles {
				(*from.to)[i] = float64(x)
			}
		}
		if err != nil {
			return nil, nil, errors.Wrap(err, "xlstm: fetching the most likely tokens")
		}
	}
	return at, values, nil
}

// rank prepares largest, if the last call was not the same.
func (r *remote) rank(n *gorgonia.Node, row, k int) (err error) {
	if o := r.ranked; o.launch != nil && o.node == n && o.row == row && o.top == k {
		return nil
	}
	if err := r.forgetRanks(); err != nil {
		return err
	}
	width := n.Shape()[1]
	x := r.Buffer(n).Slice(row*width, width)
	o := ranked{node: n, row: row, top: k}
	for _, b := range []*nodes.Buffer{&o.values, &o.at} {
		if *b, err = r.device.Alloc(x.Dtype(), k); err != nil {
			return err
		}
	}
	op := ops.Largest{V: width, K: k}
	if n := r.device.Workspace(op, x.Dtype(), device.Half{}); n > 0 {
		if o.workspace, err = r.device.Alloc(x.Dtype(), n); err != nil {
			return err
		}
	}
	o.launch, err = r.device.Bind(op, []nodes.Buffer{o.values, o.at}, []nodes.Buffer{x}, o.workspace)
	r.ranked = o
	return err
}

func (r *remote) forgetRanks() error {
	for _, b := range []nodes.Buffer{r.ranked.values, r.ranked.at, r.ranked.workspace} {
		if b == nil {
			continue
		}
		if err := r.device.Free(b); err != nil {
			return err
		}
	}
	r.ranked = ranked{}
	return nil
}

// fetchGrads binds the gradients of the last run to their nodes, so that Grad of
// the parameters' nodes returns them.
func (p *Program) fetchGrads() error {
	for _, n := range p.Model() {
		g := n.Deriv()
		if g == nil {
			continue
		}
		v, err := p.remote.fetch(g)
		if err != nil {
			return err
		}
		if err := gorgonia.UnsafeLet(g, v); err != nil {
			return errors.Wrapf(err, "xlstm: the gradient of %s", n.Name())
		}
	}
	return nil
}

// firstNonFinite is FirstNonFinite on a device: the run is repeated operation by
// operation.
func (r *remote) firstNonFinite() string {
	name := ""
	err := r.EachStep(func(n *gorgonia.Node, results []nodes.Buffer) error {
		for _, b := range results {
			if name != "" {
				return nil
			}
			t := tensor.New(tensor.Of(n.Dtype()), tensor.WithShape(b.Len()))
			if err := r.device.Download(t.Data(), b); err != nil {
				return err
			}
			if !finite(t) {
				name = nameOf(n)
			}
		}
		return nil
	})
	if err != nil {
		return ""
	}
	return name
}

// close gives the memory of the program back.
func (r *remote) close() error {
	if err := r.forgetRanks(); err != nil {
		return err
	}
	if err := r.freeInputs(); err != nil {
		return err
	}
	return r.Close()
}

func (r *remote) freeInputs() error {
	to := r.inputs.to
	if r.inputs = (remoteInputs{}); to == nil {
		return nil
	}
	return r.device.Free(to)
}
