package main

import (
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/pkg/errors"
)

// modelSource is where commands that need no weights have a model from: the
// folder of a run or of a model, a configuration's file, or flags.
type modelSource struct {
	from  source
	given []func(cfg *xlstm.Config) error
	vocab int
}

// register adds the flags.
func (m *modelSource) register(f *flags) {
	m.from.register(f.FlagSet)
	for _, part := range newModelFlags() {
		part.add(f.FlagSet, func(v string) error {
			m.given = append(m.given, func(cfg *xlstm.Config) error { return part.set(cfg, v) })
			return part.set(new(xlstm.Config), v)
		})
	}
	f.IntVar(&m.vocab, "vocab", 0, "vocabulary of a model that is given by settings (default: what the file says, or 65)")
}

// load returns the settings of a run, of a preset or of a file, with the model's
// configuration as the flags change it; of a model's folder the configuration
// alone. path is what the command was given without a flag, "" for nothing.
func (m *modelSource) load(f *flags, path string) (settings, error) {
	if path != "" && (m.from.config != "" || m.from.model != "") {
		return settings{}, errors.Errorf("%s takes a folder or -config or -model, not both; leave %s out", f.Name(), path)
	}
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		m.from.model, path = path, ""
	}
	s, err := settingsAt(path, m.from)
	if err != nil {
		return s, err
	}
	cfg := &s.Model
	for _, set := range m.given {
		if err := set(cfg); err != nil {
			return s, err
		}
	}
	switch {
	case m.vocab > 0:
		cfg.VocabSize = m.vocab
	case cfg.VocabSize <= 1:
		cfg.VocabSize = 65
	}
	return s, nil
}

// settingsAt returns the settings of the run or of the model in a folder, or
// without one those that the flags name.
func settingsAt(folder string, from source) (s settings, err error) {
	if folder == "" {
		return from.load()
	}
	if _, err := os.Stat(filepath.Join(folder, runFile)); err == nil {
		return openRun(folder)
	}
	data, err := files.ReadVerified(filepath.Join(folder, "config.json"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, errors.Wrap(err, "reading the model's configuration")
	}
	if err != nil {
		return s, errors.Errorf("%s is neither a run nor a model: it has no %s and no config.json", folder, runFile)
	}
	s.Model, err = xlstm.ParseConfig(data)
	return s, errors.Wrapf(err, "%s", folder)
}
