package experiment

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/pkg/errors"
)

// tiny is an experiment of a moment: two lessons of a few steps.
func tiny() Experiment {
	return Experiment{
		Name: "tiny", cells: []string{SLSTM, MLSTM},
		runs: func(p plan) []Run {
			short, long := data.Language{Name: data.Parity, Min: 3, Max: 6, EveryStep: true}, data.Language{Name: data.Parity, Min: 3, Max: 10, EveryStep: true}
			return []Run{{Group: "parity-" + p.cell.Name, Labels: map[string]string{"task": "parity", "cell": p.cell.Name}, Settings: Training{
				Model: p.cell.model(size{vocab: 3, dim: 16, blocks: 1, heads: 1}), Seed: p.seed, Batch: 4,
				LR: 1e-2, MinLR: 1e-4, Warmup: 2, Beta2: 0.99, WeightDecay: 0.1, Clip: 1, Every: 4,
				Lessons: []Lesson{{Source{Language: &short}, 5}, {Source{Language: &long}, 6}},
				Exams:   []Exam{{Name: "accuracy", Source: Source{Language: &long}, Batch: 8, Batches: 2, Seed: examSeed, ByPosition: true}},
			}}}
		},
		charts: func([]Result) []Plot {
			return []Plot{{Title: "accuracy in training", Curve: "accuracy", By: "cell"}, {Title: "accuracy by length", Axis: "length", Curve: "accuracy, by length", By: "cell"}}
		},
	}
}

func tinyGrid(t *testing.T, seeds int) Grid {
	t.Helper()
	g, err := tiny().Grid(Minutes, nil, seeds, nil)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// filesOf does a grid in a folder and returns the bytes of the files of results.
func filesOf(t *testing.T, ctx context.Context, dir string, g Grid) (files map[string]string, err error) {
	t.Helper()
	_, err = Folder{Dir: dir}.Run(ctx, g)
	files = make(map[string]string)
	paths, globErr := filepath.Glob(filepath.Join(dir, "*.json"))
	if globErr != nil {
		t.Fatal(globErr)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(path)] = string(text)
	}
	return files, err
}

// ending is a context that is done after it was asked a number of times.
type ending struct {
	context.Context
	left *atomic.Int64
}

func (e ending) Err() error {
	if e.left.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}

// doAll does the runs that are not done, one after the other, as processes of
// their own would.
func doAll(ctx context.Context, dir string, g Grid) error {
	f := Folder{Dir: dir}
	for _, j := range g.jobs {
		if _, err := f.read(j); err == nil {
			continue
		}
		if _, err := f.Do(ctx, g, j.name()); err != nil {
			return err
		}
	}
	return nil
}

// TestInterruptedExperimentsGiveTheSameFiles, wherever they are interrupted:
// between runs, within the first lesson, between lessons and within the second,
// more than once.
func TestInterruptedExperimentsGiveTheSameFiles(t *testing.T) {
	g := tinyGrid(t, 2)
	want, err := filesOf(t, context.Background(), t.TempDir(), g)
	if err != nil {
		t.Fatal(err)
	}
	if len(want) != 5 || want[ResultsFile] == "" {
		t.Fatalf("the files are %d", len(want))
	}
	for _, stops := range [][]int64{{3}, {10}, {12}, {15, 8}, {26, 9, 30}} {
		dir := t.TempDir()
		for _, after := range stops {
			ctx := ending{context.Background(), new(atomic.Int64)}
			ctx.left.Store(after)
			if err := doAll(ctx, dir, g); !errors.Is(err, context.Canceled) {
				t.Fatalf("stopped after %d: %v", after, err)
			}
		}
		got, err := filesOf(t, context.Background(), dir, g)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			t.Errorf("stops %v: %d files, want %d", stops, len(got), len(want))
		}
		for name, text := range want {
			if got[name] != text {
				t.Errorf("stops %v: %s differs:\n%s\n%s", stops, name, got[name], text)
			}
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*.checkpoint*")); len(left) > 0 {
			t.Errorf("%v is left", left)
		}
	}
}

