package plan

import (
	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/pkg/errors"
)

// Program is a plan bound to memory on a device.
type Program struct {
	Device   device.Device
	Buffers  []device.Buffer // of each value; nil for an input that no operation reads
	Launches []device.Launch // one for each step
	whole    device.Launch   // of all operations at once, or nil
	release  func() error    // of the memory of whole
	plan     *Plan
	arenas   map[ops.Dtype]device.Buffer
}

// Steps returns the steps of the program, of which there is a launch each. They
// may be other ones than those of the plan; see Step.Origin.
func (p *Program) Steps() []Step { return p.plan.Steps }

// Bind allocates the arenas and binds all operations. given contains the
// buffers of the inputs that are read, and of the values that were given to
// LayOut.
func (l *Layout) Bind(given map[ID]device.Buffer) (p *Program, err error) {
	defer func() {
		if err != nil && p != nil {
			p.Close() // the error is that of binding
			p = nil
		}
	}()
	p = &Program{Device: l.Device, Buffers: make([]device.Buffer, len(l.Offset)), plan: l.Plan}
	p.arenas = make(map[ops.Dtype]device.Buffer)
	if err := l.allocate(p.arenas); err != nil {
		return p, err
	}
	arenas := p.arenas
	for id, v := range l.Plan.Values {
		at := l.Offset[id]
		if at < 0 {
			p.Buffers[id] = given[ID(id)]
			continue
		}
		p.Buffers[id] = l.buffer(ID(id), arenas[arenaType(v.Dtype)])
	}
	for i, s := range l.Plan.Steps {
		var workspace device.Buffer
		if at := l.Workspace[i]; at >= 0 {
			workspace = arenas[s.Dtype].Slice(at, l.Device.Workspace(s.Op, s.Dtype, l.halfOf(i)))
		}
		s.Op = ops.Spared(s.Op, l.Plan.unread(i, given))
		launch, err := p.bind(s, workspace)
		if err != nil {
			return p, errors.Wrapf(err, "plan: step %d of %d", i, len(l.Plan.Steps))
		}
		p.Launches = append(p.Launches, launch)
	}
	return p, p.sequence(given)
}

// unread marks the results of step i that no later step reads, that are not kept, and
// for which no memory was given.
func (p *Plan) unread(i int, given map[ID]device.Buffer) []bool {
	marks := make([]bool, len(p.Steps[i].Out))
	for k, id := range p.Steps[i].Out {
		v := p.Values[id]
		marks[k] = v.Last <= i && !v.Kept && given[id] == nil
	}
	return marks
}

// sequence binds all operations as one launch if the device can. Values in memory
// that was given, and kept ones, are written; others are not.
func (p *Program) sequence(given map[ID]device.Buffer) (err error) {
	d, ok := p.Device.(device.Sequencer)
	if !ok {
		return nil
	}
	numbers := func(ids []ID) (list []int) {
		for _, id := range ids {
			list = append(list, int(id))
		}
		return list
	}
	var all []device.Bound
	for _, s := range p.plan.Steps {
		b := device.Bound{Op: s.Op, Dtype: s.Dtype, In: numbers(s.In), Out: numbers(s.Out)}
		for _, id := range s.In {
			b.InBuffers = append(b.InBuffers, p.Buffers[id])
		}
		for _, id := range s.Out {
			var out device.Buffer
			if p.plan.Values[id].Kept || given[id] != nil {
				out = p.Buffers[id]
			}
			b.OutBuffers = append(b.OutBuffers, out)
		}
		all = append(all, b)
	}
	p.whole, p.release, err = d.Sequence(all)
	return err
}

// All returns launches that run all operations: one of each, or one of all.
func (p *Program) All() []device.Launch {
	if p.whole != nil {
		return []device.Launch{p.whole}
	}
	return p.Launches
}

// buffer returns the memory of a value in its arena.
func (l *Layout) buffer(id ID, arena device.Buffer) device.Buffer {
	v, at := l.Plan.Values[id], l.Offset[id]
	if c, ok := l.columns[id]; ok {
		return l.Device.(device.Joiner).AsColumns(arena.Slice(at, c.size()), c.Joint, c.k, v.Shape.Size())
	}
	b := arena.Slice(at, l.elements(id))
	if twin, ok := l.twins[id]; ok {
		return l.Device.(device.Splitter).AsSplit(b, l.buffer(twin, arena))
	}
	if v.Dtype == ops.BFloat16 {
		return l.Device.(device.Halver).AsHalf(b, v.Shape.Size())
	}
	return b
}

func (l *Layout) allocate(arenas map[ops.Dtype]device.Buffer) error {
	for _, dt := range []ops.Dtype{ops.Float32, ops.Float64} {
		n := l.Kept[dt] + l.Shared[dt]
		if n == 0 {
			continue
		}
		b, err := l.Device.Alloc(dt, n)
		if err != nil {
			return errors.Wrapf(err, "plan: memory for %d elements of %v", n, dt)
		}
		arenas[dt] = b
	}
	return nil
}

func (p *Program) bind(s Step, workspace device.Buffer) (device.Launch, error) {
	buffers := func(ids []ID) (bs []device.Buffer, err error) {
		for _, id := range ids {
			if p.Buffers[id] == nil {
				return nil, errors.Errorf("%s: no buffer was given for value %d", s.Op.Name(), id)
			}
			bs = append(bs, p.Buffers[id])
		}
		return bs, nil
	}
	in, err := buffers(s.In)
	if err != nil {
		return nil, err
	}
	out, err := buffers(s.Out)
	if err != nil {
		return nil, err
	}
	return p.Device.Bind(s.Op, out, in, workspace)
}

// Run launches all operations. After an error the values are undefined.
func (p *Program) Run() error {
	for i := range p.Launches {
		if err := p.Step(i); err != nil {
			return err
		}
	}
	return nil
}

// Step launches only operation i.
func (p *Program) Step(i int) error {
	if err := p.Launches[i](); err != nil {
		return errors.Wrapf(err, "running %s", p.plan.Steps[i].Op.Name())
	}
	return nil
}

// Bytes returns the size of the memory that the program has allocated.
func (p *Program) Bytes() (n int64) {
	for dt, a := range p.arenas {
		n += int64(a.Len()) * int64(dt.Size())
	}
	return n
}

// Close releases the arenas.
func (p *Program) Close() error {
	if p.release != nil {
		if err := p.release(); err != nil {
			return errors.Wrap(err, "plan: closing a program")
		}
	}
	for _, dt := range []ops.Dtype{ops.Float32, ops.Float64} {
		if a := p.arenas[dt]; a != nil {
			if err := p.Device.Free(a); err != nil {
				return errors.Wrap(err, "plan: closing a program")
			}
		}
	}
	return nil
}
