package xlstm

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/layers"
	"github.com/pkg/errors"
	"gorgonia.org/tensor"
)

// The files of a model folder.
const (
	configFile  = "config.json"
	weightsFile = "model.safetensors"
)

// The parameters that weights that are tied share.
const (
	embeddingName = "token_embedding.weight"
	headName      = "lm_head.weight"
)

// Save writes the model into the folder dir, which must exist: its configuration
// as config.json and its parameters as model.safetensors, under the official
// names and in the layout of the official vanilla backend. With tied weights the
// embedding is written a second time, as the head, as the official state_dict
// has it. The same model makes the same bytes.
//
// Each file is replaced as a whole; the weights come first. Parameters that are
// not finite are an error, and nothing is written.
func (m *Model) Save(dir string) error {
	config, err := json.MarshalIndent(m.cfg, "", "  ")
	if err != nil {
		return errors.Wrapf(err, "xlstm: saving the model in %s", dir)
	}
	tensors := m.Params()
	for _, p := range tensors {
		if !fitsIn(p.Value, m.Dtype()) {
			return errors.Errorf("xlstm: saving the model in %s: %s holds numbers that are not finite; go back to a model saved before", dir, p.Name)
		}
	}
	if m.cfg.TieWeights {
		embedding, _ := m.Param(embeddingName)
		tensors = append(tensors, layers.Param{Name: headName, Value: embedding})
	}
	if err := WriteTensors(filepath.Join(dir, weightsFile), tensors, map[string]string{"format": "pt"}); err != nil {
		return err
	}
	return errors.Wrap(files.WriteFile(filepath.Join(dir, configFile), func(w io.Writer) error {
		_, err := w.Write(append(config, '\n'))
		return err
	}), "xlstm")
}

// Load reads the model that Save, or the official implementation's vanilla
// backend, has put into the folder dir as config.json and model.safetensors. The
// model computes in the type that WithDtype sets, float32 if it is not given,
// whatever the type of the weights in the file: they are converted, and those of
// float64 rounded. See LoadWeights for what the weights must be.
func Load(dir string, opts ...Option) (*Model, error) {
	path := filepath.Join(dir, configFile)
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, errors.Wrapf(err, "xlstm: loading a model, which is a folder with %s and %s", configFile, weightsFile)
	}
	cfg, err := ParseConfig(raw)
	if err != nil {
		return nil, errors.Wrapf(err, "xlstm: %s", path)
	}
	path = filepath.Join(dir, weightsFile)
	tensors, _, err := ReadTensors(path)
	if err != nil {
		return nil, err
	}
	// Checked first, so that a model that no memory may hold is never made.
	if err := checkWeights(cfg, newOptions(opts).dtype, tensors); err != nil {
		return nil, errors.Wrapf(err, "xlstm: %s", path)
	}
	m, err := New(cfg, opts...)
	if err != nil {
		return nil, err
	}
	m.setWeights(tensors)
	return m, nil
}

// LoadWeights replaces the parameters by those of a safetensors file, converted
// to the model's type. The file must have every parameter, in its shape, all
// numbers finite in the model's type, and no other tensor; only with tied weights
// a head may be there or not, if it equals the embedding. Otherwise the error
// lists all that is wrong, and the parameters stay as they were.
func (m *Model) LoadWeights(path string) error {
	tensors, _, err := ReadTensors(path)
	if err != nil {
		return err
	}
	if err := checkWeights(m.cfg, m.Dtype(), tensors); err != nil {
		return errors.Wrapf(err, "xlstm: %s", path)
	}
	m.setWeights(tensors)
	return nil
}

// setWeights copies tensors that checkWeights has nothing against.
func (m *Model) setWeights(tensors []layers.Param) {
	for _, t := range tensors {
		p, ok := m.Param(t.Name)
		switch {
		case !ok: // a tied head, which is none of the model's parameters
		case m.Dtype() == tensor.Float64:
			convert(p.Float64s(), t.Value)
		default:
			convert(p.Float32s(), t.Value)
		}
	}
}

