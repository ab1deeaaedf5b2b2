//go:build linux

package xlstm

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/gorgonia-xlstm/xlstm/internal/vec"
	"github.com/gorgonia-xlstm/xlstm/layers"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/gorgonia-xlstm/xlstm/safetensors"
)

// config7B is the configuration of NX-AI/xLSTM-7b with so many blocks, of which it
// has 32.
func config7B(blocks string) string {
	return strings.ReplaceAll(`{"architectures": ["xLSTMForCausalLM"], "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1, "embedding_dim": 4096, "hidden_size": 4096,
	"num_blocks": BLOCKS, "num_hidden_layers": BLOCKS, "num_heads": 8, "vocab_size": 50304, "qk_dim_factor": 0.5, "v_dim_factor": 1.0, "ffn_proj_factor": 2.667,
	"ffn_round_up_to_multiple_of": 64, "gate_soft_cap": 15.0, "output_logit_soft_cap": 30.0, "norm_eps": 1e-06, "add_out_norm": true, "use_bias": false,
	"weight_mode": "single", "tie_word_embeddings": false, "model_type": "xlstm", "torch_dtype": "bfloat16"}`, "BLOCKS", blocks)
}

// TestSevenBillionParameters makes a model with the shapes of xLSTM-7B and random
// weights, as transformers would store it in BF16, quantizes it to the formats of
// XLSTM_7B_FORMATS (default "int8 int4"), and, in a process for each, loads it,
// reads and writes tokens, and reports the memory and the times, beside the speed at
// which the same bytes can be read. It takes some minutes, 14 GB of disk and as much
// again for each format, and runs only if a folder is named; XLSTM_7B_CORES is the
// number of cores that the processes use, default all. With XLSTM_7B_RANDOM the
// integers and scales are random too, and nothing is quantized, which takes
// seconds instead of minutes and suffices to measure speed. XLSTM_7B_BLOCKS is the
// number of blocks, default 32: with fewer, the tokens take as much less time.
//
//	XLSTM_7B=/a/folder go test -v -timeout 1h -run SevenBillion .
func TestSevenBillionParameters(t *testing.T) {
	if dir := os.Getenv(loadOnly); dir != "" {
		use7B(t, dir)
		return
	}
	root := os.Getenv("XLSTM_7B")
	if root == "" {
		t.Skip("XLSTM_7B is not set")
	}
	from, random := filepath.Join(root, "bf16"), os.Getenv("XLSTM_7B_RANDOM") != ""
	formats := strings.Fields(os.Getenv("XLSTM_7B_FORMATS"))
	if len(formats) == 0 {
		formats = []string{"int8", "int4"}
	}
	if _, err := os.Stat(filepath.Join(from, configFile)); err != nil && (!random || slices.Contains(formats, "bf16")) {
		timed(t, "making the model in BF16", func() { make7B(t, from) })
	}
	for _, format := range formats {
		dir := filepath.Join(root, format)
		if _, err := os.Stat(filepath.Join(dir, configFile)); err != nil && random {
			timed(t, "making a folder in "+format, func() { make7BPacked(t, dir, WeightFormat(format)) })
		} else if err != nil && format != "bf16" {
			timed(t, "quantizing to "+format, func() {
				if err := os.MkdirAll(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := Quantize(from, dir, QuantizeConfig{Weights: WeightFormat(format)}); err != nil {
					t.Fatal(err)
				}
			})
		}
		child := exec.Command(os.Args[0], "-test.run=^TestSevenBillionParameters$", "-test.v")
		child.Env = append(os.Environ(), loadOnly+"="+dir, fmt.Sprint("XLSTM_7B_STARTED=", time.Now().UnixNano()))
		if cores := os.Getenv("XLSTM_7B_CORES"); cores != "" {
			child.Env = append(child.Env, "GOMAXPROCS="+cores)
		}
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		if err := child.Run(); err != nil {
			t.Fatal(err)
		}
	}
	if peak := peakMemory(t); peak > 3e9 {
		t.Errorf("making and quantizing took %d bytes of memory", peak)
	}
}

func timed(t *testing.T, what string, f func()) {
	t.Helper()
	began := time.Now()
	f()
	t.Logf("%s took %.0f s; the process has had at most %.2f GB", what, time.Since(began).Seconds(), float64(peakMemory(t))/1e9)
}

// make7B writes a folder in Hugging Face's form.
func make7B(t *testing.T, dir string) {
	write7B(t, dir, nil, func(i int, shape layers.TensorShape) []safetensors.Tensor {
		return []safetensors.Tensor{{Name: shape.Name, As: safetensors.BF16, Stored: &safetensors.Stored{Shape: shape.Shape, Bytes: func() ([]byte, error) { return randomBF16(uint64(i), shape), nil }}}}
	})
}

// make7BPacked writes a folder as Quantize does, in int8 or int4, with random
// integers and scales.
func make7BPacked(t *testing.T, dir string, name WeightFormat) {
	format, _, err := name.format()
	if err != nil {
		t.Fatal(err)
	}
	write7B(t, dir, map[string]string{metaWeights: string(name), metaGroup: strconv.Itoa(nodes.Group)}, func(i int, shape layers.TensorShape) []safetensors.Tensor {
		random := func() []byte { return randomBF16(uint64(i), shape) }
		if !shape.Packable {
			ones := func() ([]byte, error) { return bytes.Repeat([]byte{0, 0, 0x80, 0x3f}, int(shape.Size())), nil }
			return []safetensors.Tensor{{Name: shape.Name, As: safetensors.F32, Stored: &safetensors.Stored{Shape: shape.Shape, Bytes: ones}}}
		}
		rows, row := shape.Shape[0], format.RowBytes(shape.Shape[1])
		groups := shape.Shape[1] / nodes.Group
		return []safetensors.Tensor{
			{Name: shape.Name, As: packedEncodings[format], Stored: &safetensors.Stored{Shape: []int{rows, row}, Bytes: func() ([]byte, error) { return random()[:rows*row], nil }}},
			{Name: shape.Name + layers.ScaleSuffix, As: safetensors.BF16, Stored: &safetensors.Stored{Shape: []int{rows, groups}, Bytes: func() ([]byte, error) { return random()[:2*rows*groups], nil }}},
		}
	})
}

// write7B writes a folder with what stored says of each parameter.
func write7B(t *testing.T, dir string, metadata map[string]string, stored func(i int, shape layers.TensorShape) []safetensors.Tensor) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "parameters.json")
	blocks := os.Getenv("XLSTM_7B_BLOCKS")
	if blocks == "" {
		blocks = "32"
	}
	if err := os.WriteFile(config, []byte(config7B(blocks)), 0o666); err != nil {
		t.Fatal(err)
	}
	_, cfg, err := readConfig(config, 0)
	if err != nil {
		t.Fatal(err)
	}
	var tensors []safetensors.Tensor
	for i, shape := range testutil.Must(cfg.tensors()) {
		tensors = append(tensors, stored(i, shape)...)
	}
	parts := shards(tensors, 1e9)
	for _, f := range parts {
		if metadata != nil {
			f.metadata = metadata
		}
		if err := safetensors.WriteFile(filepath.Join(dir, f.name), f.tensors, f.metadata); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, indexFile), testutil.Must(indexOf(parts, nil)), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(config, filepath.Join(dir, configFile)); err != nil {
		t.Fatal(err)
	}
}

