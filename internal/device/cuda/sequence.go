//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"slices"
	"strconv"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/pkg/errors"
)

// Kinds of instructions of sequence.cuh.
const (
	seqEmbed = iota
	seqAwait
	seqRow
	seqProducts
	seqCell
	seqFlush
	seqKeep
)

// Formats of weights of sequence.cuh.
const (
	seqFloats = iota
	seqHalves
	seqBytes
)

// These are the structs of sequence.cuh: Instruction, Product, Map and Cell, multiples
// of 16 bytes, Share, Place and Sequence.
type (
	seqInstruction struct {
		kind, n                   int32
		from, more, sum, gate, to int32
		function, groups          int32
		centered, residual        int32
		index, format             int32
		eps                       float32
		in, scales, ids           address
		words, gateWords, out     address
		_                         [8]byte
	}
	seqProduct struct {
		x, n, format, warps, rows, pieces, passes, unit, batch, inverse int32
		_                                                               [8]byte
	}
	seqMap struct {
		bias, more address
		words, out address
		rows, gate int32
		cap        float32
		_          int32
	}
	seqCellArgs struct {
		q, k, v, i, f, h    address
		c, keys, m          address
		toC, toKeys, toM    address
		heads, dqk, dhv     int32
		to, room            int32
		scaleQ, scaleK, eps float32
		begin               float64
		_                   [8]byte
	}
	seqShare struct{ first, count int32 }
	seqPlace struct{ mapped, row int32 }
	seqArgs  struct {
		list, maps, products, cells           address
		shares, at, scalesAt, lengths, places address
		weights, scales, tickets              address
		instructions, mapCount, productCount  int64
		cellCount, pieces, vectors, scaled    int64
	}
)

const (
	seqThreads = 256 // THREADS of sequence.cuh, beside which a warp copies
	seqSpan    = 512 // SPAN
	seqStripes = seqSpan / 32
	seqBatch   = 16 // BATCH of sequence.cuh
	seqColumns = 8  // COLUMNS of sequence.cuh
)

// seqDepths are how many pieces ahead there are kernels that read weights, and the
// bytes of a piece, with and without scales.
var seqDepths = []int{16, 8}

const (
	seqPiece       = 16 * seqSpan
	seqScaledPiece = seqPiece + seqPiece/ops.Group*2
)

// seqValue is a value in a sequence: where its vector is in shared memory, once it
// is there, and the words by which blocks exchange it, if they do.
type seqValue struct {
	at        int32
	there     bool
	awaited   bool // by an instruction
	exchanged bool
	words     address
	n         int32
	last      int // the last step that reads it
}

// sequence is a list of steps as instructions of sequence.cuh.
type sequence struct {
	d       *Device
	steps   []device.Bound
	values  map[int]*seqValue
	list    []seqInstruction
	maps    []seqMap
	cells   []seqCellArgs
	groups  []seqGroup
	dealt   dealt
	words   address // the next free ones; addresses from 0 on while the words are counted
	free    []interval
	freed   []interval // what is free behind the next barrier of a block
	size    int32      // of the vectors
	failed  bool       // there is something that the kernel cannot do
	skipped map[int]bool
	flushes []seqPending
}

// seqPending is a FLUSH that comes when the blocks have waited for the cell's result.
type seqPending struct {
	index int32
	h     *seqValue
	free  []interval // then
}

type interval struct{ from, to int32 }

