package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/internal/run"
	"github.com/gorgonia-xlstm/xlstm/internal/rundir"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/gorgonia-xlstm/xlstm/safetensors"
)

// stoppedRun is a run of 24 steps that was stopped, with checkpoints of steps 12
// and 16, and the same run unbroken.
func stoppedRun(t *testing.T) (stopped, unbroken string) {
	t.Helper()
	text, dir := sampleText(t), t.TempDir()
	stopped, unbroken = filepath.Join(dir, "stopped"), filepath.Join(dir, "unbroken")
	args := []string{"-eval-every", "6", "-save-every", "4"}
	mustRun(t, small(text, unbroken, args...)...)
	killedRun(t, unbroken, stopped, 16)
	return stopped, unbroken
}

// killedRun leaves in a new folder what the run of another one, killed right after
// a step, had left.
func killedRun(t *testing.T, finished, dir string, last int) {
	t.Helper()
	defer func() {
		if was := recover(); was != killed(last) {
			panic(was)
		}
	}()
	trainAs(t, context.Background(), finished, dir, killer{console: console{out: io.Discard, err: os.Stderr}, after: last})
	t.Fatal("the run has come to its end")
}

// trainAs trains in a new folder as the run of another one did, and returns how it ended.
func trainAs(t *testing.T, ctx context.Context, finished, dir string, l run.Listener) run.Ending {
	t.Helper()
	s := testutil.Must(run.SettingsAt(finished))
	txt := testutil.Must(run.LoadText(context.Background(), s, nil, nil))
	defer txt.Close()
	r := testutil.Must(run.New(s, txt, run.Where{}, l))
	defer r.Close()
	unlock := testutil.Must(run.Begin(dir, s))
	defer unlock()
	if err := r.Open(dir, "test", ""); err != nil {
		t.Fatal(err)
	}
	return testutil.Must(r.Train(ctx))
}

// killer shows a run's notices alone, and panics when it hears of a
// step: what is written by then is what a process killed there would leave.
type killer struct {
	console
	after int
}

type killed int

func (k killer) Notice(sentence string)    { fmt.Fprintln(k.err, sentence) }
func (killer) Begin(int, int)              {}
func (killer) Evaluation(run.Record, bool) {}
func (k killer) Step(r run.Record) {
	if r.Step == k.after {
		panic(killed(r.Step))
	}
}

// evaluationInterrupter interrupts a run when it hears of an evaluation.
type evaluationInterrupter struct {
	killer
	interrupt func()
}

func (i evaluationInterrupter) Evaluation(run.Record, bool) { i.interrupt() }

// TestInterruptAfterAnEvaluation: a run that is interrupted when it is about to write a
// sample, and so ends with the next step, writes it: a resumed run begins behind it.
func TestInterruptAfterAnEvaluation(t *testing.T) {
	text, dir := sampleText(t), t.TempDir()
	unbroken, stopped := filepath.Join(dir, "unbroken"), filepath.Join(dir, "stopped")
	mustRun(t, small(text, unbroken)...)
	ctx, cancel := context.WithCancel(context.Background())
	l := evaluationInterrupter{killer{console: console{out: io.Discard, err: os.Stderr}}, cancel}
	if why := trainAs(t, ctx, unbroken, stopped, l); why != run.Interrupted {
		t.Fatalf("the run ended as %v", why)
	}
	resumed(t, stopped)
	sameRun(t, "interrupted after an evaluation", stopped, unbroken)
}

// resumed resumes a run to its end and returns what it complains of.
func resumed(t *testing.T, dir string) string {
	t.Helper()
	_, errs, err := runHere(context.Background(), "resume", dir)
	if err != nil {
		t.Fatalf("%v\n%s", err, errs)
	}
	return errs
}

