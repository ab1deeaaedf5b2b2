package run

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/data/bpe"
	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/pkg/errors"
)

// The files of a run's folder, in addition to its checkpoints.
const (
	SettingsFile    = "run.json"
	LogFile         = "log.jsonl"
	AboutFile       = "about.json"
	ReportFile      = "report.html"
	lockFile        = ".lock"
	SamplesDir      = "samples"
	TokenizerFile   = "tokenizer.json"
	TokenizerConfig = "tokenizer_config.json"
	WeightsFile     = "model.safetensors"
)

// The kinds of checkpoint: the position of a run, and the model that was best on
// the held-out part. The folder's name is the kind and the step.
const (
	LastKind = "checkpoint"
	BestKind = "best"
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
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return errors.Wrap(err, "saving the settings")
	}
	return files.WriteSummed(filepath.Join(dir, SettingsFile), func(w io.Writer) error {
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

// writeCheckpoint writes a checkpoint and then removes older ones of its kind,
// all but keep. One that exists is left as it is: the same step of the same run.
func writeCheckpoint(run, kind string, step, keep int, write func(tmp string) error) error {
	dir := filepath.Join(run, CheckpointName(kind, step))
	if _, err := os.Stat(dir); os.IsNotExist(err) {
		if err := files.WriteDir(dir, write); err != nil {
			return errors.Wrapf(err, "writing the checkpoint of step %d", step)
		}
	}
	all, err := Checkpoints(run, kind)
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

// SaveTokenizer writes a vocabulary, and also the tokenizer_config.json for
// Hugging Face's libraries if the vocabulary is in their format.
func SaveTokenizer(dir string, tok data.Tokenizer) error {
	if data.HasTokenizerConfig(tok) {
		if err := files.WriteSummed(filepath.Join(dir, TokenizerConfig), func(w io.Writer) error { return data.SaveTokenizerConfig(w, tok) }); err != nil {
			return err
		}
	}
	return files.WriteSummed(filepath.Join(dir, TokenizerFile), func(w io.Writer) error { return data.SaveTokenizer(w, tok) })
}

// LoadTokenizer reads the vocabulary in a checkpoint's or a model's folder.
func LoadTokenizer(dir string) (data.Tokenizer, error) {
	path := filepath.Join(dir, TokenizerFile)
	content, err := files.ReadVerified(path, bpe.MaxBytes)
	if err != nil {
		return nil, errors.Wrap(err, "opening the vocabulary")
	}
	tok, err := data.LoadTokenizer(bytes.NewReader(content))
	return tok, errors.Wrapf(err, "reading %s", path)
}

// LoadModel loads a model and its vocabulary. path is the folder of a run, of
// which the best model is loaded or, if there is none, the last one, or a path
// for xlstm.Load, the folder of a model or a file of weights, with the
// vocabulary in the same folder.
func LoadModel(path string, opts ...xlstm.Option) (*xlstm.Model, data.Tokenizer, error) {
	from, err := ModelPath(path)
	if err != nil {
		return nil, nil, err
	}
	model, err := xlstm.Load(from, opts...)
	if err != nil {
		return nil, nil, err
	}
	dir := from
	if isFile(from) {
		dir = filepath.Dir(from)
	}
	tok, err := LoadTokenizer(dir)
	if err != nil {
		return nil, nil, err
	}
	if tok, err = withBeginning(tok, model.Config()); err != nil {
		return nil, nil, err
	}
	if !fits(tok, model.Config().VocabSize) {
		return nil, nil, errors.Errorf("%s: the vocabulary has %d tokens, the model %d; they do not belong together", from, tok.Size(), model.Config().VocabSize)
	}
	return model, tok, nil
}

// isFile reports whether there is something at a path that is no folder.
func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// IsRun reports whether a path is the folder of a run.
func IsRun(path string) bool {
	_, err := os.Stat(filepath.Join(path, SettingsFile))
	return !isFile(path) && !os.IsNotExist(err)
}

// fits reports whether a vocabulary can be that of a model. Models with a
// vocabulary of subwords are often given some tokens more than it has, for a
// round number.
func fits(tok data.Tokenizer, size int) bool {
	_, subwords := tok.(interface{ ID(text string) (int, bool) })
	return tok.Size() == size || subwords && tok.Size() < size
}

// ModelPath returns the location of the model that a path refers to.
func ModelPath(dir string) (string, error) {
	if !IsRun(dir) {
		return dir, nil
	}
	for _, kind := range []string{BestKind, LastKind} {
		found, err := Checkpoints(dir, kind)
		if err != nil {
			return "", err
		}
		if len(found) > 0 {
			return found[0].Dir, nil
		}
	}
	return "", errors.Errorf("the run in %s has no checkpoint yet", dir)
}
