//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"math"
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/pkg/errors"
)

// Kinds of instructions of sequence.cu.
const (
	seqEmbed = iota
	seqAwait
	seqNorm
	seqAdd
	seqGate
	seqMaps
	seqCell
	seqFlush
	seqKeep
)

// seqInstruction and seqMap are the structs Instruction and Map of sequence.cu.
type (
	seqInstruction struct {
		kind, n                  int64
		from, more, to           int64
		in, ids, out             address
		function, groups         int64
		centered, residual       int64
		eps                      float64
		mapAt, maps, rows, ahead int64
		heads, dqk, dhv          int64
		k, v, i, f               int64
		scaleQ, scaleK, begin    float64
		c, keys, m               address
		toC, toKeys, toM         address
	}
	seqMap struct {
		w     address
		half  int64
		bias  address
		rows  int64
		words address
		out   address
		cap   float64
	}
)

const (
	seqThreads = 512
	seqColumns = 8 // COLUMNS of sequence.cu
	// seqLead is how many products the weights are fetched ahead of, about those
	// of a block of a model.
	seqLead = 5
)

// seqValue is a value in a sequence: where its vector is in shared memory, once it
// is there, and until then the exchange that it is part of.
type seqValue struct {
	at       int64
	there    bool
	exchange *seqExchange
	offset   int64 // in the exchange
	n        int64
	last     int // the last step that reads it
}

// seqExchange are the words of results that blocks exchange, and the vector that
// receives them.
type seqExchange struct {
	words  address
	n      int64
	at     int64
	there  bool
	values []*seqValue
}

// sequence is a list of steps as instructions of sequence.cu.
type sequence struct {
	d       *Device
	steps   []device.Bound
	values  map[int]*seqValue
	list    []seqInstruction
	maps    []seqMap
	words   address // the next free ones; addresses from 0 on while the words are counted
	free    []interval
	size    int64 // of the vectors
	failed  bool  // there is something that the kernel cannot do
	skipped map[int]bool
}

type interval struct{ from, to int64 }

// Sequence binds operations on a single row that follow one another as one launch,
// and returns what frees its memory. It returns no launch for operations of which
// the kernel has none.
func (d *Device) Sequence(steps []device.Bound) (device.Launch, func() error, error) {
	if len(steps) == 0 || slices.ContainsFunc(steps, func(s device.Bound) bool { return s.Dtype != ops.Float32 }) {
		return nil, nil, nil
	}
	counted := d.newSequence(steps, 0)
	const head = 256 // bytes before the words, for the number of launches
	lists := func(s *sequence) int { return len(bytesOf(s.list)) + len(bytesOf(s.maps)) }
	shared := 4*int(counted.size) + lists(counted)
	if counted.failed || shared+4096 > int(d.sharedMax) {
		return nil, nil, nil
	}
	size := head + int(counted.words) + lists(counted)
	memory, err := d.Alloc(ops.Byte, size)
	if err != nil {
		return nil, nil, err
	}
	base := memory.(buffer).at
	s := d.newSequence(steps, base+head)
	data := make([]byte, size)
	listAt := head + int(counted.words)
	copy(data[listAt:], bytesOf(s.list))
	copy(data[listAt+len(bytesOf(s.list)):], bytesOf(s.maps))
	if err := d.Upload(memory, data); err != nil {
		return nil, nil, err
	}
	launch, err := s.launch(base, base+address(listAt), shared)
	return launch, func() error { return d.Free(memory) }, err
}

// launch returns what enqueues the kernel: launches is where their number is, and
// list where the instructions are, followed by the maps.
func (s *sequence) launch(launches, list address, shared int) (launch device.Launch, err error) {
	d := s.d
	err = d.thread.do(func() error {
		advance, err := d.function("sequence.f32", "advance")
		if err != nil {
			return err
		}
		run, err := d.function("sequence.f32", "sequence")
		if err != nil {
			return err
		}
		first, err := d.newCall(advance, grid{x: 1, threads: 1}, launches)
		if err != nil {
			return err
		}
		maps := list + address(len(bytesOf(s.list)))
		second, err := d.newCall(run, grid{x: int(d.processors), threads: seqThreads, shared: shared, together: true},
			list, int64(len(s.list)), maps, int64(len(s.maps)), launches, s.size)
		if err != nil {
			return err
		}
		all := []span{everything}
		launch = d.launch([]task{{enqueue: first.enqueue, spans: all}, {enqueue: second.enqueue, spans: all}})
		return nil
	})
	return launch, errors.Wrap(err, "cuda: a sequence of operations")
}