// Sequence binds operations on a single row that follow one another as one launch,
// and returns what frees its memory, also if there is an error. It returns no launch
// for operations of which the kernel has none, or for a card before Hopper.
func (d *Device) Sequence(steps []device.Bound) (device.Launch, func() error, error) {
	const hopper = 9
	if len(steps) == 0 || d.major < hopper || slices.ContainsFunc(steps, func(s device.Bound) bool { return s.Dtype != ops.Float32 }) {
		return nil, nil, nil
	}
	const head = 256 // bytes before the words, for the tickets
	counted := d.newSequence(steps, head)
	if h := counted.halves(); h != nil {
		return d.sequenceHalves(h)
	}
	depth := counted.depth()
	if depth == 0 {
		return nil, nil, nil
	}
	data, _ := counted.image(0)
	memory, err := d.Alloc(ops.Byte, len(data))
	if err != nil {
		return nil, nil, err
	}
	release := func() error { return d.Free(memory) }
	base := memory.(buffer).at
	data, args := d.newSequence(steps, base+head).image(base)
	if err := d.Upload(memory, data); err != nil {
		return nil, release, err
	}
	launch, err := d.launchSequence("sequence_"+strconv.Itoa(depth)+".f32", seqThreads, counted.shared(depth), byValue(args))
	return launch, release, err
}

// depth returns the largest depth of a kernel for which a block has the memory, 0 for
// none.
func (s *sequence) depth() int {
	const static = 8 << 10 // at most what the kernel declares itself
	for _, depth := range seqDepths {
		if !s.failed && s.shared(depth)+static <= int(s.d.sharedMax) {
			return depth
		}
	}
	return 0
}

// shared returns the bytes of a block's shared memory.
func (s *sequence) shared(depth int) int {
	piece := seqPiece
	if s.dealt.scaled {
		piece = seqScaledPiece
	}
	return depth*piece + 4*int(s.size) + len(bytesOf(s.dealt.products)) + 8*len(s.dealt.products) +
		len(bytesOf(s.list)) + len(bytesOf(s.maps)) + len(bytesOf(s.cells)) + 8*s.dealt.most()
}

// image returns the memory of a sequence at an address: the tickets, the words and
// the lists.
func (s *sequence) image(base address) ([]byte, seqArgs) {
	pieces, to := s.dealt.flat(), lists{base, make([]byte, (s.words-base+255)/256*256)}
	args := seqArgs{
		list: to.put(bytesOf(s.list)), maps: to.put(bytesOf(s.maps)), products: to.put(bytesOf(s.dealt.products)), cells: to.put(bytesOf(s.cells)),
		shares: to.put(bytesOf(pieces.shares)), at: to.put(bytesOf(pieces.at)), scalesAt: to.put(bytesOf(pieces.scalesAt)),
		lengths: to.put(bytesOf(pieces.lengths)), places: to.put(bytesOf(pieces.places)),
		weights: s.dealt.weights, scales: s.dealt.scales, tickets: base,
		instructions: int64(len(s.list)), mapCount: int64(len(s.maps)), productCount: int64(len(s.dealt.products)),
		cellCount: int64(len(s.cells)), pieces: int64(pieces.most), vectors: int64(s.size), scaled: int64(flag(s.dealt.scaled)),
	}
	return to.data, args
}

// lists are what a kernel reads, one after the other, each at a multiple of 256 bytes.
type lists struct {
	base address // of data
	data []byte
}

// put appends a list and returns its address.
func (l *lists) put(b []byte) address {
	at := l.base + address(len(l.data))
	l.data = append(l.data, b...)
	for len(l.data)%256 != 0 {
		l.data = append(l.data, 0)
	}
	return at
}

// launchSequence returns what enqueues the kernel with a number of threads, beside which
// a warp copies.
func (d *Device) launchSequence(module string, threads, shared int, args any) (launch device.Launch, err error) {
	err = d.thread.do(func() error {
		run, err := d.function(module, "sequence")
		if err != nil {
			return err
		}
		c, err := d.newCall(run, grid{x: int(d.processors), threads: threads + 32, shared: shared, together: true}, args)
		if err != nil {
			return err
		}
		launch = d.launch([]task{{enqueue: c.enqueue, spans: []span{everything}}})
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
			s.values[step.Out[k]] = &seqValue{n: int32(arg.Shape.Size()), last: max(i, last[step.Out[k]])}
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
	s.failed = s.failed || len(s.flushes) > 0 || !s.deal(int(d.processors))
	return s
}
