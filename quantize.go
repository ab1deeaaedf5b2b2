package xlstm

import (
	"encoding/binary"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/layers"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/gorgonia-xlstm/xlstm/safetensors"
	"github.com/pkg/errors"
	"gorgonia.org/tensor"
)

// QuantizeConfig configures Quantize.
type QuantizeConfig struct {
	// Weights is the format of the weights: WeightsBF16, WeightsInt8 or
	// WeightsInt4.
	Weights WeightFormat
	// MaxShardSize is the maximum size of a file in bytes; see SaveConfig. 0 means
	// DefaultQuantizedShard. Quantize needs memory for one file.
	MaxShardSize int64
}

// DefaultQuantizedShard is the maximum size of the files that Quantize writes.
const DefaultQuantizedShard = 1e9

// The metadata of a file with packed weights.
const (
	metaWeights = "xlstm.weights" // the format
	metaGroup   = "xlstm.group"   // how many numbers have one scale
)

// besideWeights are the files of a model's folder that Quantize copies.
var besideWeights = []string{generationFile, "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"}

// Quantize reads the model at path, which may be any that Load reads, and writes it
// to the folder dir, which must exist, with packed weights: config.json, the tensors
// under their official names in one or several files of safetensors, and copies of
// the vocabulary and of generation_config.json. Load maps such a folder into memory.
//
// Weights that can be packed (see WithWeights) are stored as BF16, as I8 with one
// integer for every number, or as U8 with two, and, for the latter two, the scales of
// NAME as NAME_scale in BF16; docs/weights.md has the layout. All other parameters are
// stored as F32. The metadata of each file has the format as xlstm.weights, and the
// numbers that share a scale as xlstm.group.
//
// The model is never in memory as a whole: each tensor is read in pieces and packed
// when its file is written. Quantize returns an error if dir has weights already, or if a number is
// not finite.
func Quantize(path, dir string, cfg QuantizeConfig) error {
	q, err := newQuantization(path, cfg)
	if err != nil {
		return err
	}
	defer q.close()
	return errors.Wrapf(q.write(dir), "xlstm: quantizing %s", path)
}

// quantization is a model that is to be written with packed weights.
type quantization struct {
	*checkpoint
	assignment
	from   string // the folder
	config Config
	format nodes.Format
	name   WeightFormat
	most   int64
}

func newQuantization(path string, cfg QuantizeConfig) (*quantization, error) {
	format, given, err := cfg.Weights.format()
	if err != nil {
		return nil, err
	}
	if file := filepath.Join(folderOf(path), adapterFile); isFile(file) {
		return nil, errors.Errorf("xlstm: %s has adapters in %s, which cannot be quantized: load it, which merges them, and save it, as the command merge does", path, adapterFile)
	}
	if cfg.MaxShardSize == 0 {
		cfg.MaxShardSize = DefaultQuantizedShard
	}
	if !given || format == nodes.Float || cfg.MaxShardSize < 0 {
		return nil, errors.Errorf("xlstm: weights in %q in files of at most %d bytes; they must be bf16, int8 or int4, and the size positive, or 0 for the default", string(cfg.Weights), cfg.MaxShardSize)
	}
	config, weights, err := locate(path)
	if err != nil {
		return nil, err
	}
	_, c, err := readConfig(config, 0)
	if err != nil {
		return nil, err
	}
	if adapters := filepath.Join(filepath.Dir(config), adapterFile); isFile(adapters) {
		return nil, errors.Errorf("xlstm: quantizing would leave out the adapters in %s; load the model, which merges them, and save it in another folder", adapters)
	}
	st, err := openStored(weights)
	if err != nil {
		return nil, err
	}
	q := &quantization{checkpoint: st, from: filepath.Dir(config), format: format, name: cfg.Weights, most: cfg.MaxShardSize}
	if err := q.assign(c); err != nil {
		st.close()
		return nil, errors.Wrapf(err, "xlstm: %s", weights)
	}
	return q, nil
}

// assign finds the parameters among the tensors.
func (q *quantization) assign(c Config) (err error) {
	o := options{dtype: tensor.Float32}
	if q.config, _, err = q.untie(c, o); err != nil {
		return err
	}
	if q.assignment, err = q.check(q.config, o, false); err != nil {
		return err
	}
	for _, p := range q.pairs {
		if p.stored != nodes.Float {
			return errors.Errorf("%s is stored in %v already; quantize the model that it was made of", p.param, p.stored)
		}
	}
	return nil
}