func (d *Device) newSequence(steps []device.Bound, words address) *sequence {
	s := &sequence{d: d, steps: steps, values: make(map[int]*seqValue), words: words, skipped: make(map[int]bool)}
	last := make(map[int]int)
	for i, step := range steps {
		for _, id := range step.In {
			last[id] = i
		}
	}
	for i, step := range steps {
		for k, arg := range step.Op.Outputs() {
			s.values[step.Out[k]] = &seqValue{n: int64(arg.Shape.Size()), last: max(i, last[step.Out[k]])}
		}
	}
	for i, step := range steps {
		if s.failed {
			return s
		}
		if !s.skipped[i] {
			s.add(i, step)
		}
		s.release(i)
	}
	s.fetchAhead()
	return s
}

// add appends the instructions of a step.
func (s *sequence) add(i int, step device.Bound) {
	switch op := step.Op.(type) {
	case ops.Embedding:
		s.embed(op, step)
	case ops.Linear:
		s.linears(i, step, []ops.Linear{op})
	case ops.Linears:
		s.linears(i, step, op.Maps)
	case ops.MLSTM:
		s.cell(op, step)
	case ops.Norm:
		s.norm(op, step, s.vector(step.In[0]), step.In[1:], step.Out[0])
	case ops.AddNorm:
		sum := s.rowOp(step.Out[0], seqInstruction{kind: seqAdd, from: s.vector(step.In[0]), more: s.vector(step.In[1])}, step, 0)
		s.norm(op.Norm, step, sum, step.In[2:], step.Out[1])
	case ops.Add:
		s.rowOp(step.Out[0], seqInstruction{kind: seqAdd, from: s.vector(step.In[0]), more: s.vector(step.In[1])}, step, 0)
	case ops.Gated:
		s.rowOp(step.Out[0], seqInstruction{kind: seqGate, function: int64(activations[op.Fn]), from: s.vector(step.In[0]), more: s.vector(step.In[1])}, step, 0)
	case ops.GatedNorm:
		s.gatedNorm(op, step)
	default:
		s.failed = true
	}
}

// row reports whether an operation has a single row, else the sequence fails.
func (s *sequence) row(rows int) bool {
	s.failed = s.failed || rows != 1
	return rows == 1
}

// at returns the memory of an input that comes from outside.
func (s *sequence) at(step device.Bound, k int) address {
	if b, ok := step.InBuffers[k].(buffer); ok && s.values[step.In[k]] == nil {
		return b.at
	}
	s.failed = true
	return 0
}

// floats is at for an input of float32.
func (s *sequence) floats(step device.Bound, k int) address {
	at := s.at(step, k)
	s.failed = s.failed || at != 0 && step.InBuffers[k].Dtype() != ops.Float32
	return at
}

// outAt returns the memory of a result that is read outside, 0 for others.
func (s *sequence) outAt(step device.Bound, k int) address {
	b, ok := step.OutBuffers[k].(buffer)
	if !ok {
		return 0
	}
	s.failed = s.failed || b.dt != ops.Float32
	return b.at
}

// take returns room for a vector in shared memory, aligned to 16 bytes.
func (s *sequence) take(n int64) int64 {
	n = (n + 3) / 4 * 4
	for k, f := range s.free {
		if f.to-f.from >= n {
			if s.free[k].from += n; s.free[k].from == f.to {
				s.free = slices.Delete(s.free, k, k+1)
			}
			return f.from
		}
	}
	at := s.size
	s.size += n
	return at
}

// give frees the room of a vector.
func (s *sequence) give(at, n int64) {
	n = (n + 3) / 4 * 4
	k := 0
	for k < len(s.free) && s.free[k].from < at {
		k++
	}
	s.free = slices.Insert(s.free, k, interval{at, at + n})
	for k = len(s.free) - 1; k > 0; k-- {
		if s.free[k-1].to == s.free[k].from {
			s.free[k-1].to = s.free[k].to
			s.free = slices.Delete(s.free, k, k+1)
		}
	}
}

