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

// load returns the configuration. path is what the command was given without a
// flag, "" for nothing.
func (m *modelSource) load(f *flags, path string) (xlstm.Config, error) {
	if path != "" && (m.from.config != "" || m.from.model != "") {
		return xlstm.Config{}, errors.Errorf("%s takes a folder or -config or -model, not both; leave %s out", f.Name(), path)
	}
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		m.from.model, path = path, ""
	}
	cfg, err := configOf(path, m.from)
	if err != nil {
		return cfg, err
	}
	for _, set := range m.given {
		if err := set(&cfg); err != nil {
			return cfg, err
		}
	}
	switch {
	case m.vocab > 0:
		cfg.VocabSize = m.vocab
	case cfg.VocabSize <= 1:
		cfg.VocabSize = 65
	}
	return cfg, nil
}

// configOf returns the configuration in a folder, or without one of the
// settings.
func configOf(folder string, from source) (xlstm.Config, error) {
	if folder == "" {
		s, err := from.load()
		return s.Model, err
	}
	if _, err := os.Stat(filepath.Join(folder, runFile)); err == nil {
		s, err := openRun(folder)
		return s.Model, err
	}
	data, err := files.ReadVerified(filepath.Join(folder, "config.json"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return xlstm.Config{}, errors.Wrap(err, "reading the model's configuration")
	}
	if err != nil {
		return xlstm.Config{}, errors.Errorf("%s is neither a run nor a model: it has no %s and no config.json", folder, runFile)
	}
	cfg, err := xlstm.ParseConfig(data)
	return cfg, errors.Wrapf(err, "%s", folder)
}
