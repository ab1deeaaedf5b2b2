// Package rundir knows how a training run is laid out on disk: which file makes
// a folder that of a run, and where in it the models are. Programs that only
// use models need no more of a run than this.
package rundir

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	"github.com/pkg/errors"
)

// SettingsFile is the file that makes a folder that of a run.
const SettingsFile = "run.json"

// The kinds of checkpoint: the position of a run, and the model that was best on
// the held-out part. The folder's name is the kind and the step.
const (
	LastKind = "checkpoint"
	BestKind = "best"
)

// Checkpoint is a folder of a model within the folder of a run.
type Checkpoint struct {
	Dir  string
	Step int
}

// CheckpointName returns the name of the folder of a checkpoint within the run's.
func CheckpointName(kind string, step int) string { return fmt.Sprintf("%s-%08d", kind, step) }

// Checkpoints lists the checkpoints of a kind, the newest first.
func Checkpoints(run, kind string) ([]Checkpoint, error) {
	entries, err := os.ReadDir(run)
	if err != nil {
		return nil, errors.Wrap(err, "looking for checkpoints")
	}
	pattern := regexp.MustCompile("^" + kind + `-(\d+)$`)
	var found []Checkpoint
	for _, e := range entries {
		m := pattern.FindStringSubmatch(e.Name())
		if m == nil || !e.IsDir() {
			continue
		}
		step, err := strconv.Atoi(m[1])
		if err != nil {
			continue
		}
		found = append(found, Checkpoint{filepath.Join(run, e.Name()), step})
	}
	slices.SortFunc(found, func(a, b Checkpoint) int { return b.Step - a.Step })
	return found, nil
}

// IsRun reports whether a path is the folder of a run.
func IsRun(path string) bool {
	_, err := os.Stat(filepath.Join(path, SettingsFile))
	return !IsFile(path) && !os.IsNotExist(err)
}

// IsFile reports whether there is something at a path that is no folder.
func IsFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// ModelPath returns the location of the model that a path refers to: the best
// model of a run or, if there is none, its last checkpoint; any other path is
// returned unchanged.
func ModelPath(path string) (string, error) {
	if !IsRun(path) {
		return path, nil
	}
	for _, kind := range []string{BestKind, LastKind} {
		found, err := Checkpoints(path, kind)
		if err != nil {
			return "", err
		}
		if len(found) > 0 {
			return found[0].Dir, nil
		}
	}
	return "", errors.Errorf("the run in %s has no checkpoint yet", path)
}