// checkWeights returns an error that lists all in which tensors differ from the
// parameters of a model of this configuration in type dt.
func checkWeights(cfg Config, dt tensor.Dtype, tensors []layers.Param) error {
	if cfg.NumBlocks > len(tensors) {
		return errors.Errorf("it has %d tensors, too few for the %d blocks of the model's configuration", len(tensors), cfg.NumBlocks)
	}
	cost, err := cfg.Cost(CostOptions{Batch: 1, Steps: 1})
	if err != nil {
		return err
	}
	rest := make(map[string]*tensor.Dense)
	for _, t := range tensors {
		rest[t.Name] = t.Value
	}
	var problems []string
	if head, ok := rest[headName]; ok && cfg.TieWeights {
		if embedding, ok := rest[embeddingName]; ok && !equal(head, embedding) {
			problems = append(problems, headName+" differs from "+embeddingName+" though tie_weights is true")
		}
		delete(rest, headName)
	}
	cuda := false
	for _, want := range cost.Total().Tensors {
		t, ok := rest[want.Name]
		delete(rest, want.Name)
		switch {
		case !ok:
			problems = append(problems, want.Name+" is missing")
		case !slices.Equal(t.Shape(), want.Shape):
			problems = append(problems, fmt.Sprintf("%s has shape %v and not %v", want.Name, t.Shape(), tensor.Shape(want.Shape)))
			cuda = cuda || inCUDALayout(want, t.Shape())
		case !fitsIn(t, dt):
			problems = append(problems, fmt.Sprintf("%s holds numbers that are not finite in %v", want.Name, dt))
		}
	}
	for _, t := range tensors {
		if _, ok := rest[t.Name]; ok {
			problems = append(problems, fmt.Sprintf("%.200q is no parameter of the model", t.Name))
		}
	}
	return listed(problems, cuda)
}

// listed makes one error of all problems, nil if there are none.
func listed(problems []string, cuda bool) error {
	const most = 10
	if len(problems) == 0 {
		return nil
	}
	what := "the weights do not fit the model's configuration"
	if cuda {
		what = "the file seems to hold the CUDA layout of the sLSTM cells, while the vanilla layout is needed: save it again with the vanilla backend"
	}
	if more := len(problems) - most; more > 0 {
		problems = append(problems[:most:most], fmt.Sprintf("and %d more", more))
	}
	return errors.Errorf("%s: %s", what, strings.Join(problems, "; "))
}

// inCUDALayout says whether got is the shape in which the official CUDA backend
// keeps an sLSTM's recurrent kernel, (NH, DH, 4·DH), where want is that of the
// vanilla layout, (NH, 4·DH, DH).
func inCUDALayout(want TensorShape, got tensor.Shape) bool {
	s := want.Shape
	return strings.HasSuffix(want.Name, ".slstm_cell._recurrent_kernel_") && slices.Equal(got, tensor.Shape{s[0], s[2], s[1]})
}

// fitsIn says whether all numbers of t are finite in type dt.
func fitsIn(t *tensor.Dense, dt tensor.Dtype) bool {
	largest := math.MaxFloat64
	if dt == tensor.Float32 {
		largest = math.MaxFloat32
	}
	if t.Dtype() == tensor.Float64 {
		return allWithin(t.Float64s(), largest)
	}
	return allWithin(t.Float32s(), largest)
}

func allWithin[T float32 | float64](x []T, largest float64) bool {
	for _, v := range x {
		if !(math.Abs(float64(v)) <= largest) { // so that NaN is not
			return false
		}
	}
	return true
}

// convert copies the numbers of t, of which there are len(dst).
func convert[T float32 | float64](dst []T, t *tensor.Dense) {
	if t.Dtype() == tensor.Float64 {
		for i, v := range t.Float64s() {
			dst[i] = T(v)
		}
		return
	}
	for i, v := range t.Float32s() {
		dst[i] = T(v)
	}
}

// equal says whether two tensors have the same shape and numbers.
func equal(a, b *tensor.Dense) bool {
	if !slices.Equal(a.Shape(), b.Shape()) {
		return false
	}
	x, y := make([]float64, a.Shape().TotalSize()), make([]float64, b.Shape().TotalSize())
	convert(x, a)
	convert(y, b)
	return slices.Equal(x, y)
}
