//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"math/big"
	"slices"
	"unsafe"

	"github.com/gorgonia-xlstm/xlstm/internal/dynlib"
	"github.com/pkg/errors"
)

// span is a stretch of a card's memory that a task reads or, with writes, writes.
type span struct {
	from, to address
	writes   bool
}

// everything is the span of a task that may touch any memory.
var everything = span{to: ^address(0), writes: true}

// conflicts reports whether tasks with these spans must keep their order.
func (s span) conflicts(o span) bool {
	return (s.writes || o.writes) && s.from < o.to && o.from < s.to
}

// task is a call that enqueues work, and the memory that the work touches. Tasks of
// different branches of one fork do not need one another, whatever they touch.
type task struct {
	enqueue func() error
	spans   []span
	product bool // of cuBLAS, which needs a workspace
	urgent  bool // other cards wait for it: it comes before what else could run
	fork    *int
	branch  int
}

// apart reports whether tasks are of different branches of one fork.
func (t *task) apart(o *task) bool { return t.fork != nil && t.fork == o.fork && t.branch != o.branch }

// recorder makes a graph of tasks: each waits only for those before it that write
// what it reads or writes, or read what it writes. The others run at the same time.
type recorder struct {
	graph     capturing
	tasks     []recorded
	live      []access  // what later tasks may have to wait for
	workspace []int     // the last task that had each of cuBLAS's workspaces, −1 for none
	urgent    []uintptr // nodes of urgent tasks
}

// capturing is a graph in the making: Device, or that of a test.
type capturing interface {
	// captureAfter lets what is captured next wait for the given nodes alone, and
	// captured returns the nodes that what is captured next would wait for.
	captureAfter(nodes []uintptr) error
	captured() ([]uintptr, error)
	// useWorkspace gives cuBLAS one of its workspaces for the products that follow.
	useWorkspace(k int) error
}

// recorded is a task in the graph.
type recorded struct {
	nodes  []uintptr // the last ones of it
	before big.Int   // a bit for each task that ends before it begins
}

// access is a span of a task, the number of which is at.
type access struct {
	span
	task *task
	at   int
}

func newRecorder(graph capturing) *recorder {
	r := &recorder{graph: graph}
	for range workspaces {
		r.workspace = append(r.workspace, -1)
	}
	return r
}

// add records a task.
func (r *recorder) add(t task) error {
	others := r.conflicts(&t)
	if t.product {
		k := r.freeWorkspace(others)
		if last := r.workspace[k]; last >= 0 {
			others = append(others, last)
		}
		r.workspace[k] = len(r.tasks)
		if err := r.graph.useWorkspace(k); err != nil {
			return err
		}
	}
	me := r.waiting(others)
	if err := r.graph.captureAfter(me.nodes); err != nil {
		return err
	}
	if err := t.enqueue(); err != nil {
		return err
	}
	var err error
	if me.nodes, err = r.graph.captured(); err != nil {
		return err
	}
	if t.urgent {
		r.urgent = append(r.urgent, me.nodes...)
	}
	r.touch(&t)
	r.tasks = append(r.tasks, me)
	return nil
}

// conflicts returns the tasks that t must wait for.
func (r *recorder) conflicts(t *task) (tasks []int) {
	for _, a := range r.live {
		if a.task.apart(t) {
			continue
		}
		if slices.ContainsFunc(t.spans, a.span.conflicts) {
			tasks = append(tasks, a.at)
		}
	}
	return tasks
}

// waiting returns a task that waits for others: not for those for which it waits by
// waiting for later ones.
func (r *recorder) waiting(others []int) (me recorded) {
	slices.Sort(others)
	for _, k := range slices.Backward(others) {
		if me.before.Bit(k) == 1 {
			continue
		}
		for _, n := range r.tasks[k].nodes {
			if !slices.Contains(me.nodes, n) {
				me.nodes = append(me.nodes, n)
			}
		}
		me.before.Or(&me.before, &r.tasks[k].before)
		me.before.SetBit(&me.before, k, 1)
	}
	return me
}

// freeWorkspace chooses a workspace for which a task that waits for others need not
// wait, else the one that was given away first.
func (r *recorder) freeWorkspace(others []int) int {
	me, oldest := r.waiting(others), 0
	for k, last := range r.workspace {
		if last < 0 || me.before.Bit(last) == 1 {
			return k
		}
		if last < r.workspace[oldest] {
			oldest = k
		}
	}
	return oldest
}

