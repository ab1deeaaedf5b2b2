package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/internal/run"
	"github.com/gorgonia-xlstm/xlstm/internal/rundir"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// asMain makes the test binary the program itself, for tests that kill it.
const asMain = "XLSTM_TRAIN_AS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// sampleText writes a small text to learn from.
func sampleText(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "text.txt")
	var b strings.Builder
	r := rand.New(rand.NewPCG(1, 1))
	words := []string{"the", "cell", "forgets", "what", "gate", "lets", "go", "and", "keeps", "rest"}
	for b.Len() < 6000 {
		fmt.Fprintf(&b, "%s ", words[r.IntN(len(words))])
		if r.IntN(8) == 0 {
			b.WriteString("\n")
		}
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// small are settings for a run of some seconds' fraction.
func small(text, out string, more ...string) []string {
	return append([]string{"train", "-data", text, "-out", out, "-preset", "tiny", "-dim", "16", "-heads", "2", "-blocks", "2", "-slstm-at", "1",
		"-batch", "2", "-length", "16", "-steps", "24", "-warmup", "4", "-eval-every", "5", "-eval-batches", "2", "-save-every", "4", "-val", "0.1", "-rare", "1", "-sample-tokens", "6", "-dropout", "0.1"}, more...)
}

// runHere runs the program in this process.
func runHere(ctx context.Context, args ...string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	err = dispatch(ctx, args, console{in: strings.NewReader(""), out: &out, err: &errs, name: "xlstm"})
	return out.String(), errs.String(), err
}

func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, err := runHere(context.Background(), args...)
	if err != nil {
		t.Fatalf("%v: %v\n%s%s", args, err, out, errs)
	}
	return out
}

// losses returns what a run's log says of every step, without times.
func losses(t *testing.T, dir string) []string {
	t.Helper()
	records, _, err := run.ReadLog(filepath.Join(dir, run.LogFile))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range records {
		val := math.NaN()
		if r.Val != nil {
			val = *r.Val
		}
		out = append(out, fmt.Sprintf("%d %v %v %v %v %v", r.Step, r.Loss, r.Smoothed, r.GradNorm, r.LR, val))
	}
	return out
}

// sameRun reports the first difference between two runs: the steps, every byte of
// the final weights, and the samples.
func sameRun(t *testing.T, what, got, want string) {
	t.Helper()
	a, b := losses(t, got), losses(t, want)
	if len(a) != len(b) {
		t.Fatalf("%s: %d steps in the log, want %d", what, len(a), len(b))
	}
	for i := range b {
		if a[i] != b[i] {
			t.Fatalf("%s: step is\n%s, want\n%s", what, a[i], b[i])
		}
	}
	for _, kind := range []string{rundir.LastKind, rundir.BestKind} {
		ca, err := rundir.Checkpoints(got, kind)
		if err != nil || len(ca) == 0 {
			t.Fatalf("%s: no %s: %v", what, kind, err)
		}
		cb, err := rundir.Checkpoints(want, kind)
		if err != nil || len(cb) == 0 || ca[0].Step != cb[0].Step {
			t.Fatalf("%s: newest %s of step %d, want %v: %v", what, kind, ca[0].Step, cb, err)
		}
		x, err := os.ReadFile(filepath.Join(ca[0].Dir, run.WeightsFile))
		if err != nil {
			t.Fatal(err)
		}
		y, err := os.ReadFile(filepath.Join(cb[0].Dir, run.WeightsFile))
		if err != nil || !bytes.Equal(x, y) {
			t.Fatalf("%s: the weights of %s differ: %v", what, kind, err)
		}
	}
	views := make(map[string]run.View)
	for _, dir := range []string{got, want} {
		v, err := run.Read(dir)
		if err != nil || len(v.Flaws) > 0 {
			t.Fatalf("%s: %s cannot be read: %q, %v", what, dir, v.Flaws, err)
		}
		views[dir] = v
	}
	if texts, others := views[got].Samples, views[want].Samples; !slices.Equal(texts, others) {
		t.Fatalf("%s: the samples are %v, want %v", what, texts, others)
	}
}

// child is the program in a process of its own.
func child(args ...string) (*exec.Cmd, *bytes.Buffer) {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asMain+"=1")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	return cmd, &out
}

// awaitSteps waits until the log of a run has n lines.
func awaitSteps(t *testing.T, dir string, n int) {
	t.Helper()
	testutil.Await(t, fmt.Sprintf("the run has taken %d steps", n), func() bool {
		records, _, err := run.ReadLog(filepath.Join(dir, run.LogFile))
		return err == nil && len(records) >= n
	})
}

