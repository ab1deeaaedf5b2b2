package plan

import (
	"cmp"
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// Layout contains the positions of the values of a plan on a device: one arena
// for each float type. The memory of a kept value is its own from the step that
// writes it on; steps before that may use it.
type Layout struct {
	// Plan is the plan as the device stores it: values that it takes in
	// bfloat16 have that type.
	Plan   *Plan
	Device device.Device
	// Copies contains the inputs that must be given in bfloat16, by the inputs
	// marked as Copied of which they are copies.
	Copies map[ID]ID
	// Rows contains lists of such inputs that the device reads as one matrix, without a copy
	// if each begins where the one before it ends.
	Rows [][]ID
	// Offset is the start of each value in the arena of its type, in elements
	// of the arena; −1 for external values.
	Offset []int
	// Workspace is the start of the workspace of each step in the arena of its
	// type; −1 for none.
	Workspace []int
	// Kept is the number of elements of each arena that kept values take, and
	// Shared that of all others.
	Kept, Shared map[ops.Dtype]int
	joined       []bool        // the steps that read columns of a matrix
	columns      map[ID]column // the values that are such columns
	consecutive  [][]int       // results of each step that follow one another
	twins        map[ID]ID     // of the values that are split
}

// LayOut places the values of a plan, and the workspaces of its operations, on
// a device. The values in given are not in an arena but in buffers given to
// Bind; such a buffer may be that of an input that is not read after the value
// is written.
func (p *Plan) LayOut(d device.Device, given ...ID) *Layout {
	p, copies := p.arranged(d, given).halved(d, given)
	l := &Layout{
		Plan: p, Device: d, Copies: copies, Offset: make([]int, len(p.Values)), Workspace: make([]int, len(p.Steps)),
		Kept: make(map[ops.Dtype]int), Shared: make(map[ops.Dtype]int), joined: make([]bool, len(p.Steps)), columns: make(map[ID]column), consecutive: make([][]int, len(p.Steps)),
		twins: make(map[ID]ID),
	}
	l.join(given)
	l.rows()
	l.split(given)
	for dt, blocks := range l.blocks(given) {
		if c, ok := d.(device.Concurrent); ok {
			for _, b := range blocks {
				b.last += c.Apart(b.size * dt.Size())
			}
		}
		l.Shared[dt] = place(blocks) - l.Kept[dt]
		for _, b := range blocks {
			for _, p := range b.parts {
				*p.to = b.offset + p.from
			}
		}
	}
	return l
}

// blocks returns what is to be placed in each arena: the values and the workspaces. It
// counts the kept values.
func (l *Layout) blocks(given []ID) map[ops.Dtype][]*block {
	p, of := l.Plan, make(map[ID]*block)
	for id, v := range p.Values {
		l.Offset[id] = -1
		if _, ok := l.columns[ID(id)]; ok {
			continue
		}
		dt := arenaType(v.Dtype)
		b := &block{size: l.round(dt, l.elements(ID(id))), first: v.First, last: v.Last, parts: []part{{to: &l.Offset[id]}}}
		switch {
		case v.Input || v.Gone || slices.Contains(given, ID(id)):
			continue
		case v.Kept:
			l.Kept[dt] += b.size
			b.last = len(p.Steps)
		}
		of[ID(id)] = b
	}
	p.overlay(l.Device, of)
	l.joinBlocks(of)
	arenas := make(map[ops.Dtype][]*block)
	joined := make(map[*block]bool)
	for id, v := range p.Values {
		if b := of[ID(id)]; b != nil && !joined[b] {
			joined[b] = true
			arenas[arenaType(v.Dtype)] = append(arenas[arenaType(v.Dtype)], b)
		}
	}
	for i, s := range p.Steps {
		l.Workspace[i] = -1
		if n := l.Device.Workspace(s.Op, s.Dtype, l.halfOf(i)); n > 0 {
			arenas[s.Dtype] = append(arenas[s.Dtype], &block{size: l.round(s.Dtype, n), first: i, last: i, parts: []part{{to: &l.Workspace[i]}}})
		}
	}
	return arenas
}

// overlay joins the blocks of results with those of inputs whose memory the
// operations may write them to, where nothing reads the inputs afterwards.
func (p *Plan) overlay(d device.Device, blocks map[ID]*block) {
	for i, s := range p.Steps {
		taken := make(map[ID]bool)
		for _, pair := range overs(d, s.Op) {
			out, in := s.Out[pair[0]], s.In[pair[1]]
			over, under, v := blocks[out], blocks[in], p.Values[in]
			once := slices.Index(s.In, in) == pair[1] && !slices.Contains(s.In[pair[1]+1:], in)
			if over == nil || under == nil || over == under || taken[in] || taken[out] || !once || v.Kept || v.Last != i || v.Dtype != p.Values[out].Dtype {
				continue
			}
			taken[in], taken[out] = true, true
			under.size, under.last, under.parts = max(under.size, over.size), over.last, append(under.parts, over.parts...)
			blocks[out] = under
		}
	}
}

// overs returns the results of an operation that may be written over inputs.
func overs(d device.Device, op ops.Op) (pairs [][2]int) {
	if w, ok := d.(device.Overwriter); ok {
		pairs = w.Over(op)
	}
	if o, k, ok := ops.Over(op); ok {
		pairs = append(pairs, [2]int{o, k})
	}
	return pairs
}

// arenaType returns the element type of the arena for values of type dt.
func arenaType(dt ops.Dtype) ops.Dtype {
	if dt == ops.BFloat16 {
		return ops.Float32
	}
	return dt
}

// elements returns the number of elements that a value takes in its arena.
func elements(v Value) int {
	unit := arenaType(v.Dtype).Size()
	return (v.Shape.Size()*v.Dtype.Size() + unit - 1) / unit
}

// round returns the elements that a value of n takes, so that the next one lies
// where the device wants it.
func (l *Layout) round(dt ops.Dtype, n int) int {
	unit := max(1, l.Device.Alignment()/dt.Size())
	return (n + unit - 1) / unit * unit
}

// Bytes returns the sizes of the shared memory and of the kept values.
func (l *Layout) Bytes() (shared, kept int64) {
	for dt, n := range l.Shared {
		shared += int64(n) * int64(dt.Size())
	}
	for dt, n := range l.Kept {
		kept += int64(n) * int64(dt.Size())
	}
	return shared, kept
}

// block is space that is needed from a step to another, both included.
type block struct {
	size, first, last int
	offset            int
	parts             []part
}

// part is a value in a block, or a workspace.
type part struct {
	from int  // its first element
	to   *int // where its offset is noted
}

func (b *block) end() int { return b.offset + b.size }

// place sets the offsets of the blocks so that those that are needed at one time
// do not overlap, and returns the size of all. It takes the best of several orders: the
// largest blocks first, differing among those of one size, or those first that are
// needed first, which leaves smaller gaps in some plans of many steps.
func place(blocks []*block) (size int) {
	largest := func(a, b *block) int { return cmp.Compare(b.size, a.size) }
	orders := []func(a, b *block) int{
		largest,
		func(a, b *block) int { return cmp.Or(largest(a, b), cmp.Compare(a.first, b.first)) },
		func(a, b *block) int { return cmp.Or(largest(a, b), cmp.Compare(b.last, a.last)) },
		func(a, b *block) int { return cmp.Or(cmp.Compare(a.first, b.first), largest(a, b)) },
	}
	best := -1
	for k, order := range orders {
		if n := placeInOrder(blocks, order); best < 0 || n < size {
			best, size = k, n
		}
	}
	return placeInOrder(blocks, orders[best])
}

// placeInOrder places one block after the other, each into the smallest gap that it
// fits.
func placeInOrder(blocks []*block, order func(a, b *block) int) (size int) {
	sorted := slices.Clone(blocks)
	slices.SortStableFunc(sorted, order)
	placed := make([]*block, 0, len(blocks)) // by offset
	for _, b := range sorted {
		b.offset = gapFor(b, placed)
		at, _ := slices.BinarySearchFunc(placed, b, func(p, b *block) int { return cmp.Compare(p.offset, b.offset) })
		placed = slices.Insert(placed, at, b)
		size = max(size, b.end())
	}
	return size
}

// gapFor returns where b fits best between those of the placed blocks that are
// needed when it is.
func gapFor(b *block, placed []*block) int {
	best, bestRoom, free := -1, 0, 0
	for _, p := range placed {
		if p.last < b.first || b.last < p.first {
			continue
		}
		if room := p.offset - free; room >= b.size && (best < 0 || room < bestRoom) {
			best, bestRoom = free, room
		}
		free = max(free, p.end())
	}
	if best < 0 {
		return free
	}
	return best
}