// release frees the vectors that no step after i reads.
func (s *sequence) release(i int) {
	step := s.steps[i]
	for _, id := range slices.Concat(step.In, step.Out) {
		v := s.values[id]
		if v == nil || v.last > i {
			continue
		}
		if e := v.exchange; e != nil {
			e.values = slices.DeleteFunc(e.values, func(x *seqValue) bool { return x == v })
			if len(e.values) == 0 && e.there {
				s.give(e.at, e.n)
			}
			v.exchange = nil
		} else if v.there {
			s.give(v.at, v.n)
		}
		v.there = false
	}
}

// vector returns where the vector of a value is in shared memory, which the blocks
// wait for if it is not there yet.
func (s *sequence) vector(id int) int64 {
	v := s.values[id]
	if v == nil {
		s.failed = true // a vector from outside
		return 0
	}
	e := v.exchange
	if e != nil && !e.there {
		e.at, e.there = s.take(e.n), true
		s.list = append(s.list, seqInstruction{kind: seqAwait, n: e.n, in: e.words, to: e.at})
	}
	switch {
	case e != nil:
		return e.at + v.offset
	case !v.there:
		s.failed = true
	}
	return v.at
}

// exchange returns room for the words of the values, which are one after the other.
func (s *sequence) exchange(values ...*seqValue) *seqExchange {
	e := &seqExchange{words: s.words}
	for _, v := range values {
		v.exchange, v.offset = e, e.n
		e.values = append(e.values, v)
		e.n += v.n
	}
	s.words += address(8*e.n+15) / 16 * 16
	return e
}

// rowOp appends an instruction that every block executes by itself, the result of
// which is output k of the step.
func (s *sequence) rowOp(id int, in seqInstruction, step device.Bound, k int) int64 {
	v := s.values[id]
	v.at, v.there = s.take(v.n), true
	in.n, in.to = v.n, v.at
	s.list = append(s.list, in)
	if out := s.outAt(step, k); out != 0 {
		s.list = append(s.list, seqInstruction{kind: seqKeep, n: v.n, from: v.at, out: out})
	}
	return v.at
}

func (s *sequence) embed(op ops.Embedding, step device.Bound) {
	if s.row(op.N) {
		s.rowOp(step.Out[0], seqInstruction{kind: seqEmbed, ids: s.at(step, 0), in: s.floats(step, 1)}, step, 0)
	}
}

// normOf is the norm of the vector at from; weight is the input of the step that
// is its weight, −1 for none.
func (s *sequence) normOf(op ops.Norm, step device.Bound, from int64, weight int) seqInstruction {
	s.row(op.N)
	in := seqInstruction{kind: seqNorm, from: from, groups: int64(op.Groups), centered: int64(flag(op.Centered)), residual: int64(flag(op.Residual)), eps: op.Eps}
	if op.Weight {
		in.in = s.floats(step, weight)
	}
	return in
}

func (s *sequence) norm(op ops.Norm, step device.Bound, from int64, weight []int, out int) {
	s.rowOp(out, s.normOf(op, step, from, len(step.In)-len(weight)), step, slices.Index(step.Out, out))
}

func (s *sequence) gatedNorm(op ops.GatedNorm, step device.Bound) {
	gate, x := s.vector(step.In[0]), s.vector(step.In[1])
	in := s.normOf(op.Norm, step, x, 2)
	in.n, in.to = int64(op.Width), s.take(int64(op.Width))
	s.list = append(s.list, in)
	s.rowOp(step.Out[0], seqInstruction{kind: seqGate, function: int64(activations[op.Fn]), from: gate, more: in.to}, step, 0)
	s.give(in.to, in.n)
}