// TestInterruptedRunsGoOn from their checkpoint, and not from the start.
func TestInterruptedRunsGoOn(t *testing.T) {
	g, dir := tinyGrid(t, 1), t.TempDir()
	ctx := ending{context.Background(), new(atomic.Int64)}
	ctx.left.Store(16)
	if _, err := (Folder{Dir: dir}).Do(ctx, g, "parity-slstm-1"); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	j, err := g.job("parity-slstm-1")
	if err != nil {
		t.Fatal(err)
	}
	p := &pupil{Training: j.Settings.(Training), site: site{checkpoint: Folder{Dir: dir}.place("parity-slstm-1")}, out: new(Outcome)}
	defer p.close()
	if err := p.begin(); err != nil {
		t.Fatal(err)
	}
	if at := p.before + p.trainer.Steps(); at != 8 || p.lesson != 1 {
		t.Errorf("goes on after step %d in lesson %d", at, p.lesson)
	}
}

// TestFinishedRunsAreKept, unless the settings are others, which is an error.
func TestFinishedRunsAreKept(t *testing.T) {
	g, dir := tinyGrid(t, 1), t.TempDir()
	f := Folder{Dir: dir}
	if _, err := f.Run(context.Background(), g); err != nil {
		t.Fatal(err)
	}
	path := f.result("parity-slstm-1")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(f.place("parity-slstm-1"), 0o755); err != nil { // as if it had been killed then
		t.Fatal(err)
	}
	marked := strings.Replace(string(text), `"params":`, `"params":9`, 1)
	if err := os.WriteFile(path, []byte(marked), 0o644); err != nil {
		t.Fatal(err)
	}
	all, err := f.Run(context.Background(), g)
	if err != nil || all[0].Params < 9000 {
		t.Errorf("the run was done again: %d parameters, %v", all[0].Params, err)
	}
	if _, err := os.Stat(f.place("parity-slstm-1")); err == nil {
		t.Error("the checkpoint of a finished run stays")
	}
	other := g
	other.jobs = append([]job(nil), g.jobs...)
	other.jobs[0].settings = []byte(`{}`)
	if _, err := f.Run(context.Background(), other); err == nil || !strings.Contains(err.Error(), "other settings") {
		t.Errorf("other settings: %v", err)
	}
}

// TestPagesAreTheSameForTheSameResults and show every cell with its spread.
func TestPagesAreTheSameForTheSameResults(t *testing.T) {
	g, dir := tinyGrid(t, 2), t.TempDir()
	all, err := Folder{Dir: dir}.Run(context.Background(), g)
	if err != nil {
		t.Fatal(err)
	}
	var pages [2]string
	for i := range pages {
		path := filepath.Join(dir, "page.html")
		if err := tiny().WritePage(path, Minutes, all); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		pages[i] = string(text)
	}
	if pages[0] != pages[1] {
		t.Error("two pages of the same results differ")
	}
	for _, part := range []string{">sLSTM<", ">mLSTM<", `class="band s1"`, `class="band s2"`, "accuracy by length", "parity-mlstm"} {
		if !strings.Contains(pages[0], part) {
			t.Errorf("the page has no %q", part)
		}
	}
}

// TestGridsRefuseWhatTheyDoNotHave.
func TestGridsRefuseWhatTheyDoNotHave(t *testing.T) {
	for _, test := range []struct {
		setting Setting
		cells   []string
		seeds   int
		want    string
	}{
		{"hours", nil, 1, "there are minutes and full"}, {Minutes, []string{"gru"}, 1, "there are slstm"}, {Minutes, nil, 0, "at least 1"},
	} {
		if _, err := tiny().Grid(test.setting, test.cells, test.seeds, nil); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: %v", test, err)
		}
	}
	if _, err := Named("alchemy"); err == nil || !strings.Contains(err.Error(), "there are parity") {
		t.Error(err)
	}
}