// write writes the folder.
func (q *quantization) write(dir string) error {
	for _, name := range []string{weightsFile, indexFile} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return errors.Errorf("%s has a %s already; choose another folder", dir, name)
		}
	}
	config, err := marshalIndented(q.config.inLayout(Vanilla))
	if err != nil {
		return err
	}
	var tensors []safetensors.Tensor
	for _, p := range q.pairs {
		tensors = append(tensors, q.stored(p)...)
	}
	shards := shards(tensors, q.most)
	for _, f := range shards {
		f.metadata = map[string]string{"format": "pt", metaWeights: string(q.name), metaGroup: strconv.Itoa(nodes.Group)}
		if err := safetensors.WriteSummed(filepath.Join(dir, f.name), f.tensors, f.metadata); err != nil {
			return err
		}
	}
	if len(shards) > 1 {
		index, err := indexOf(shards, nil)
		if err != nil {
			return err
		}
		if err := writeBytes(filepath.Join(dir, indexFile), index); err != nil {
			return err
		}
	}
	if err := q.copyBeside(dir); err != nil {
		return err
	}
	return writeBytes(filepath.Join(dir, configFile), config)
}

// copyBeside copies the other files of the model's folder.
func (q *quantization) copyBeside(dir string) error {
	for _, name := range besideWeights {
		content, err := files.ReadVerified(filepath.Join(q.from, name), files.AnySize)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := writeBytes(filepath.Join(dir, name), content); err != nil {
			return err
		}
	}
	return nil
}

// packedEncodings are the encodings in which packed weights are stored.
var packedEncodings = map[nodes.Format]safetensors.Encoding{nodes.BF16: safetensors.BF16, nodes.Int8: safetensors.I8, nodes.Int4: safetensors.U8}

// stored returns what is stored of a parameter. It is packed when the first of its
// tensors is written, and let go after the last.
func (q *quantization) stored(p pair) []safetensors.Tensor {
	name, shape := p.param, p.want.Shape
	if !p.want.Packable {
		return []safetensors.Tensor{{Name: name, As: safetensors.F32, Stored: &safetensors.Stored{Shape: shape, Bytes: p.floats}}}
	}
	one := &packedOnce{pair: p, format: q.format}
	data := safetensors.Tensor{Name: name, As: packedEncodings[q.format], Stored: &safetensors.Stored{Shape: shape, Bytes: one.data}}
	if q.format == nodes.Int4 {
		data.Stored.Shape = []int{shape[0], shape[1] / 2}
	}
	if !q.format.Scaled() {
		return []safetensors.Tensor{data}
	}
	scales := &safetensors.Stored{Shape: []int{shape[0], shape[1] / nodes.Group}, Bytes: one.scales}
	return []safetensors.Tensor{data, {Name: name + layers.ScaleSuffix, As: safetensors.BF16, Stored: scales}}
}

// packedOnce packs a weight when the first of its two tensors is written, and lets
// it go with the second: in a file, scales come before integers.
type packedOnce struct {
	pair
	format nodes.Format
	made   *packing
}

func (o *packedOnce) scales() (b []byte, err error) {
	o.made, err = packEntry(o.from, o.want, o.format)
	return o.made.scales, err
}

func (o *packedOnce) data() (b []byte, err error) {
	made := o.made
	if made == nil {
		made, err = packEntry(o.from, o.want, o.format)
	}
	o.made = nil
	return made.data, err
}

// floats returns a parameter in float32 as it is stored.
func (p pair) floats() ([]byte, error) {
	t := tensor.New(tensor.Of(tensor.Float32), tensor.WithShape(p.want.Shape...))
	if err := p.from.ReadInto(t); err != nil {
		return nil, err
	}
	p.reorder(t)
	if !safetensors.F32.Holds(t) {
		return nil, errNotFinite
	}
	numbers := t.Float32s()
	b := make([]byte, 0, 4*len(numbers))
	for _, x := range numbers {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b, nil
}

// folderOf returns the folder of the model at a path.
func folderOf(path string) string {
	if isFile(path) {
		return filepath.Dir(path)
	}
	return path
}
