package plan

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/device/cpu"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

var shape = ops.Shape{3, 5}

// particular is a device that wants aligned buffers and workspaces, and fills the
// workspaces with rubbish.
type particular struct {
	cpu.Device
	workspaces *int
}

func (particular) Alignment() int                               { return 256 }
func (particular) Workspace(ops.Op, ops.Dtype, device.Half) int { return 7 }

func (d particular) Bind(op ops.Op, out, in []device.Buffer, workspace device.Buffer) (device.Launch, error) {
	launch, err := d.Device.Bind(op, out, in, nil)
	return func() error {
		*d.workspaces++
		for i := range cpu.Elements(workspace).([]float32) {
			cpu.Elements(workspace).([]float32)[i] = float32(math.NaN())
		}
		return launch()
	}, err
}

// chain is x doubled six times, of which the second is kept, and its values.
func chain(t *testing.T) (p *Plan, x ID, ys []ID) {
	t.Helper()
	p = &Plan{}
	x = p.Input(ops.Float32, shape)
	y := x
	for range 6 {
		out, err := p.Add(ops.Add{Shape: shape}, ops.Float32, y, y)
		if err != nil {
			t.Fatal(err)
		}
		y = out[0]
		ys = append(ys, y)
	}
	p.Keep(ys[1], ys[5])
	return p, x, ys
}

func float32s(b device.Buffer) []float32 { return cpu.Elements(b).([]float32) }

func numbers() []float32 {
	x := make([]float32, shape.Size())
	for i := range x {
		x[i] = float32(i)
	}
	return x
}

func TestProgramsRun(t *testing.T) {
	workspaces := 0
	for name, d := range map[string]device.Device{"cpu": cpu.Device{}, "particular": particular{workspaces: &workspaces}} {
		p, x, ys := chain(t)
		l := p.LayOut(d)
		in, err := cpu.Of(numbers())
		if err != nil {
			t.Fatal(err)
		}
		program, err := l.Bind(map[ID]device.Buffer{x: in})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := program.Run(); err != nil {
				t.Fatal(err)
			}
			for k, times := range map[int]float32{1: 4, 5: 64} {
				for i, v := range float32s(program.Buffers[ys[k]]) {
					if v != times*float32(i) {
						t.Fatalf("%s: element %d of value %d is %v", name, i, k, v)
					}
				}
			}
		}
		unit := max(1, d.Alignment()/4)
		for _, at := range append(slices.Clone(l.Offset), l.Workspace...) {
			if at > 0 && at%unit != 0 {
				t.Errorf("%s: something begins at element %d", name, at)
			}
		}
	}
	if workspaces != 12 {
		t.Errorf("%d workspaces were used, want 12", workspaces)
	}
}

// adder returns a function that adds operations on float32 to a plan, and returns their
// results.
func adder(t *testing.T, p *Plan) func(op ops.Op, in ...ID) []ID {
	return func(op ops.Op, in ...ID) []ID {
		t.Helper()
		return testutil.Must(p.Add(op, ops.Float32, in...))
	}
}

// TestBytesAreOfWhatIsSharedAndKept: an operation needs the arrays that it reads and
// writes besides those that are kept by then. The memory of the last result, which is
// kept, serves earlier ones.
func TestBytesAreOfWhatIsSharedAndKept(t *testing.T) {
	p, _, ys := chain(t)
	const array = 64 // of 60, aligned
	if shared, kept := p.LayOut(cpu.Device{}).Bytes(); shared != array || kept != 2*array {
		t.Errorf("%d bytes shared and %d kept, want one array and two", shared, kept)
	}
	if shared, kept := p.LayOut(cpu.Device{}, ys[5]).Bytes(); shared != 2*array || kept != array {
		t.Errorf("%d bytes shared and %d kept where one array is given", shared, kept)
	}
}

// TestResultsLieWhereTheyAreGiven writes the end of a chain over its beginning.
func TestResultsLieWhereTheyAreGiven(t *testing.T) {
	p, x, ys := chain(t)
	in, err := cpu.Of(numbers())
	if err != nil {
		t.Fatal(err)
	}
	program, err := p.LayOut(cpu.Device{}, ys[5]).Bind(map[ID]device.Buffer{x: in, ys[5]: in})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := program.Run(); err != nil {
			t.Fatal(err)
		}
	}
	if got := float32s(in); got[3] != 3*64*64 {
		t.Errorf("%v after two runs", got)
	}
}

func TestPlansReportWhatDoesNotFit(t *testing.T) {
	p, x, _ := chain(t)
	for want, op := range map[string]ops.Op{
		"with 1 inputs": ops.Mul{Shape: shape},
		"no operation":  ops.Fork{N: 2, Shape: shape},
		"reads x":       ops.Activate{Fn: ops.Tanh, Shape: ops.Shape{4}},
	} {
		if _, err := p.Add(op, ops.Float32, x); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v where %q was expected", err, want)
		}
	}
	if _, err := p.LayOut(cpu.Device{}).Bind(nil); err == nil || !strings.Contains(err.Error(), "no buffer") {
		t.Errorf("an input without a buffer: %v", err)
	}
}

// bound is a device that notes the operations that are bound.
type bound struct {
	cpu.Device
	ops *[]ops.Op
}

func (d bound) Bind(op ops.Op, out, in []device.Buffer, workspace device.Buffer) (device.Launch, error) {
	*d.ops = append(*d.ops, op)
	return d.Device.Bind(op, out, in, workspace)
}

// TestUnreadMemoriesAreSpared: a cell's new state counts as read if a later
// step reads a part of it, if it is kept, and if it was given memory.
func TestUnreadMemoriesAreSpared(t *testing.T) {
	cell := ops.MLSTM{B: 1, T: 3, NH: 1, DQK: 2, DHV: 2, Chunk: 3, ScaleQ: 1, ScaleK: 1, Eps: 1e-6}
	for name, c := range map[string]struct {
		want             bool
		read, keep, give bool
	}{"unread": {want: true}, "read": {read: true}, "kept": {keep: true}, "given": {give: true}} {
		var p Plan
		var noted []ops.Op
		given := make(map[ID]device.Buffer)
		d := bound{ops: &noted}
		var in []ID
		for _, arg := range cell.Inputs() {
			id := p.Input(ops.Float32, arg.Shape)
			b, err := d.Alloc(ops.Float32, arg.Shape.Size())
			if err != nil {
				t.Fatal(err)
			}
			in, given[id] = append(in, id), b
		}
		out, err := p.Add(cell, ops.Float32, in...)
		if err != nil {
			t.Fatal(err)
		}
		p.Keep(out[0])
		if c.keep {
			p.Keep(out[2])
		}
		if c.read {
			sum, err := p.Add(ops.Add{Shape: p.Values[out[1]].Shape}, ops.Float32, out[1], out[1])
			if err != nil {
				t.Fatal(err)
			}
			p.Keep(sum...)
		}
		var places []ID
		if c.give {
			places = append(places, out[3])
			if given[out[3]], err = d.Alloc(ops.Float32, 1); err != nil {
				t.Fatal(err)
			}
		}
		program, err := p.LayOut(d, places...).Bind(given)
		if err != nil {
			t.Fatal(err)
		}
		if got := noted[0].(ops.MLSTM).Unread; got != c.want {
			t.Errorf("%s: the cell is told that its state is unread: %v", name, got)
		}
		if err := program.Close(); err != nil {
			t.Error(err)
		}
	}
}
