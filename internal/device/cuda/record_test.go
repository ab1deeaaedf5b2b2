//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// drawn is a graph of numbered nodes, one a task.
type drawn struct {
	after     [][]uintptr // by node
	next      []uintptr
	workspace int
}

func (g *drawn) captureAfter(nodes []uintptr) error {
	g.next = slices.Clone(nodes)
	return nil
}

func (g *drawn) captured() ([]uintptr, error) { return []uintptr{uintptr(len(g.after) - 1)}, nil }

func (g *drawn) useWorkspace(k int) error {
	g.workspace = k
	return nil
}

// reaches reports whether node `to` waits for node `from`, by way of others but, with
// without, not directly.
func (g *drawn) reaches(from, to uintptr, without bool) bool {
	return slices.ContainsFunc(g.after[to], func(n uintptr) bool {
		return n == from && !without || n > from && g.reaches(from, n, false)
	})
}

// TestRecordedTasksKeepTheOrderThatTheirMemoryNeeds records random tasks: those that
// conflict are in order, no others are but by way of ones that do, and no order is
// noted twice.
func TestRecordedTasksKeepTheOrderThatTheirMemoryNeeds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		g := &drawn{}
		rec := newRecorder(g)
		var tasks []*task
		spaces := make(map[int]int) // the workspace of each product
		for k := range 40 {
			task := &task{product: r.IntN(4) == 0}
			for range 1 + r.IntN(3) {
				from := address(r.IntN(30))
				task.spans = append(task.spans, span{from, from + 1 + address(r.IntN(4)), r.IntN(2) == 0})
			}
			task.enqueue = func() error {
				g.after = append(g.after, g.next)
				spaces[k] = g.workspace
				return nil
			}
			if err := rec.add(*task); err != nil {
				t.Fatal(err)
			}
			tasks = append(tasks, task)
		}
		for to := range tasks {
			for from := range to {
				needed := conflict(tasks[from], tasks[to]) || tasks[from].product && tasks[to].product && spaces[from] == spaces[to]
				if needed && !g.reaches(uintptr(from), uintptr(to), false) {
					t.Fatalf("task %d does not wait for %d: %v, %v", to, from, tasks[to].spans, tasks[from].spans)
				}
				if direct := slices.Contains(g.after[to], uintptr(from)); direct && (!needed || g.reaches(uintptr(from), uintptr(to), true)) {
					t.Fatalf("task %d waits for %d without need: %v, %v", to, from, tasks[to].spans, tasks[from].spans)
				}
			}
		}
	}
}

func conflict(a, b *task) bool {
	return slices.ContainsFunc(a.spans, func(s span) bool { return slices.ContainsFunc(b.spans, s.conflicts) })
}

// TestBranchesOfAForkDoNotWait: tasks of different branches run at the same time
// whatever they touch, and what follows waits for all.
func TestBranchesOfAForkDoNotWait(t *testing.T) {
	g, fork := &drawn{}, new(int)
	rec := newRecorder(g)
	all := []span{{from: 0, to: 8, writes: true}}
	enqueue := func() error {
		g.after = append(g.after, g.next)
		return nil
	}
	for _, x := range []task{{}, {fork: fork, branch: 0}, {fork: fork, branch: 1}, {fork: fork, branch: 1}, {}} {
		x.enqueue, x.spans = enqueue, all
		if err := rec.add(x); err != nil {
			t.Fatal(err)
		}
	}
	for to, want := range [][]uintptr{nil, {0}, {0}, {2}, {1, 3}} {
		got := slices.Sorted(slices.Values(g.after[to]))
		if !slices.Equal(got, want) {
			t.Errorf("task %d waits for %v, want %v", to, got, want)
		}
	}
}

// TestSpansAreFoundInStructures: a kernel touches the operands whose addresses its
// structures hold, among other numbers.
func TestSpansAreFoundInStructures(t *testing.T) {
	in, out, other := span{100, 200, false}, span{200, 300, true}, span{300, 400, true}
	b := &binder{spans: []span{in, out, other}}
	type args struct {
		n       int64
		silu    int32
		x, none address
	}
	got := b.spansOf([]any{byValue(args{n: 5, silu: 1, x: 150, none: 0}), address(299), int64(350), float32(1)})
	if !slices.Equal(got, []span{in, out}) {
		t.Errorf("%v, want the first two of %v", got, b.spans)
	}
}