func TestResumedRunEqualsUnbrokenOne(t *testing.T) {
	for name, more := range map[string][]string{
		"random windows":       nil,
		"streams, accumulated": {"-carry", "-accumulate", "2"},
		"other cells":          {"-lstm-at", "1", "-simplified-at", "0"},
		"a plain LSTM":         {"-carry", "-lstm", "12"},
	} {
		t.Run(name, func(t *testing.T) {
			text, dir := sampleText(t), t.TempDir()
			unbroken := filepath.Join(dir, "unbroken")
			mustRun(t, small(text, unbroken, more...)...)
			if n := len(losses(t, unbroken)); n != 24 {
				t.Fatalf("%d steps in the log, want 24", n)
			}

			t.Run("stopped cleanly", func(t *testing.T) {
				stopped := filepath.Join(dir, "stopped")
				// A context that is done stops the run after its next step.
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				if _, _, err := runHere(ctx, small(text, stopped, more...)...); err != nil {
					t.Fatal(err)
				}
				for range 3 {
					if _, _, err := runHere(ctx, "resume", stopped); err != nil {
						t.Fatal(err)
					}
				}
				if n := len(losses(t, stopped)); n != 4 {
					t.Fatalf("%d steps after 4 stops, want 4", n)
				}
				mustRun(t, "resume", stopped)
				sameRun(t, "stopped and resumed", stopped, unbroken)
			})
			t.Run("interrupted", func(t *testing.T) {
				dir := filepath.Join(dir, "interrupted")
				cmd, out := child(small(text, dir, more...)...)
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				awaitSteps(t, dir, 3)
				if err := cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
					t.Fatal(err)
				}
				cmd.Wait()
				if code := cmd.ProcessState.ExitCode(); code != 130 && code != 0 { // 0 if it had come to its end
					t.Fatalf("%v\n%s", cmd.ProcessState, out)
				}
				if len(losses(t, dir)) < 24 && !strings.Contains(out.String(), cmd.Path+" resume "+dir) {
					t.Errorf("it does not say how to go on:\n%s", out)
				}
				mustRun(t, "resume", dir)
				sameRun(t, "interrupted and resumed", dir, unbroken)
			})
			t.Run("killed", func(t *testing.T) { killAndResume(t, text, filepath.Join(dir, "killed"), unbroken, more) })
		})
	}
}

