package xlstm

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"gorgonia.org/tensor"
)

// copyOf returns a copy of a folder of interchangeRoot.
func copyOf(t *testing.T, name string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(interchangeRoot, name))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestPicklesAreReadAndNotWritten: alone in a folder under any name, by their path,
// through an index and into a model that is there; safetensors come first.
func TestPicklesAreReadAndNotWritten(t *testing.T) {
	dir := copyOf(t, "xlstm_pickled")
	m := loaded(t, dir)
	wantSameParams(t, loaded(t, filepath.Join(dir, "model.pt")), m)
	testutil.WantError(t, m.Save(t.TempDir(), SaveConfig{AsLoaded: true}), "pickle")
	wantSameParams(t, loaded(t, saved(t, m)), m)

	other := smallModel(t, m.Config(), tensor.Float32)
	if err := other.LoadWeights(filepath.Join(dir, "model.pt")); err != nil {
		t.Fatal(err)
	}
	wantSameParams(t, other, m)

	rename(t, dir, "model.pt", "pytorch_model-00001-of-00001.bin")
	var places []string
	for _, p := range m.Params() {
		places = append(places, fmt.Sprintf("%q: %q", p.Name, "pytorch_model-00001-of-00001.bin"))
	}
	index := filepath.Join(dir, pickleIndex)
	overwrite(t, index, []byte(`{"metadata": {}, "weight_map": {`+strings.Join(places, ", ")+`}}`))
	wantSameParams(t, loaded(t, dir), m)
	wantSameParams(t, loaded(t, index), m)

	copied := saved(t, m)
	overwrite(t, filepath.Join(copied, pickleFile), []byte("not read"))
	wantSameParams(t, loaded(t, copied), m)
}

func rename(t *testing.T, dir, from, to string) {
	t.Helper()
	if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
		t.Fatal(err)
	}
}

// TestPicklesThatCannotBeReadSayWhy.
func TestPicklesThatCannotBeReadSayWhy(t *testing.T) {
	dir := copyOf(t, "xlstm_pickled")
	path := filepath.Join(dir, "model.pt")
	overwrite(t, path, []byte("\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."))
	_, err := Load(dir)
	testutil.WantError(t, err, path, "before PyTorch 1.6")
	overwrite(t, path, []byte("PK\x03\x04 and so on"))
	_, err = Load(dir)
	testutil.WantError(t, err, path, "cut short")
}

// TestNumberedFilesAreOneModel, as the official code of xLSTM-7B's architecture
// stores it, and are saved as they were, with the configuration in YAML.
func TestNumberedFilesAreOneModel(t *testing.T) {
	dir := copyOf(t, "xlstm_large")
	m := loaded(t, dir)
	wantSameParams(t, loaded(t, filepath.Join(dir, firstFile)), m)
	as := savedAs(t, m, SaveConfig{AsLoaded: true})
	for _, name := range []string{"config.yaml", "model_0.safetensors", "model_1.safetensors"} {
		if string(testutil.Must(os.ReadFile(filepath.Join(as, name)))) != string(testutil.Must(os.ReadFile(filepath.Join(dir, name)))) {
			t.Errorf("%s is another file", name)
		}
	}
	if err := os.Remove(filepath.Join(dir, "model_1.safetensors")); err != nil {
		t.Fatal(err)
	}
	_, err := Load(dir)
	testutil.WantError(t, err, "is missing")
}

