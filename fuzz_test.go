package xlstm

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/gorgonia-xlstm/xlstm/optim"
	"gorgonia.org/tensor"
)

// addFiles seeds a target with the files in testdata of a name.
func addFiles(f *testing.F, name string) {
	f.Helper()
	found := 0
	err := filepath.WalkDir("testdata", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == name {
			found++
			f.Add(testutil.Must(os.ReadFile(path)))
		}
		return err
	})
	if err != nil || found == 0 {
		f.Fatalf("testdata has no %s, or %v", name, err)
	}
}

// FuzzParseConfig: foreign bytes give an error, never a panic, and what is accepted
// is written and read as the same, and costs something.
func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(`{"vocab_size": 5, "mlstm_block": {"mlstm": {}}}`))
	f.Add([]byte(`{"slstm_at": "all", "slstm_block": null}`))
	f.Add([]byte(`{"embedding_dim": 1e9}`))
	f.Add([]byte(`{"vocab_size": 5, "num_blocks": 9999, "mlstm_block": {}}`))
	addFiles(f, configFile)
	f.Fuzz(func(t *testing.T, raw []byte) {
		cfg, err := ParseConfig(raw)
		if err != nil {
			return
		}
		again, err := marshalIndented(cfg)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseConfig(again)
		if err != nil {
			t.Fatalf("%s was accepted but what is written of it is not: %v\n%s", raw, err, again)
		}
		if twice, err := marshalIndented(back); err != nil || !bytes.Equal(again, twice) {
			t.Errorf("%s becomes\n%s and then\n%s, %v", raw, again, twice, err)
		}
		if c, err := cfg.Cost(CostOptions{Batch: 1, Steps: 1}); err == nil && (c.Total().Params < 1 || c.TrainingMemory().Total() < 1) {
			t.Errorf("%s has %d parameters and takes %d bytes", raw, c.Total().Params, c.TrainingMemory().Total())
		}
	})
}

// FuzzConfigYAML: a configuration in YAML, with its references.
func FuzzConfigYAML(f *testing.F) {
	addFiles(f, yamlFile)
	f.Add([]byte("a: ${b}\nb: ${a}\nmodel: {vocab_size: '${a}'}"))
	f.Add([]byte("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nmodel: {x: *c}"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		path := filepath.Join(t.TempDir(), yamlFile)
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := ReadConfig(path, 0)
		if testutil.WantSentence(t, err); err == nil && cfg.Validate() != nil {
			t.Errorf("%s was accepted but is not valid", raw)
		}
	})
}

// FuzzGenerationConfig: the ends of a text beside a model.
func FuzzGenerationConfig(f *testing.F) {
	f.Add([]byte(`{"eos_token_id": 2}`))
	f.Add([]byte(`{"eos_token_id": [2, -3, 99999999999]}`))
	f.Add([]byte(`{"eos_token_id": null}`))
	m := smallModel(f, smallConfig(), tensor.Float32)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, raw []byte) {
		if err := os.WriteFile(filepath.Join(dir, generationFile), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		ends, err := readGenerationEnds(dir)
		if testutil.WantSentence(t, err); err != nil {
			return
		}
		m := &Model{cfg: m.cfg, generationEnds: ends}
		for _, end := range m.Marks(data.Bytes{}).Ends {
			if end < 0 || end >= m.cfg.VocabSize {
				t.Errorf("%s: a text ends with %d", raw, end)
			}
		}
	})
}

// FuzzRestore: the moments and the position of a training.
func FuzzRestore(f *testing.F) {
	cfg := smallConfig()
	cfg.EmbeddingDim, cfg.NumBlocks = 8, 2
	cfg.MLSTMBlock.MLSTM.NumHeads, cfg.SLSTMBlock.SLSTM.NumHeads = 2, 2
	m := smallModel(f, cfg, tensor.Float32)
	solver, err := optim.NewAdamW(optim.AdamWConfig{})
	if err != nil {
		f.Fatal(err)
	}
	tr, err := m.NewTrainer(solver, TrainerConfig{Batch: 1, Steps: 3, Carry: true})
	if err != nil {
		f.Fatal(err)
	}
	next := func() data.Batch {
		return data.Batch{B: 1, T: 3, Inputs: []int{1, 2, 3}, Targets: []int{2, 3, 4}}
	}
	if _, err := tr.Step(next); err != nil {
		f.Fatal(err)
	}
	dir := f.TempDir()
	if err := tr.Save(dir, nil); err != nil {
		f.Fatal(err)
	}
	path := filepath.Join(dir, trainingFile)
	raw := testutil.Must(os.ReadFile(path))
	f.Add(raw)
	f.Add(raw[:len(raw)-1])
	f.Add(bytes.ReplaceAll(raw, []byte("step"), []byte("stop")))
	if err := os.Remove(filepath.Join(dir, "checksums.sha256")); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := tr.Restore(dir)
		if testutil.WantSentence(t, err); err != nil {
			return
		}
		if _, err := tr.Step(next); err != nil {
			if _, ok := err.(*NonFiniteError); !ok { // moments of any size are possible
				t.Error(err)
			}
		}
	})
}
