package xlstm_test

import (
	"fmt"
	"os"

	"github.com/gorgonia-xlstm/xlstm/safetensors"

	"github.com/gorgonia-xlstm/xlstm"
)

// A state_dict of the official code, as a GPU stores it, is loaded from its file,
// with the configuration beside it, and saved again as it was.
func ExampleLoad() {
	model, err := xlstm.Load("testdata/golden/v1_slstm/weights_cuda_layout.safetensors")
	check(err)
	fmt.Println(model.NumParams(), "parameters")
	dir, err := os.MkdirTemp("", "model")
	check(err)
	defer os.RemoveAll(dir)
	check(model.Save(dir, xlstm.SaveConfig{AsLoaded: true}))
	files, err := os.ReadDir(dir)
	check(err)
	for _, f := range files {
		fmt.Println(f.Name())
	}
	// Output:
	// 18272 parameters
	// checksums.sha256
	// config.json
	// weights_cuda_layout.safetensors
}

// A model of the xLSTM-7B architecture in the form of Hugging Face's transformers,
// saved with 16 bits a number in several files.
func ExampleModel_Save() {
	cfg := xlstm.DefaultLargeConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.Large.NumHeads = 100, 64, 2, 4
	cfg.Large.HuggingFace = &xlstm.HuggingFaceConfig{EOSTokenIDs: []int{2}}
	model, err := xlstm.New(cfg)
	check(err)
	dir, err := os.MkdirTemp("", "model")
	check(err)
	defer os.RemoveAll(dir)
	check(model.Save(dir, xlstm.SaveConfig{Encoding: safetensors.BF16, MaxShardSize: 100_000}))
	files, err := os.ReadDir(dir)
	check(err)
	for _, f := range files {
		fmt.Println(f.Name())
	}
	// Output:
	// checksums.sha256
	// config.json
	// model-00001-of-00003.safetensors
	// model-00002-of-00003.safetensors
	// model-00003-of-00003.safetensors
	// model.safetensors.index.json
}