// randomBF16 returns ones for a norm, and else numbers of either sign from 2⁻⁷ to
// 2⁻⁶.
func randomBF16(seed uint64, shape layers.TensorShape) []byte {
	b := make([]byte, 2*shape.Size())
	words := unsafe.Slice((*uint16)(unsafe.Pointer(&b[0])), shape.Size())
	if strings.Contains(shape.Name, "norm") {
		for i := range words {
			words[i] = 0x3f80
		}
		return b
	}
	var wg sync.WaitGroup
	pieces := runtime.GOMAXPROCS(0)
	for p := range pieces {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(p)))
			for i := len(words) * p / pieces; i < len(words)*(p+1)/pieces; i += 4 {
				for k, bits := 0, r.Uint64(); k < 4 && i+k < len(words)*(p+1)/pieces; k, bits = k+1, bits>>16 {
					words[i+k] = 0x3c00 | uint16(bits)&0x807f
				}
			}
		})
	}
	wg.Wait()
	return b
}

// use7B loads a model, reads and writes, and prints what it took.
func use7B(t *testing.T, dir string) {
	var started int64
	if _, err := fmt.Sscan(os.Getenv("XLSTM_7B_STARTED"), &started); err != nil {
		t.Fatal(err)
	}
	var opts []Option
	if filepath.Base(dir) == "bf16" {
		opts = append(opts, WithWeights(WeightsBF16))
	}
	m := loaded(t, dir, opts...)
	g := testutil.Must(m.NewGenerator())
	s := testutil.Must(NewSampler(SamplerConfig{}))
	write := func(n int) time.Duration {
		began := time.Now()
		for range n {
			if _, err := g.Next(s); err != nil {
				t.Fatal(err)
			}
		}
		return time.Since(began) / time.Duration(n)
	}
	read := func(n int) time.Duration {
		began := time.Now()
		if err := g.Read(testutil.Tokens(1, n, m.Config().VocabSize)...); err != nil {
			t.Fatal(err)
		}
		return time.Since(began) / time.Duration(n)
	}
	read(1)
	write(1)
	fmt.Printf("weights in %s: first token %.1f s after the start of the process\n", m.Weights(), time.Since(time.Unix(0, started)).Seconds())
	var one, many, bytes []time.Duration
	var size int64
	for round := range 3 { // in turn, since speeds change
		one = append(one, write(8))
		if round < 2 {
			many = append(many, read(256))
		}
		var took time.Duration
		size, took = readPacked(m)
		bytes = append(bytes, took)
	}
	fmt.Printf("writing %v, reading a prompt %v a token; reading the %d bytes of the weights %v\n", one, many, size, bytes)
	best := func(all []time.Duration) float64 { return slices.Min(all).Seconds() }
	fmt.Printf("best: writing %.2f tokens/s, %.0f %% of what reading the weights at %.1f GB/s allows; a prompt %.1f times as fast a token\n",
		1/best(one), 100*best(bytes)/best(one), float64(size)/best(bytes)/1e9, best(one)/best(many))
	peak := peakMemory(t)
	fmt.Printf("at most %.2f GB resident, the mapped weights among them\n", float64(peak)/1e9)
	if most := map[WeightFormat]int64{WeightsBF16: 16e9, WeightsInt8: 8e9, WeightsInt4: 5e9}[m.Weights()]; peak > most {
		t.Errorf("%d bytes are resident, and should be at most %d", peak, most)
	}
}

// readPacked adds up the packed weights as if they were floats, on all cores, and
// returns their size and the time.
func readPacked(m *Model) (size int64, took time.Duration) {
	var pieces [][]float32
	for _, p := range m.store.Packed() {
		for _, b := range [][]byte{p.Data.Data().([]byte), scalesOf(p)} {
			size += int64(len(b))
			for ; len(b) >= 4; b = b[min(len(b), 1<<20):] {
				pieces = append(pieces, unsafe.Slice((*float32)(unsafe.Pointer(&b[0])), min(len(b), 1<<20)/4))
			}
		}
	}
	began, threads := time.Now(), runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	for k := range threads {
		wg.Go(func() {
			for i := k; i < len(pieces); i += threads {
				vec.Sum(pieces[i])
			}
		})
	}
	wg.Wait()
	return size, time.Since(began)
}

func scalesOf(p layers.PackedParam) []byte {
	if p.Scales == nil {
		return nil
	}
	return p.Scales.Data().([]byte)
}