// TestAllGridsHaveRunsOfDifferentNames, with every cell, in both settings.
func TestAllGridsHaveRunsOfDifferentNames(t *testing.T) {
	text, err := corpusOf(strings.Repeat("some text, ", 1<<16), "a test")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range All() {
		for _, setting := range []Setting{Minutes, Full} {
			g, err := e.Grid(setting, CellNames(), 2, text)
			if err != nil {
				t.Fatal(err)
			}
			names := make(map[string]bool)
			for _, j := range g.jobs {
				if names[j.name()] || strings.ContainsAny(j.name(), " ,/") {
					t.Errorf("%s has a run %q", e.Name, j.name())
				}
				names[j.name()] = true
				if tr, ok := j.Settings.(Training); ok {
					if err := tr.Model.Validate(); err != nil {
						t.Errorf("%s: %v", j.name(), err)
					}
				}
			}
			if len(names) < 2 {
				t.Errorf("%s has %d runs", e.Name, len(names))
			}
		}
	}
}

// aDevice is a device that nothing may run on.
type aDevice struct{ xlstm.Device }

// TestDevicesAreRefused by experiments, and by trainings of several lessons, that
// run on the CPU alone.
func TestDevicesAreRefused(t *testing.T) {
	e := tiny()
	e.OnCPU = true
	g, err := e.Grid(Minutes, nil, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	open := func() (xlstm.Device, func(), error) { return aDevice{}, func() {}, nil }
	if _, err := (Folder{Dir: t.TempDir(), Open: open}).Run(context.Background(), g); err == nil || !strings.Contains(err.Error(), "CPU alone") {
		t.Errorf("an experiment for the CPU: %v", err)
	}
	if _, err := (Folder{Dir: t.TempDir(), Open: open}).Run(context.Background(), tinyGrid(t, 1)); err == nil || !strings.Contains(err.Error(), "several lessons") {
		t.Errorf("two lessons: %v", err)
	}
}

// TestEveryWorkerHasADevice of its own, which is closed when the grid is done or
// when another one cannot be opened; the results are those of one worker.
func TestEveryWorkerHasADevice(t *testing.T) {
	g := tinyGrid(t, 2)
	want, err := filesOf(t, context.Background(), t.TempDir(), g)
	if err != nil {
		t.Fatal(err)
	}
	opened, closed := 0, 0
	f := Folder{Dir: t.TempDir(), Workers: 3, Open: func() (xlstm.Device, func(), error) {
		opened++
		return nil, func() { closed++ }, nil
	}}
	if _, err := f.Run(context.Background(), g); err != nil {
		t.Fatal(err)
	}
	if opened != 3 || closed != 3 {
		t.Errorf("%d devices opened and %d closed for 3 workers", opened, closed)
	}
	got, err := os.ReadFile(filepath.Join(f.Dir, ResultsFile))
	if err != nil || string(got) != want[ResultsFile] {
		t.Errorf("the results of three workers are not those of one: %v", err)
	}
	opened, closed = 0, 0
	f.Open = func() (xlstm.Device, func(), error) {
		if opened == 2 {
			return nil, nil, errors.New("no more memory")
		}
		opened++
		return nil, func() { closed++ }, nil
	}
	if _, err := f.Run(context.Background(), g); err == nil || !strings.Contains(err.Error(), "no more memory") || closed != 2 {
		t.Errorf("a device that does not open: %v, with %d others closed", err, closed)
	}
}

// TestOneRunAlone makes its folder, and has the result that it has in the grid.
func TestOneRunAlone(t *testing.T) {
	g := tinyGrid(t, 1)
	want, err := filesOf(t, context.Background(), t.TempDir(), g)
	if err != nil {
		t.Fatal(err)
	}
	name := g.Names()[0]
	f := Folder{Dir: filepath.Join(t.TempDir(), "new", "folder")}
	if _, err := f.Do(context.Background(), g, name); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(f.Dir, name+".json"))
	if err != nil || string(got) != want[name+".json"] {
		t.Errorf("the result alone is not that in the grid: %v", err)
	}
}
