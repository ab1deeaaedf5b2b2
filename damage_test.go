package xlstm

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/gorgonia-xlstm/xlstm/safetensors"
	"gorgonia.org/tensor"
)

// flip changes a random bit of a file and returns the file as it was.
func flip(t *testing.T, r *rand.Rand, path string) (was []byte) {
	t.Helper()
	was, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := append([]byte(nil), was...)
	damaged[r.IntN(len(damaged))] ^= 1 << r.IntN(8)
	overwrite(t, path, damaged)
	return was
}

// overwrite changes a file without its checksum.
func overwrite(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o666); err != nil {
		t.Fatal(err)
	}
}

// TestFlippedBitsOfAModelAreNoticed: in one file and in several with an index,
// and in weights that are read into a model that is there.
func TestFlippedBitsOfAModelAreNoticed(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	m := smallModel(t, smallConfig(), tensor.Float32)
	for _, cfg := range []SaveConfig{{}, {MaxShardSize: 8000}} {
		dir := t.TempDir()
		if err := m.Save(dir, cfg); err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Name() == files.SumsFile {
				continue
			}
			path := filepath.Join(dir, e.Name())
			for range 20 {
				was := flip(t, r, path)
				if _, err := Load(dir); err == nil {
					t.Fatalf("%s with a flipped bit is loaded", path)
				}
				if filepath.Ext(path) == ".safetensors" {
					testutil.WantError(t, m.LoadWeights(path), path, "damaged")
				}
				overwrite(t, path, was)
			}
		}
		if _, err := Load(dir); err != nil {
			t.Error(err)
		}
	}
}

// TestModelsWithoutChecksumsLoad: those of other programs.
func TestModelsWithoutChecksumsLoad(t *testing.T) {
	dir := saved(t, smallModel(t, smallConfig(), tensor.Float32))
	if err := os.Remove(filepath.Join(dir, files.SumsFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err != nil {
		t.Error(err)
	}
}

// savedTraining returns a trainer after one step, the folder in which it is saved,
// and the path of its own file there.
func savedTraining(t *testing.T) (tr *Trainer, dir, path string) {
	t.Helper()
	m := smallModel(t, smallConfig(), tensor.Float32)
	tr = newTestTrainer(t, m, TrainerConfig{Batch: 2, Steps: 8, Carry: true})
	if _, err := tr.Step(streams(t, 2, 8).Next); err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	if err := tr.Save(dir, nil); err != nil {
		t.Fatal(err)
	}
	return tr, dir, filepath.Join(dir, trainingFile)
}

func TestFlippedBitsOfATrainingAreNoticed(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 3))
	tr, dir, path := savedTraining(t)
	for range 50 {
		was := flip(t, r, path)
		_, err := tr.Restore(dir)
		testutil.WantError(t, err, path, "damaged")
		overwrite(t, path, was)
	}
	if _, err := tr.Restore(dir); err != nil {
		t.Error(err)
	}
}

// TestRestoreRefusesWhatNoStepCanGoOnFrom, even where no checksum tells.
func TestRestoreRefusesWhatNoStepCanGoOnFrom(t *testing.T) {
	tr, dir, path := savedTraining(t)
	tensors, meta, err := safetensors.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	name := tr.model.Params()[3].Name
	carried := carriedPrefix + tr.state.tensors[0].Name
	for says, edit := range map[string]func(byName map[string]*tensor.Dense){
		"number 0 is NaN": func(all map[string]*tensor.Dense) { all["exp_avg."+name].Float32s()[0] = float32(math.NaN()) },
		"number 0 is -1":  func(all map[string]*tensor.Dense) { all["exp_avg_sq."+name].Float32s()[0] = -1 },
		"exp_avg." + name + " has ": func(all map[string]*tensor.Dense) {
			all["exp_avg."+name] = tensor.New(tensor.WithShape(1, 7), tensor.Of(tensor.Float32))
		},
		"that are not finite": func(all map[string]*tensor.Dense) { all[carried].Float32s()[0] = float32(math.Inf(1)) },
	} {
		byName := make(map[string]*tensor.Dense)
		for _, p := range tensors {
			byName[p.Name] = p.Value.Clone().(*tensor.Dense)
		}
		edit(byName)
		var edited []safetensors.Tensor
		for name, v := range byName {
			edited = append(edited, safetensors.Tensor{Name: name, Value: v})
		}
		if err := safetensors.WriteFile(path, edited, meta); err != nil {
			t.Fatal(err)
		}
		_, err := tr.Restore(dir)
		testutil.WantError(t, err, path, says)
	}
}

// TestSaveRefusesATrainingThatIsNotFinite: the checkpoint before it stays the last.
func TestSaveRefusesATrainingThatIsNotFinite(t *testing.T) {
	hostOnly(t)
	m := smallModel(t, smallConfig(), tensor.Float32)
	tr := newTestTrainer(t, m, TrainerConfig{Batch: 2, Steps: 8, Carry: true})
	tr.state.tensors[0].Value.Float32s()[0] = float32(math.NaN())
	testutil.WantError(t, tr.Save(t.TempDir(), nil), tr.state.tensors[0].Name, "not finite")
}