// linears appends the maps of one vector. A soft cap that alone reads a result is
// taken in the same instruction.
func (s *sequence) linears(i int, step device.Bound, maps []ops.Linear) {
	x := s.vector(step.In[0])
	in := seqInstruction{kind: seqMaps, n: int64(maps[0].In), from: x, mapAt: int64(len(s.maps)), ahead: -1}
	if s.failed = s.failed || maps[0].In%8 != 0 || x%4 != 0; s.failed || !s.row(maps[0].Rows) {
		return
	}
	var exchanged []*seqValue
	var words []int // the map of each
	out, operand := 0, 1
	half := step.InBuffers[1].Dtype() == ops.BFloat16
	for _, m := range maps {
		w, bias := s.at(step, operand), address(0)
		s.failed = s.failed || (step.InBuffers[operand].Dtype() == ops.BFloat16) != half
		if operand++; m.Bias {
			bias = s.floats(step, operand)
			operand++
		}
		for _, c := range m.Blocks() {
			row := seqMap{w: w + address(c.Row*m.In*4), half: int64(flag(half)), rows: int64(c.Width)}
			if half {
				row.w = w + address(c.Row*m.In*2)
			}
			if m.Bias {
				row.bias = bias + address(c.Row*4)
			}
			result, from, k := step.Out[out], step, out
			if j, softCap, ok := s.capOf(i, result); ok && s.outAt(step, out) == 0 {
				row.cap, result, from, k = softCap.Cap, s.steps[j].Out[0], s.steps[j], 0
				s.skipped[j] = true
			}
			row.out = s.outAt(from, k)
			if s.readAfter(result, i) {
				exchanged, words = append(exchanged, s.values[result]), append(words, len(s.maps))
			}
			in.rows += row.rows
			in.maps++
			s.maps = append(s.maps, row)
			out++
		}
	}
	if len(exchanged) > 0 {
		e := s.exchange(exchanged...)
		for k, v := range exchanged {
			s.maps[words[k]].words = e.words + address(8*v.offset)
		}
	}
	s.list = append(s.list, in)
}

// capOf returns the soft cap that alone reads a result of step i.
func (s *sequence) capOf(i, id int) (at int, op ops.SoftCap, ok bool) {
	at = -1
	for j := i + 1; j < len(s.steps); j++ {
		if !slices.Contains(s.steps[j].In, id) {
			continue
		}
		if at >= 0 {
			return 0, op, false
		}
		at = j
	}
	if at < 0 {
		return 0, op, false
	}
	op, ok = s.steps[at].Op.(ops.SoftCap)
	return at, op, ok
}

// readAfter reports whether a step after i reads a value.
func (s *sequence) readAfter(id, i int) bool {
	return slices.ContainsFunc(s.steps[i+1:], func(x device.Bound) bool { return slices.Contains(x.In, id) })
}

func (s *sequence) cell(op ops.MLSTM, step device.Bound) {
	if s.failed = s.failed || op.B*op.T != 1 || op.Resets || op.DHV%seqColumns != 0; s.failed {
		return
	}
	in := seqInstruction{kind: seqCell, from: s.vector(step.In[0]), k: s.vector(step.In[1]), v: s.vector(step.In[2]), i: s.vector(step.In[3]), f: s.vector(step.In[4]),
		heads: int64(op.NH), dqk: int64(op.DQK), dhv: int64(op.DHV), scaleQ: op.ScaleQ, scaleK: op.ScaleK, eps: op.Eps}
	if op.Form == ops.Parallel {
		in.begin = math.Inf(-1)
	}
	if op.State {
		in.c, in.keys, in.m = s.floats(step, 5), s.floats(step, 6), s.floats(step, 7)
	}
	in.toC, in.toKeys, in.toM = s.outAt(step, 1), s.outAt(step, 2), s.outAt(step, 3)
	s.failed = s.failed || in.toC == 0 || in.toKeys == 0 || in.toM == 0 || s.outAt(step, 0) != 0
	room := int64(op.NH*op.DQK + op.NH)
	in.to = s.take(room)
	e := s.exchange(s.values[step.Out[0]])
	in.out = e.words
	s.list = append(s.list, in)
	s.vector(step.Out[0]) // when it is there, all blocks have read the old state
	flush := in
	flush.kind, flush.from = seqFlush, in.to
	s.list = append(s.list, flush)
	s.give(in.to, room)
}

// fetchAhead lets every product fetch the weights of a later one.
func (s *sequence) fetchAhead() {
	var products []int
	for k, in := range s.list {
		if in.kind == seqMaps {
			products = append(products, k)
		}
	}
	for k, p := range products[:max(0, len(products)-seqLead)] {
		s.list[p].ahead = int64(products[k+seqLead])
	}
}
