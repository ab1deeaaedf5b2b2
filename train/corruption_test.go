package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/run"
	"github.com/gorgonia-xlstm/xlstm/internal/rundir"
	"github.com/gorgonia-xlstm/xlstm/safetensors"
)

// fromEnvironment returns a number of repetitions that a variable may raise.
func fromEnvironment(t *testing.T, variable string, normally int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return normally
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q, not a number of repetitions", variable, text)
	}
	return n
}

// outcome is what becomes of a command on a damaged folder. There is no fourth.
type outcome int

const (
	refused outcome = iota // an error
	told                   // it continues from what is intact, and says so
	same                   // what it would have been without the damage
)

// TestDamageToAnyFileOfARun damages every file of a run in turn and checks that
// resuming the run and reading it gives an error, the result of what is whole with
// a sentence that says so, or the same as ever. XLSTM_DAMAGES is the number of
// times per file; docs/safety.md has the table of 200.
func TestDamageToAnyFileOfARun(t *testing.T) {
	times := fromEnvironment(t, "XLSTM_DAMAGES", 2)
	stopped, _ := stoppedRun(t)
	want := expectations(t, stopped)
	r := rand.New(rand.NewPCG(1, 12))
	t.Logf("%-45s %29s %29s", "", "resume", "report, sample")
	t.Logf("%-45s %9s %9s %9s %9s %9s %9s", "file", "error", "fallback", "same", "error", "told", "same")
	err := fs.WalkDir(os.DirFS(stopped), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		var resumes, reads [3]int
		for range times {
			dir := filepath.Join(t.TempDir(), filepath.Base(stopped))
			copyFolder(t, dir, stopped)
			what := damage(t, r, filepath.Join(dir, filepath.FromSlash(name)))
			reads[want.read(t, dir, what)]++
			resumes[want.resume(t, dir, what)]++
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
		}
		t.Logf("%-45s %9d %9d %9d %9d %9d %9d", name, resumes[refused], resumes[told], resumes[same], reads[refused], reads[told], reads[same])
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func copyFolder(t *testing.T, to, from string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// damage changes a file as a failing disk, a full one or a clumsy hand does, and
// says how.
func damage(t *testing.T, r *rand.Rand, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	was := bytes.Clone(content)
	at := 0
	if len(content) > 0 {
		at = r.IntN(len(content))
	}
	how := r.IntN(5)
	switch {
	case len(content) == 0 || how == 0:
		content = append(content, byte(r.UintN(256)))
	case how == 1:
		content = content[:at]
	case how == 2:
		clear(content[at:min(at+1+r.IntN(512), len(content))])
	case how == 3:
		content[at] = byte(r.UintN(256))
	default:
		content[at] ^= 1 << r.IntN(8)
	}
	if bytes.Equal(was, content) {
		return path + " as it was"
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s, damage %d at byte %d", path, how, at)
}

// expected is what the commands give without damage.
type expected struct {
	files   map[string][]byte // of the checkpoints one step further, by their paths in the run
	losses  map[string]bool   // what the log may say
	view    run.View
	weights string
}

// expectations resumes copies of a run by one step, from its newest checkpoint and
// from the one before.
func expectations(t *testing.T, stopped string) expected {
	t.Helper()
	want := expected{files: make(map[string][]byte), losses: make(map[string]bool)}
	for _, without := range []string{"none", rundir.CheckpointName(rundir.LastKind, 16)} {
		dir := filepath.Join(t.TempDir(), filepath.Base(stopped))
		copyFolder(t, dir, stopped)
		if err := os.RemoveAll(filepath.Join(dir, without)); err != nil {
			t.Fatal(err)
		}
		if _, errs, err := oneStep(dir); err != nil || errs != "" {
			t.Fatalf("%v\n%s", err, errs)
		}
		for name, content := range newestFiles(t, dir) {
			want.files[name] = content
		}
		for _, l := range losses(t, dir) {
			want.losses[l] = true
		}
	}
	var err error
	if want.view, err = run.Read(stopped); err != nil || len(want.view.Flaws) > 0 {
		t.Fatal(err, want.view.Flaws)
	}
	lm, err := openModel(stopped, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	model := lm.Model()
	want.weights = bitsOf(model)
	return want
}

// oneStep resumes a run that is interrupted at once, which ends it after a step.
func oneStep(dir string) (out, errs string, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return runHere(ctx, "resume", dir)
}

// newestFiles returns what a run's newest checkpoint holds that a resumed run
// depends on, but for the time that was spent.
func newestFiles(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	all := make(map[string][]byte)
	for _, name := range []string{run.WeightsFile, data.TokenizerFile, "config.json"} {
		path := filepath.Join(newest(t, dir), name)
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Join(filepath.Base(newest(t, dir)), name)] = content
	}
	tensors, _, err := safetensors.ReadFile(filepath.Join(newest(t, dir), "training.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	var moments bytes.Buffer
	for _, p := range tensors {
		fmt.Fprintln(&moments, p.Name, p.Value.Data())
	}
	all[filepath.Join(filepath.Base(newest(t, dir)), "moments")] = moments.Bytes()
	return all
}

func bitsOf(m *xlstm.Model) string {
	var all strings.Builder
	for _, p := range m.Params() {
		fmt.Fprintln(&all, p.Name, p.Value.Data())
	}
	return all.String()
}

// resume resumes a damaged run by a step.
func (want expected) resume(t *testing.T, dir, what string) outcome {
	t.Helper()
	_, errs, err := oneStep(dir)
	if err != nil {
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: more than a sentence: %v", what, err)
		}
		return refused
	}
	for name, content := range newestFiles(t, dir) {
		if !bytes.Equal(content, want.files[name]) {
			t.Errorf("%s: resuming gives another %s\n%s", what, name, errs)
		}
	}
	said := losses(t, dir)
	for _, l := range said {
		if !want.losses[l] {
			t.Errorf("%s: the log says %s", what, l)
		}
	}
	if errs != "" {
		return told
	}
	if filepath.Base(newest(t, dir)) != rundir.CheckpointName(rundir.LastKind, 17) || len(said) != 17 {
		t.Errorf("%s: without a word the run is at %s with %d lines in its log", what, newest(t, dir), len(said))
	}
	return same
}

// read reads a damaged run for a report and its best model for a sample.
func (want expected) read(t *testing.T, dir, what string) outcome {
	t.Helper()
	result := same
	switch view, err := run.Read(dir); {
	case err != nil:
		result = refused
	case len(view.Flaws) > 0:
		result = told
	case !reflect.DeepEqual(view, want.view):
		t.Errorf("%s: a report would show %d steps and %d samples, or others, want %d and %d", what, len(view.Records), len(view.Samples), len(want.view.Records), len(want.view.Samples))
	}
	switch lm, err := openModel(dir, io.Discard); {
	case err != nil:
		result = refused
	case bitsOf(lm.Model()) != want.weights:
		t.Errorf("%s: the best model is another", what)
	}
	return result
}