// TestReadConfigTakesWhatLoadTakes, and files of configurations.
func TestReadConfigTakesWhatLoadTakes(t *testing.T) {
	m := smallHuggingFace(t, func(*Config) {})
	dir := savedAs(t, m, SaveConfig{MaxShardSize: 5000})
	pickled := copyOf(t, "xlstm_pickled")
	experiment := copyOf(t, "xlstm_experiment")
	for path, want := range map[string]Config{
		dir:                                    m.Config(),
		filepath.Join(dir, configFile):         m.Config(),
		filepath.Join(dir, indexFile):          m.Config(),
		filepath.Join(pickled, "model.pt"):     loaded(t, pickled).Config(),
		experiment:                             loaded(t, experiment).Config(),
		filepath.Join(experiment, "last.pt"):   loaded(t, experiment).Config(),
		filepath.Join(experiment, yamlFile):    loaded(t, experiment).Config(),
		filepath.Join(pickled, configFile):     loaded(t, pickled).Config(),
		filepath.Join(interchangeRoot, "none"): {},
	} {
		got, err := ReadConfig(path, 0)
		if want.VocabSize == 0 {
			testutil.WantError(t, err, "none", configFile)
		} else if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", path, got, err)
		}
	}
}

// TestYAMLOfExperiments: the model's part, with values that stand elsewhere; what
// cannot be told is an error.
func TestYAMLOfExperiments(t *testing.T) {
	read := func(text string) (Config, error) {
		dir := t.TempDir()
		overwrite(t, filepath.Join(dir, yamlFile), []byte(text))
		return ReadConfig(dir, 0)
	}
	got, err := read("x:\n  y: ${z}\nz: [1]\nlr: 1.e-3\nmodel:\n  vocab_size: ${data.vocab}\n  num_blocks: 2\n  slstm_at: ${x.y}\n  mlstm_block: {}\n  slstm_block: {slstm: {gradient_recurrent_clipval: 1e1}}\ndata:\n  vocab: 7\n")
	ten := 10.0
	want := DefaultConfig()
	want.VocabSize, want.NumBlocks, want.SLSTMAt, want.SLSTMBlock.SLSTM.GradientRecurrentClipval = 7, 2, Blocks(1), &ten
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for says, text := range map[string]string{
		"no configuration in YAML":     "model: [",
		"lead to each other":           "vocab_size: ${a}\na: ${b}\nb: ${a}",
		"stands for no value":          "vocab_size: ${data.size}",
		"is not the name of a value":   "vocab_size: ${oc.env:SIZE}",
		"unknown field":                "model: {vocab_size: 5, width: 7, mlstm_block: {}}",
		"too many for a configuration": "# " + strings.Repeat("x", maxYAML),
		"holds what no configuration":  "vocab_size: .nan\nmlstm_block: {}",
		"excessive aliasing":           "a: &a [0,0,0,0,0,0,0,0,0]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]",
	} {
		_, err := read(text)
		testutil.WantError(t, err, yamlFile, says)
	}
}

// TestTensorsOfOtherTypesAreRefusedByName.
func TestTensorsOfOtherTypesAreRefusedByName(t *testing.T) {
	_, err := Load(filepath.Join(interchangeRoot, "xlstm_pickled", "model.pt"), WithLayout(CUDA))
	testutil.WantError(t, err, "vanilla layout")
	dir := copyOf(t, "xlstm_pickled")
	raw := string(testutil.Must(os.ReadFile(filepath.Join(dir, "model.pt"))))
	edited := strings.Replace(raw, "ctorch\nFloatStorage\n", "ctorch\nInt32Storage\n", 1)
	if edited == raw {
		t.Fatal("nothing is edited")
	}
	overwrite(t, filepath.Join(dir, "model.pt"), []byte(edited))
	_, err = Load(dir)
	testutil.WantError(t, err, "torch.Int32Storage", "only float64")
}

// TestSharedTensorsOfAPickleAreTied: what is one tensor there is stored once.
func TestSharedTensorsOfAPickleAreTied(t *testing.T) {
	m := loaded(t, filepath.Join(interchangeRoot, "transformers4_tied"))
	if !m.Config().TieWeights || len(m.Warnings()) > 0 {
		t.Errorf("tied %v, warnings %q", m.Config().TieWeights, m.Warnings())
	}
	if _, own := m.Param(headName); own {
		t.Error("the head is a parameter of its own")
	}
}
