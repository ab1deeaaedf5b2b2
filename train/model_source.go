package main

import (
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/internal/run"
	"github.com/gorgonia-xlstm/xlstm/internal/rundir"
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
func (m *modelSource) load(f *flags, path string) (run.Settings, error) {
	if path != "" && (m.from.config != "" || m.from.model != "") {
		return run.Settings{}, errors.Errorf("%s takes a folder or -config or -model, not both; leave %s out", f.Name(), path)
	}
	if isConfig(path) {
		m.from.model, path = path, ""
	}
	s, err := settingsAt(path, m.from)
	if err != nil {
		return s, err
	}
	warn(f.c.err, s.Model.Warnings())
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

// isConfig reports whether a path is by its name a file with a configuration, and
// not a folder or a file of weights.
func isConfig(path string) bool {
	ext := filepath.Ext(path)
	return ext == ".yaml" || ext == ".yml" || ext == ".json" && !strings.HasSuffix(path, ".index.json")
}

// settingsAt returns the settings of the run or of the model at a path, or without
// one those that the flags name.
func settingsAt(path string, from source) (s run.Settings, err error) {
	if path == "" {
		return from.load()
	}
	if rundir.IsRun(path) {
		return run.SettingsAt(path)
	}
	s.Model, err = xlstm.ReadConfig(path, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return s, errors.Errorf("%s is neither a run nor a model: it has no %s and no config.json", path, run.SettingsFile)
	}
	return s, err
}