// TestRunGoesOnFromTheCheckpointBefore, whatever is wrong with the newest, which is
// put aside so that the next resume does not meet it again.
func TestRunGoesOnFromTheCheckpointBefore(t *testing.T) {
	_, unbroken := stoppedRun(t)
	for name, harm := range map[string]func(t *testing.T, dir string){
		"a flipped bit in the weights":    func(t *testing.T, dir string) { flipBit(t, filepath.Join(dir, run.WeightsFile)) },
		"a flipped bit in the moments":    func(t *testing.T, dir string) { flipBit(t, filepath.Join(dir, "training.safetensors")) },
		"a flipped bit in the vocabulary": func(t *testing.T, dir string) { flipBit(t, filepath.Join(dir, data.TokenizerFile)) },
		"no checksums to be read":         func(t *testing.T, dir string) { truncate(t, filepath.Join(dir, files.SumsFile)) },
		"moments of NaN":                  func(t *testing.T, dir string) { setMoment(t, dir, "exp_avg.", float32(math.NaN())) },
		"squares below zero":              func(t *testing.T, dir string) { setMoment(t, dir, "exp_avg_sq.", -1) },
		"another vocabulary": func(t *testing.T, dir string) {
			replace(t, filepath.Join(dir, data.TokenizerFile), `{"kind":"bytes","tokenizer":null}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			stopped := filepath.Join(t.TempDir(), "stopped")
			killedRun(t, unbroken, stopped, 16)
			newest := filepath.Join(stopped, rundir.CheckpointName(rundir.LastKind, 16))
			harm(t, newest)
			errs := resumed(t, stopped)
			if n := strings.Count(errs, "\n"); n != 1 || !strings.Contains(errs, newest+" cannot be used and is now ") {
				t.Errorf("it says\n%s", errs)
			}
			if _, err := os.Stat(filepath.Join(stopped, "damaged-"+filepath.Base(newest))); err != nil {
				t.Error(err)
			}
			sameRun(t, "resumed from the checkpoint before", stopped, unbroken)
		})
	}
}

// flipBit flips a bit in the middle of a file.
func flipBit(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// setMoment sets a number of the first moment of a kind, without a checksum that
// would tell.
func setMoment(t *testing.T, dir, prefix string, to float32) {
	t.Helper()
	path := filepath.Join(dir, "training.safetensors")
	tensors, meta, err := safetensors.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(tensors, func(p safetensors.Tensor) bool { return strings.HasPrefix(p.Name, prefix) })
	tensors[i].Value.Float32s()[0] = to
	if err := safetensors.WriteFile(path, tensors, meta); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedBestModelIsPutAside, and the run finds another.
func TestDamagedBestModelIsPutAside(t *testing.T) {
	stopped, _ := stoppedRun(t)
	found, err := rundir.Checkpoints(stopped, rundir.BestKind)
	if err != nil || len(found) != 1 || found[0].Step != 12 {
		t.Fatalf("%v, %v; want the best of step 12", found, err)
	}
	flipBit(t, filepath.Join(found[0].Dir, run.WeightsFile))
	errs := resumed(t, stopped)
	if !strings.Contains(errs, found[0].Dir+" cannot be used") || !strings.Contains(errs, "The next evaluation counts as the best") {
		t.Errorf("it says\n%s", errs)
	}
	found, err = rundir.Checkpoints(stopped, rundir.BestKind)
	if err != nil || len(found) != 1 {
		t.Fatalf("%v, %v", found, err)
	}
	if _, err := openModel(found[0].Dir, io.Discard); err != nil {
		t.Error(err)
	}
}

// TestDamagedBestModelOfAFinishedRunIsPutAside: the last model is judged.
func TestDamagedBestModelOfAFinishedRunIsPutAside(t *testing.T) {
	_, finished := stoppedRun(t)
	found, err := rundir.Checkpoints(finished, rundir.BestKind)
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	flipBit(t, filepath.Join(found[0].Dir, data.TokenizerFile))
	if errs := resumed(t, finished); !strings.Contains(errs, found[0].Dir+" cannot be used") {
		t.Errorf("it says\n%s", errs)
	}
	mustRun(t, "sample", finished)
}

// TestNoCheckpointThatCanBeUsedIsAnError: a run does not begin anew by itself.
func TestNoCheckpointThatCanBeUsedIsAnError(t *testing.T) {
	stopped, _ := stoppedRun(t)
	for _, step := range []int{12, 16} {
		flipBit(t, filepath.Join(stopped, rundir.CheckpointName(rundir.LastKind, step), run.WeightsFile))
	}
	_, _, err := runHere(context.Background(), "resume", stopped)
	if err == nil || !strings.Contains(err.Error(), "cannot be resumed from any checkpoint (2 tried)") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v", err)
	}
}

// TestResumeDoesNotNeedAboutNorTheWholeLog, and says what is lost.
func TestResumeDoesNotNeedAboutNorTheWholeLog(t *testing.T) {
	stopped, unbroken := stoppedRun(t)
	flipBit(t, filepath.Join(stopped, run.AboutFile))
	path := filepath.Join(stopped, run.LogFile)
	lines := strings.SplitAfter(read(t, path), "\n")
	lines[15] = lines[15][:20] + "!" + lines[15][21:] // the last that stays
	if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o644); err != nil {
		t.Fatal(err)
	}
	errs := resumed(t, stopped)
	for _, want := range []string{"earlier starts is lost", "has 1 damaged line and lacks 1 step, the first of them 16; the run continues"} {
		if !strings.Contains(errs, want) {
			t.Errorf("it does not say %q but\n%s", want, errs)
		}
	}
	got, want := losses(t, stopped), losses(t, unbroken)
	if want = slices.Delete(want, 15, 16); !slices.Equal(got, want) {
		t.Errorf("the log is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestChangedTextsAreNoticed: both parts, in memory and as a cache.
func TestChangedTextsAreNoticed(t *testing.T) {
	for name, more := range map[string][]string{"in memory": nil, "cached": {"-cache", filepath.Join(t.TempDir(), "cache")}} {
		text, dir := sampleText(t), filepath.Join(t.TempDir(), "run")
		content := read(t, text)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, _, err := runHere(ctx, small(text, dir, append(more, "-tokens", "bytes")...)...); err != nil && name == "in memory" {
			t.Fatal(err)
		}
		if name == "cached" {
			mustRun(t, small(text, dir, append(more, "-tokens", "bytes", "-steps", "4")...)...)
		}
		for part, at := range map[string]int{"the text to train on": 10, "the held-out text": len(content) - 10} {
			changed := content[:at] + "#" + content[at+1:]
			if err := os.WriteFile(text, []byte(changed), 0o644); err != nil {
				t.Fatal(err)
			}
			_, _, err := runHere(context.Background(), "resume", dir)
			// A cache has one checksum for the whole.
			if err == nil || !strings.Contains(err.Error(), "has changed since the run was stopped") || name == "in memory" && !strings.Contains(err.Error(), part) {
				t.Errorf("%s, %s: %v", name, part, err)
			}
		}
	}
}

// TestWhatARunCanDoWithoutDoesNotStopIt: pictures and samples that cannot be
// written, as on a full disk.
func TestWhatARunCanDoWithoutDoesNotStopIt(t *testing.T) {
	text, dir := sampleText(t), filepath.Join(t.TempDir(), "run")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := runHere(ctx, small(text, dir)...); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"loss.svg", run.ReportFile} {
		if err := os.MkdirAll(filepath.Join(dir, name, "in the way"), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	place(t, "in the way", dir, run.SamplesDir)
	errs := resumed(t, dir)
	for _, want := range []string{"The curves are not drawn", "There is no sample of this step", "There is no report"} {
		if !strings.Contains(errs, want) {
			t.Errorf("it does not say %q but\n%s", want, errs)
		}
	}
	if n := len(losses(t, dir)); n != 24 {
		t.Errorf("%d steps, want 24", n)
	}
}

// TestMissingSampleIsMadeUpFor: of an evaluation whose checkpoint is there.
func TestMissingSampleIsMadeUpFor(t *testing.T) {
	stopped, unbroken := stoppedRun(t)
	// What a run killed right after the checkpoint of step 12 has.
	for _, name := range []string{rundir.CheckpointName(rundir.LastKind, 16), run.SamplesDir} {
		if err := os.RemoveAll(filepath.Join(stopped, name)); err != nil {
			t.Fatal(err)
		}
	}
	resumed(t, stopped)
	name := filepath.Join(run.SamplesDir, "step-00000012.txt")
	if read(t, filepath.Join(stopped, name)) != read(t, filepath.Join(unbroken, name)) {
		t.Error("the sample is another")
	}
}

// TestLeftoversOfKilledProcessesGo: in the run's folder and among its samples.
func TestLeftoversOfKilledProcessesGo(t *testing.T) {
	stopped, _ := stoppedRun(t)
	left := []string{"." + run.SettingsFile + ".tmp-0123456789abcdef", filepath.Join(run.SamplesDir, ".step-00000001.txt.tmp-0123456789abcdef")}
	for _, name := range left {
		place(t, "half", stopped, name)
	}
	resumed(t, stopped)
	for _, name := range left {
		if _, err := os.Stat(filepath.Join(stopped, name)); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
}