// killAndResume kills the run at random moments, writing of checkpoints included,
// until it gets to its end, and returns how many times.
func killAndResume(t *testing.T, text, dir, unbroken string, more []string) (kills int) {
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	args := small(text, dir, append([]string{"-save-every", "1"}, more...)...)
	for ; ; kills++ {
		cmd, out := child(args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// On a slow machine the process must live long enough to get anywhere.
		timer := time.AfterFunc(time.Duration(20+r.IntN(150+30*kills))*time.Millisecond, func() { cmd.Process.Kill() })
		err := cmd.Wait()
		timer.Stop()
		if err == nil {
			t.Logf("killed %d times", kills)
			break
		}
		if !strings.Contains(err.Error(), "killed") {
			t.Fatalf("%v\n%s", err, out)
		}
		if kills > 200 {
			t.Fatal("the run does not get to its end")
		}
		if _, err := os.Stat(filepath.Join(dir, run.SettingsFile)); err == nil {
			args = []string{"resume", dir}
		}
	}
	sameRun(t, "killed and resumed", dir, unbroken)
	noLeftovers(t, dir)
	return kills
}

// noLeftovers checks that no file of a killed process stays in a run's folder.
func noLeftovers(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && (files.IsTemp(d.Name()) || strings.HasPrefix(d.Name(), "damaged-")) {
			t.Errorf("%s is left", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestKilledRunsEqualTheUnbrokenOne runs the same run again and again until it was
// killed XLSTM_KILLS times in all; see docs/safety.md.
func TestKilledRunsEqualTheUnbrokenOne(t *testing.T) {
	wanted := fromEnvironment(t, "XLSTM_KILLS", 3)
	text, dir := sampleText(t), t.TempDir()
	unbroken := filepath.Join(dir, "unbroken")
	mustRun(t, small(text, unbroken, "-carry")...)
	kills, runs := 0, 0
	for ; kills < wanted; runs++ {
		killed := filepath.Join(dir, "killed")
		kills += killAndResume(t, text, killed, unbroken, []string{"-carry"})
		if err := os.RemoveAll(killed); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d runs, killed %d times, equal the unbroken one", runs, kills)
}

// TestRunBeginsWhereOneWasKilledAtOnce: before its first file was in place.
func TestRunBeginsWhereOneWasKilledAtOnce(t *testing.T) {
	text, dir := sampleText(t), t.TempDir()
	place(t, "{", dir, "."+run.SettingsFile+".tmp-0123456789abcdef")
	mustRun(t, small(text, dir)...)
}

// TestRunFallsBackToTheCheckpointBefore: a checkpoint that something has damaged
// does not end a run.
func TestRunFallsBackToTheCheckpointBefore(t *testing.T) {
	text, dir := sampleText(t), t.TempDir()
	unbroken, broken := filepath.Join(dir, "unbroken"), filepath.Join(dir, "broken")
	mustRun(t, small(text, unbroken)...)
	mustRun(t, small(text, broken)...)
	found, err := rundir.Checkpoints(broken, rundir.LastKind)
	if err != nil || len(found) != run.KeepLast {
		t.Fatalf("%v: %v", found, err)
	}
	for _, file := range []string{run.WeightsFile, "training.safetensors"} {
		path := filepath.Join(found[0].Dir, file)
		if err := os.Truncate(path, 100); err != nil {
			t.Fatal(err)
		}
	}
	_, errs, err := runHere(context.Background(), "resume", broken)
	if err != nil || !strings.Contains(errs, found[0].Dir) {
		t.Fatalf("%v\n%s", err, errs)
	}
	sameRun(t, "resumed from the checkpoint before", broken, unbroken)
}

func TestSameSeedSameRunWhateverGOMAXPROCS(t *testing.T) {
	text, dir := sampleText(t), t.TempDir()
	a, b, c := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c")
	mustRun(t, small(text, a)...)
	procs := runtime.GOMAXPROCS(5)
	mustRun(t, small(text, b)...)
	runtime.GOMAXPROCS(procs)
	mustRun(t, small(text, c, "-seed", "2")...)
	sameRun(t, "the same seed", b, a)
	if strings.Join(losses(t, a), "\n") == strings.Join(losses(t, c), "\n") {
		t.Error("another seed gives the same run")
	}
}

// TestStepsThatAreNotFinite: a learning rate that breaks the model at once.
func TestStepsThatAreNotFinite(t *testing.T) {
	text, dir := sampleText(t), t.TempDir()
	wreck := []string{"-lr", "1e6", "-min-lr", "1e6", "-warmup", "0", "-clip", "0", "-steps", "12", "-patience", "0"}
	stop := filepath.Join(dir, "stop")
	_, _, err := runHere(context.Background(), small(text, stop, wreck...)...)
	if err == nil || !strings.Contains(err.Error(), "first value that is not finite is of") || !strings.Contains(err.Error(), "nothing of the step was applied") {
		t.Fatalf("%v", err)
	}
	records, _, err := run.ReadLog(filepath.Join(stop, run.LogFile))
	if err != nil || len(records) == 0 || records[len(records)-1].Skipped == "" {
		t.Fatalf("the log does not end with the step: %v, %v", records, err)
	}
	found, err := rundir.Checkpoints(stop, rundir.LastKind)
	if err != nil || len(found) == 0 || found[0].Step != records[len(records)-1].Step {
		t.Errorf("checkpoints %v, want one of step %d: %v", found, records[len(records)-1].Step, err)
	}

	skip := filepath.Join(dir, "skip")
	mustRun(t, small(text, skip, append(wreck, "-non-finite", "skip")...)...)
	if records, _, err = run.ReadLog(filepath.Join(skip, run.LogFile)); err != nil || len(records) != 12 {
		t.Errorf("%d steps, want 12: %v", len(records), err)
	}
}

func TestOneProcessTrainsInAFolder(t *testing.T) {
	text, dir := sampleText(t), filepath.Join(t.TempDir(), "run")
	mustRun(t, small(text, dir, "-steps", "4")...)
	unlock, err := run.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := runHere(context.Background(), "resume", dir); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("%v", err)
	}
	unlock()
	mustRun(t, "resume", dir)
}

// TestTheLockComesFirst: of processes that begin a run in one folder at one moment,
// one gets it, and its settings are those in the folder.
func TestTheLockComesFirst(t *testing.T) {
	const starts = 4
	text, dir := sampleText(t), filepath.Join(t.TempDir(), "run")
	results := make(chan string, starts)
	for seed := range starts {
		cmd, _ := child(small(text, dir, "-steps", "8", "-seed", strconv.Itoa(seed+1))...)
		go func() {
			if err := cmd.Run(); err == nil {
				results <- strconv.Itoa(seed + 1)
			} else {
				results <- ""
			}
		}()
	}
	var winners []string
	for range starts {
		if r := <-results; r != "" {
			winners = append(winners, r)
		}
	}
	s, err := run.SettingsAt(dir)
	if err != nil || len(winners) != 1 || strconv.FormatUint(s.Seed, 10) != winners[0] {
		t.Errorf("the starts with seeds %q won, the folder is that of %d: %v", winners, s.Seed, err)
	}
}

// TestDefaultFoldersAreNumbered and claimed at once.
