package xlstm

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/gorgonia-xlstm/xlstm/safetensors"
	"gorgonia.org/tensor"
)

// savedState writes the state of a generator and returns the file.
func savedState(t testing.TB, g *Generator) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s.safetensors")
	if err := g.SaveState(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestTextGoesOnFromASavedState as that of the generator which saved it, to the
// bit, token by token and at once, and in a copy of the model that was saved and
// loaded.
func TestTextGoesOnFromASavedState(t *testing.T) {
	hostOnly(t)
	for name, cfg := range batchModels() {
		for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
			for _, n := range []int{0, 1, 75} {
				t.Run(fmt.Sprint(name, "/", dt, "/", n), func(t *testing.T) {
					m := smallModel(t, cfg, dt)
					whole := alone(t, m, testutil.Tokens(1, n, m.cfg.VocabSize)...)
					path, dir := savedState(t, whole), t.TempDir()
					if err := m.Save(dir, SaveConfig{}); err != nil {
						t.Fatal(err)
					}
					again, err := Load(dir, WithDtype(dt))
					if err != nil {
						t.Fatal(err)
					}
					g := alone(t, again, 4, 5) // which is forgotten
					if err := g.LoadState(path); err != nil {
						t.Fatal(err)
					}
					if n > 0 && !slices.Equal(g.logits, whole.logits) || g.Tokens() != n {
						t.Errorf("after %d tokens the logits are %v, loaded after %d %v", n, whole.logits, g.Tokens(), g.logits)
					}
					for _, token := range testutil.Tokens(3, 20, m.cfg.VocabSize) {
						if err := whole.Read(token); err != nil {
							t.Fatal(err)
						}
						if err := g.Read(token); err != nil {
							t.Fatal(err)
						}
						if !slices.Equal(g.logits, whole.logits) {
							t.Fatalf("after %d tokens the logits are %v, loaded after %d %v", whole.Tokens(), whole.logits, n, g.logits)
						}
					}
					rest := testutil.Tokens(2, 20, m.cfg.VocabSize)
					want, err := whole.LogProbs(rest...)
					if err != nil {
						t.Fatal(err)
					}
					got, err := g.LogProbs(rest...)
					if err != nil {
						t.Fatal(err)
					}
					if fmt.Sprint(got) != fmt.Sprint(want) || !slices.Equal(g.logits, whole.logits) {
						t.Errorf("it continues with\n%v, want\n%v", got, want)
					}
				})
			}
		}
	}
}

// TestStatesOfOtherModelsAreRefused in one sentence, and the generator
// continues where it was.
func TestStatesOfOtherModelsAreRefused(t *testing.T) {
	m := smallModel(t, smallConfig(), tensor.Float32)
	other := smallConfig()
	other.NumBlocks = 2
	reseeded, err := New(smallConfig(), WithSeed(99))
	if err != nil {
		t.Fatal(err)
	}
	path := savedState(t, alone(t, m, 1, 2, 3))
	tensors, meta, err := safetensors.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// with writes the state's file anew, with other tensors or metadata.
	with := func(tensors []safetensors.Tensor, change ...string) string {
		changed := map[string]string{}
		for k, v := range meta {
			changed[k] = v
		}
		for i := 0; i < len(change); i += 2 {
			changed[change[i]] = change[i+1]
		}
		path := filepath.Join(t.TempDir(), "changed.safetensors")
		if err := safetensors.WriteFile(path, tensors, changed); err != nil {
			t.Fatal(err)
		}
		return path
	}
	huge := slices.Clone(tensors)
	huge[1].Value = tensor.New(tensor.Of(tensor.Float32), tensor.WithShape(1000))
	foreign := filepath.Join(t.TempDir(), "foreign")
	if err := os.WriteFile(foreign, []byte("a story"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ path, says string }{
		"another configuration": {savedState(t, alone(t, smallModel(t, other, tensor.Float32), 1)), "another configuration"},
		"another element type":  {savedState(t, alone(t, smallModel(t, smallConfig(), tensor.Float64), 1)), "another configuration"},
		"other weights":         {savedState(t, alone(t, reseeded, 1)), "other weights"},
		"no state":              {with(tensors, metaStateConfig, ""), "not the state of a generator"},
		"no position":           {with(tensors, metaStateTokens, "-3"), `"-3" tokens`},
		"a part too few":        {with(tensors[1:]), "lacks 1"},
		"another shape":         {with(huge), "is not part of a state"},
		"another file":          {foreign, "not a safetensors file"},
		"no file":               {filepath.Join(t.TempDir(), "none"), "none"},
	} {
		t.Run(name, func(t *testing.T) {
			g := alone(t, m, 7, 8)
			before := slices.Clone(g.logits)
			err := g.LoadState(c.path)
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want one line with %q", err, c.says)
			}
			if !slices.Equal(g.logits, before) || g.Tokens() != 2 {
				t.Error("the generator has moved")
			}
		})
	}
}

// FuzzLoadState: foreign bytes give an error or a state that can be used.
func FuzzLoadState(f *testing.F) {
	cfg := smallConfig()
	cfg.EmbeddingDim, cfg.NumBlocks = 8, 2
	cfg.MLSTMBlock.MLSTM.NumHeads, cfg.SLSTMBlock.SLSTM.NumHeads = 2, 2
	m := smallModel(f, cfg, tensor.Float32)
	raw, err := os.ReadFile(savedState(f, alone(f, m, 1, 2, 3)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(raw[:len(raw)-1])
	for _, header := range []string{"{}", `{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, `{"a":7}`} {
		f.Add(append(append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...), 0, 0, 0, 0))
	}
	g := alone(f, m, 1)
	f.Fuzz(func(t *testing.T, raw []byte) {
		path := filepath.Join(t.TempDir(), "s")
		if err := os.WriteFile(path, raw, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := g.LoadState(path); err != nil {
			return
		}
		if _, err := g.LogProbs(1, 2); err != nil {
			t.Error(err)
		}
	})
}
