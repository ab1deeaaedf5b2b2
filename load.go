package xlstm

import (
	"path/filepath"

	"github.com/pkg/errors"
)

// Load reads a model written by Save or by one of the official implementations.
// path is
//
//   - a folder with config.json and the weights: model.safetensors,
//     model.safetensors.index.json and the files that it names, as Hugging Face's
//     transformers write them, model_0.safetensors and so on, as the official code
//     of xLSTM-7B's architecture reads them, pytorch_model.bin, or any one file of
//     safetensors or of torch.save;
//   - or a file of weights with config.json beside it.
//
// A file of torch.save (.pt, .pth, .bin) is read without executing it; see
// package internal/pytorch. config.yaml may take the place of config.json; see
// ReadConfig. The configuration may have any form that ParseConfig reads. The
// weights are a state_dict in F32, F16, BF16 or F64, with sLSTM cells in the
// vanilla or the CUDA layout, which the shapes of their kernels distinguish
// (see WithLayout). The file must contain every parameter, with its shape and
// with numbers that are finite in the model's type, and no other tensor; with
// tied weights the head is optional and must equal the embedding. Otherwise the
// error lists everything that is wrong. In Hugging Face's form a head that
// differs from the embedding is read as a separate parameter, as in
// transformers: then TieWeights of the model's configuration is false. Warnings
// reports this and the fields that were ignored. A file listed in
// checksums.sha256 in the same folder, which Save writes, must have that
// checksum; files of other programs are not listed.
//
// The model computes in the type that WithDtype sets, by default float32,
// whatever the encoding in the file: numbers are converted, and F64 is rounded.
// Each tensor is read from the file directly into its parameter, so that
// loading takes little more memory than the model itself.
//
// WithWeights packs weights while they are read. Weights that are stored in that
// format, in BF16 or by Quantize, are not read but mapped into memory: they are
// read from the disk when they are used, processes share them, and neither their
// numbers nor the checksum of a file that Quantize wrote are verified. The files
// must not be changed in place while the model is used.
func Load(path string, opts ...Option) (*Model, error) {
	o := newOptions(opts)
	if err := o.checkWeights(); err != nil {
		return nil, err
	}
	config, weights, err := locate(path)
	if err != nil {
		return nil, err
	}
	if o.packs() && isFile(filepath.Join(filepath.Dir(config), adapterFile)) {
		m, err := Load(path, append(opts[:len(opts):len(opts)], WithWeights(WeightsFloat32))...)
		if err != nil {
			return nil, err
		}
		return m.Packed(o.weights) // with the adapters merged
	}
	raw, cfg, err := readConfig(config, 0)
	if err != nil {
		return nil, err
	}
	st, err := openStored(weights)
	if err != nil {
		return nil, err
	}
	defer st.close()
	cfg, warnings, err := st.untie(cfg, o)
	if err != nil {
		return nil, errors.Wrapf(err, "xlstm: %s", weights)
	}
	m, a, err := st.load(cfg, o)
	if err != nil {
		return nil, errors.Wrapf(err, "xlstm: %s", weights)
	}
	m.source = newSource(filepath.Base(config), raw, st, a)
	m.source.warnings = warnings
	m.generationEnds, err = readGenerationEnds(filepath.Dir(config))
	if err != nil {
		return nil, err
	}
	if err := m.mergeAdapters(filepath.Dir(config)); err != nil {
		return nil, err
	}
	return m, m.settle(o.device)
}

// untie gives a configuration of Hugging Face's form a head of its own if the
// tensors have one that differs from the embedding: transformers from 5.0 on
// computes with it, even though the configuration says that they are tied.
func (st *checkpoint) untie(cfg Config, o options) (Config, []string, error) {
	if !cfg.TieWeights || cfg.huggingFace() == nil {
		return cfg, nil, nil
	}
	a, _, err := assign(cfg, st.tensors, o.layout)
	if err != nil {
		return cfg, nil, err
	}
	problems, err := a.checkHead(cfg)
	if err != nil || len(problems) == 0 {
		return cfg, nil, err
	}
	cfg.TieWeights = false
	return cfg, []string{problems[0] + "; it is used as it is, as transformers from 5.0 on does, where 4.x puts the embedding in its place"}, nil
}

// load makes a model of the tensors. Names and shapes are checked first, so that a
// model that no memory may hold is never made.
func (st *checkpoint) load(cfg Config, o options) (*Model, assignment, error) {
	a, err := st.check(cfg, o, false)
	if err != nil {
		return nil, a, err
	}
	m, err := st.empty(cfg, a, o)
	if err != nil {
		return nil, a, err
	}
	problems, err := a.fill(m)
	if err != nil {
		return nil, a, err
	}
	return m, a, listed(misfit, problems)
}

// empty makes a model with the weights that it holds packed; the others are zero.
func (st *checkpoint) empty(cfg Config, a assignment, o options) (m *Model, err error) {
	packed, err := st.pack(a, o)
	if err == nil {
		m, err = newEmptyModel(cfg, o.dtype, packed)
	}
	if err != nil {
		for _, mapping := range st.mappings() {
			mapping.Unmap() // the error is that of the model
		}
		return nil, err
	}
	m.holds(st.mappings())
	return m, nil
}

const misfit = "the weights do not fit the model's configuration"

// check returns which tensor is which parameter, and an error that lists all that
// does not fit. Numbers are looked at if that is asked for, or if there are
// problems already.
func (st *checkpoint) check(cfg Config, o options, numbers bool) (assignment, error) {
	a, problems, err := assign(cfg, st.tensors, o.layout)
	if err != nil {
		return a, err
	}
	more, err := a.checkHead(cfg)
	if err != nil {
		return a, err
	}
	problems = append(problems, more...)
	if numbers || len(problems) > 0 {
		more, err := a.scan(o.dtype)
		if err != nil {
			return a, err
		}
		problems = append(problems, more...)
	}
	return a, listed(misfit, problems)
}

// LoadWeights replaces the parameters by those of a safetensors file or an
// index of several files, converted to the model's type. See Load for the
// required contents; of opts only WithLayout applies. After an error, which
// lists what is wrong, the parameters are unchanged.
func (m *Model) LoadWeights(path string, opts ...Option) error {
	o := newOptions(opts)
	o.dtype = m.Dtype()
	if err := m.needsFloats("cannot be replaced"); err != nil {
		return err
	}
	st, err := openStored(path)
	if err != nil {
		return err
	}
	defer st.close()
	a, err := st.check(m.cfg, o, true)
	if err != nil {
		return errors.Wrapf(err, "xlstm: %s", path)
	}
	m.turns.Lock()
	defer m.turns.Unlock()
	problems, err := a.fill(m)
	if err == nil {
		err = listed("the file has changed while it was read", problems)
	}
	if err != nil {
		return errors.Wrapf(err, "xlstm: %s", path)
	}
	return m.Push()
}
