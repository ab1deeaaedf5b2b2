//go:build linux

package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorgonia-xlstm/xlstm/internal/run"
	"github.com/gorgonia-xlstm/xlstm/internal/rundir"
)

// TestLongRunStaysSmall takes the steps of a long run with a small model, which is
// evaluated, saved and drawn all the time, and watches its memory and its folder.
// XLSTM_STEPS is how many; docs/safety.md has the curve of 100 000.
func TestLongRunStaysSmall(t *testing.T) {
	steps := fromEnvironment(t, "XLSTM_STEPS", 400)
	text, dir := sampleText(t), filepath.Join(t.TempDir(), "run")
	cmd, out := child(small(text, dir, "-steps", strconv.Itoa(steps), "-eval-every", "20", "-save-every", "10", "-patience", "0")...)
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	const points = 20
	var resident [points - 1]int64
	for i := range resident {
		at := steps * (i + 1) / points
		for !exists(filepath.Join(dir, rundir.CheckpointName(rundir.LastKind, at/10*10))) {
			if time.Sleep(time.Millisecond); checkpointAfter(t, dir, at) {
				break
			}
			if time.Since(began) > 6*time.Hour {
				t.Fatalf("it does not get to step %d", at)
			}
		}
		resident[i] = residentBytes(t, cmd.Process.Pid)
		size, count := sizeOf(t, dir)
		t.Logf("step %7d: %5.1f MB resident, %7.1f kB on disk in %5d files, %6.0f s", at, float64(resident[i])/1e6, float64(size)/1e3, count, time.Since(began).Seconds())
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	early, late := median(resident[3:9]), median(resident[13:])
	if float64(late) > 1.15*float64(early)+4e6 {
		t.Errorf("%d bytes are resident in the last third of the run, %d in the second quarter", late, early)
	}
	noLeftovers(t, dir)
	wantBoundedFolder(t, dir, steps)
}

// median returns the middle one of some numbers.
func median(of []int64) int64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// checkpointAfter reports whether a run has a checkpoint of a later step.
func checkpointAfter(t *testing.T, dir string, step int) bool {
	t.Helper()
	if !exists(dir) {
		return false
	}
	found, err := rundir.Checkpoints(dir, rundir.LastKind)
	if err != nil {
		t.Fatal(err)
	}
	return len(found) > 0 && found[0].Step >= step
}

// residentBytes returns how much memory a process has.
func residentBytes(t *testing.T, pid int) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(status))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// sizeOf returns the bytes and the number of files below a folder, which may
// change meanwhile.
func sizeOf(t *testing.T, dir string) (bytes int64, count int) {
	t.Helper()
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			bytes, count = bytes+info.Size(), count+1
		}
		return nil
	})
	return bytes, count
}

// wantBoundedFolder checks that a finished run's folder has grown by its log and its
// samples alone.
func wantBoundedFolder(t *testing.T, dir string, steps int) {
	t.Helper()
	for kind, most := range map[string]int{rundir.LastKind: run.KeepLast, rundir.BestKind: 1} {
		if found, err := rundir.Checkpoints(dir, kind); err != nil || len(found) > most {
			t.Errorf("%d of %s: %v", len(found), kind, err)
		}
	}
	info, err := os.Stat(filepath.Join(dir, run.LogFile))
	if err != nil || info.Size() > int64(steps)*400 {
		t.Errorf("the log of %d steps has %d bytes: %v", steps, info.Size(), err)
	}
	if _, count := sizeOf(t, filepath.Join(dir, run.SamplesDir)); count > steps/20+2 {
		t.Errorf("%d samples", count)
	}
}