// touch notes what the task about to be appended touches. For what it writes over
// nothing has to wait any more, but the branches beside it: what waits for the task
// waits for that too.
func (r *recorder) touch(t *task) {
	r.live = slices.DeleteFunc(r.live, func(a access) bool {
		return (t.fork == nil || t.fork == a.task.fork && t.branch == a.task.branch) && slices.ContainsFunc(t.spans, func(s span) bool { return s.writes && s.from <= a.from && a.to <= s.to })
	})
	for _, s := range t.spans {
		r.live = append(r.live, access{span: s, task: t, at: len(r.tasks)})
	}
}

// setDependencies is CU_STREAM_SET_CAPTURE_DEPENDENCIES.
const setDependencies = 1

func (d *Device) captureAfter(nodes []uintptr) error {
	var first unsafe.Pointer
	if len(nodes) > 0 {
		first = unsafe.Pointer(&nodes[0])
	}
	r := dynlib.Call(d.drv.StreamUpdateCaptureDependencies, d.stream, uintptr(first), uintptr(len(nodes)), setDependencies)
	return d.drv.check("cuStreamUpdateCaptureDependencies", r)
}

func (d *Device) captured() ([]uintptr, error) {
	var status int32
	var id uint64
	var g, n uintptr
	var nodes *uintptr
	r := dynlib.Call(d.drv.StreamGetCaptureInfo, d.stream, uintptr(unsafe.Pointer(&status)), uintptr(unsafe.Pointer(&id)),
		uintptr(unsafe.Pointer(&g)), uintptr(unsafe.Pointer(&nodes)), uintptr(unsafe.Pointer(&n)))
	if err := d.drv.check("cuStreamGetCaptureInfo", r); err != nil || n == 0 {
		return nil, err
	}
	return slices.Clone(unsafe.Slice(nodes, n)), nil
}

// run enqueues tasks, into the graph that is being recorded if there is one.
func (d *Device) run(tasks []task) error {
	for _, t := range tasks {
		enqueue := t.enqueue
		if d.recorder != nil {
			enqueue = func() error { return d.recorder.add(t) }
		}
		if err := enqueue(); err != nil {
			return err
		}
	}
	return nil
}

// atOnce lets what the functions enqueue run at the same time: none may need what
// another one writes. It is for what shares memory of the workspace that is only
// read; tasks that touch different memory are apart without it.
func (b *binder) atOnce(functions ...func()) {
	fork := new(int)
	for k, f := range functions {
		first := len(b.tasks)
		f()
		for i := range b.tasks[first:] {
			b.tasks[first+i].fork, b.tasks[first+i].branch = fork, k
		}
	}
}

// spansOf returns the memory of the operation that the arguments of a kernel refer
// to: addresses, and words of structures that are such addresses.
func (b *binder) spansOf(args []any) (spans []span) {
	for _, a := range args {
		switch a := a.(type) {
		case address:
			spans = b.appendSpans(spans, a)
		case structure:
			spans = b.appendSpans(spans, a.words()...)
		}
	}
	return spans
}

// appendSpans appends the operands and the pieces of the workspace that the
// addresses lie in.
func (b *binder) appendSpans(to []span, at ...address) []span {
	for _, s := range b.spans {
		inside := func(a address) bool { return s.from <= a && a < s.to }
		if slices.ContainsFunc(at, inside) && !slices.Contains(to, s) {
			to = append(to, s)
		}
	}
	return to
}

// enqueue appends a task of the operation, unless its workspace is only counted.
func (b *binder) enqueue(t task) {
	if !b.counting {
		b.tasks = append(b.tasks, t)
	}
}

// workspaces is how many products of cuBLAS may run at the same time.
const workspaces = 4

func (d *Device) useWorkspace(k int) error {
	return errors.Wrap(d.blas.setWorkspace(d.handle, d.blasMemory+address(k*blasWorkspace)), "cuda: memory for a product")
}

// Apart returns for how many operations memory should not be used again: for some
// dozens if it is little, since launches of small models would otherwise wait for the
// partial sums of earlier ones; and for one if it is much, so that the gradients of
// weights, which nothing waits for, can be computed beside the next operation.
func (d *Device) Apart(bytes int) int {
	const little, dozens, next = 16 << 20, 24, 1
	if bytes > little {
		return next
	}
	return dozens
}
