// Package golden reads the reference numbers under testdata/golden, which were
// computed with the official implementation, for the tests of the other
// packages. See testdata/golden/README.md.
package golden

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"sort"

	"github.com/nlpodyssey/safetensors"
	"github.com/pkg/errors"
)

// Tensor is a tensor of a file, its elements in row-major order, widened to
// float64.
type Tensor struct {
	Shape []int
	Data  []float64
	// Rounded reports whether the file stores the numbers as float32.
	Rounded bool
}

// Ints returns the elements as integers.
func (t Tensor) Ints() []int {
	out := make([]int, len(t.Data))
	for i, v := range t.Data {
		out[i] = int(v)
	}
	return out
}

// Read returns the tensors of a safetensors file by name.
func Read(path string) (map[string]Tensor, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	st, err := safetensors.Deserialize(raw)
	if err != nil {
		return nil, errors.Wrapf(err, "reading %s", path)
	}
	out := make(map[string]Tensor)
	for _, v := range st.Tensors() {
		t := Tensor{Rounded: v.TensorView.DType() == safetensors.F32}
		n := 1
		for _, d := range v.TensorView.Shape() {
			t.Shape = append(t.Shape, int(d))
			n *= int(d)
		}
		size := len(v.TensorView.Data()) / max(1, n)
		for i := range n {
			bits := v.TensorView.Data()[i*size:]
			switch v.TensorView.DType() {
			case safetensors.F32:
				t.Data = append(t.Data, float64(math.Float32frombits(binary.LittleEndian.Uint32(bits))))
			case safetensors.F64:
				t.Data = append(t.Data, math.Float64frombits(binary.LittleEndian.Uint64(bits)))
			case safetensors.I64:
				t.Data = append(t.Data, float64(int64(binary.LittleEndian.Uint64(bits))))
			default:
				return nil, errors.Errorf("%s: %s is of dtype %v", path, v.Name, v.TensorView.DType())
			}
		}
		out[v.Name] = t
	}
	return out, nil
}

// Header returns the metadata of a safetensors file.
func Header(path string) (map[string]string, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint64(raw)
	var h struct {
		Meta map[string]string `json:"__metadata__"`
	}
	return h.Meta, json.Unmarshal(raw[8:8+n], &h)
}

// Kernels returns the files kernels/<kind>*.safetensors under root, sorted.
func Kernels(root, kind string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(root, "kernels", kind+"*.safetensors"))
	sort.Strings(files)
	return files, err
}

// Models returns the folders of whole models under root, sorted.
func Models(root string) ([]string, error) {
	configs, err := filepath.Glob(filepath.Join(root, "*", "config.json"))
	var dirs []string
	for _, c := range configs {
		dirs = append(dirs, filepath.Dir(c))
	}
	sort.Strings(dirs)
	return dirs, err
}

// Report contains, per case, the distance of PyTorch's own float32 run from the
// reference.
type Report map[string]struct {
	LogitsAbs float64            `json:"torch_f32_vs_f64_logits_max_abs"`
	GradRel   float64            `json:"torch_f32_vs_f64_grad_max_rel_to_tensor_max"`
	HRel      float64            `json:"torch_f32_h_rel"`
	YRel      float64            `json:"torch_f32_y_rel"`
	Grads     map[string]float64 `json:"torch_f32_grad_rel"`
}

// ReadReport reads report.json under root.
func ReadReport(root string) (Report, error) {
	raw, err := os.ReadFile(filepath.Join(root, "report.json"))
	if err != nil {
		return nil, err
	}
	r := Report{}
	return r, errors.Wrap(json.Unmarshal(raw, &r), "reading report.json")
}

// Float32Tolerance returns ten times the distance that pick selects, and at
// least ten rounding errors, because PyTorch's own error may happen to be zero.
// A case without an entry gets the largest distance of all cases.
func (r Report) Float32Tolerance(name string, pick func(name string) float64) float64 {
	tol := 0.0
	if _, known := r[name]; known {
		tol = pick(name)
	} else {
		for other := range r {
			tol = math.Max(tol, pick(other))
		}
	}
	return 10 * math.Max(tol, 1.2e-7)
}

// Apart returns the largest difference between two slices, relative to the
// largest absolute value of want or floor, whichever is larger. It returns +Inf
// if got contains a NaN or has a different length.
func Apart(got, want []float64, floor float64) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	diff, top := 0.0, floor
	for i, w := range want {
		d := math.Abs(got[i] - w)
		if math.IsNaN(d) {
			return math.Inf(1)
		}
		diff, top = math.Max(diff, d), math.Max(top, math.Abs(w))
	}
	if diff == 0 {
		return 0
	}
	return diff / top
}
