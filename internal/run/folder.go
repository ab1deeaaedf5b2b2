package run

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/internal/rundir"
	"github.com/pkg/errors"
)

// The files of a run's folder, in addition to its checkpoints.
const (
	SettingsFile = rundir.SettingsFile
	LogFile      = "log.jsonl"
	AboutFile    = "about.json"
	ReportFile   = "report.html"
	lockFile     = ".lock"
	SamplesDir   = "samples"
	WeightsFile  = "model.safetensors"
)

// KeepLast is the number of checkpoints of a run that are kept: if the newest
// is unreadable, the previous one is used.
const KeepLast = 2

// ClaimFolder creates the folder parent/name, with a number appended if it
// exists.
func ClaimFolder(parent, name string) (string, error) {
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", errors.Wrap(err, "making a folder for the run")
	}
	for i := 1; ; i++ {
		dir := filepath.Join(parent, name)
		if i > 1 {
			dir = fmt.Sprintf("%s-%d", dir, i)
		}
		switch err := os.Mkdir(dir, 0o755); {
		case err == nil:
			return dir, nil
		case !os.IsExist(err):
			return "", errors.Wrap(err, "making a folder for the run")
		}
	}
}

// Begin creates the folder of a new run, takes its lock, and saves the
// settings.
func Begin(dir string, s Settings) (unlock func(), err error) {
	// Looked at before anything is made in it, and again when it cannot change.
	if err := vacant(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, errors.Wrap(err, "making the run's folder")
	}
	if unlock, err = Lock(dir); err != nil {
		return nil, err
	}
	if err = vacant(dir); err == nil {
		err = saveSettings(dir, s)
	}
	if err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}

// TakenError is the error for a folder that a new run cannot use: it belongs to
// another run or contains other files.
type TakenError struct {
	Dir   string
	IsRun bool
}

func (e *TakenError) Error() string {
	if e.IsRun {
		return e.Dir + " belongs to another run"
	}
	return e.Dir + " is not empty"
}

// vacant reports whether a new run may have a folder, by an error that says why
// not. One that holds anything already is left alone, unless it is what a run that
// was killed while it made its first file left there.
func vacant(dir string) error {
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return errors.Wrap(err, "making the run's folder")
	}
	entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool { return files.IsTemp(e.Name()) || e.Name() == lockFile })
	if len(entries) == 0 {
		return nil
	}
	_, err = os.Stat(filepath.Join(dir, SettingsFile))
	return &TakenError{Dir: dir, IsRun: err == nil}
}

func saveSettings(dir string, s Settings) error {
	return errors.Wrap(writeJSON(filepath.Join(dir, SettingsFile), s), "saving the settings")
}

// writeJSON writes v, indented, to a file with a checksum.
func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return files.WriteSummed(path, func(w io.Writer) error {
		_, err := w.Write(append(data, '\n'))
		return err
	})
}

// SettingsAt reads the settings of a run.
func SettingsAt(dir string) (Settings, error) {
	path := filepath.Join(dir, SettingsFile)
	if _, err := os.Stat(path); os.IsNotExist(err) {
		return Settings{}, errors.Errorf("%s is not the folder of a run: it has no %s", dir, SettingsFile)
	}
	s, err := ReadSettings(path, Settings{})
	if err != nil {
		return s, err
	}
	return s, errors.Wrapf(s.Check(), "the settings in %s", path)
}

// writeCheckpoint writes a checkpoint and then removes older ones of its kind,
// all but keep. One that exists is left as it is: the same step of the same run.
func writeCheckpoint(run, kind string, step, keep int, write func(tmp string) error) error {
	dir := filepath.Join(run, rundir.CheckpointName(kind, step))
	if _, err := os.Stat(dir); os.IsNotExist(err) {
		if err := files.WriteDir(dir, write); err != nil {
			return errors.Wrapf(err, "writing the checkpoint of step %d", step)
		}
	}
	all, err := rundir.Checkpoints(run, kind)
	if err != nil {
		return err
	}
	for _, old := range all[min(keep, len(all)):] {
		if err := files.RemoveDir(old.Dir); err != nil {
			return errors.Wrap(err, "removing an old checkpoint")
		}
	}
	return nil
}
