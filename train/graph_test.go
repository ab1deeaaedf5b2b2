package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	formats "gonum.org/v1/gonum/graph/formats/dot"
)

// graphOf runs the command and returns the DOT that it writes.
func graphOf(t *testing.T, args ...string) string {
	t.Helper()
	out, _, err := runHere(context.Background(), append([]string{"graph"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := formats.ParseString(out); err != nil {
		t.Fatalf("this is not DOT: %v\n%s", err, out)
	}
	return out
}

// TestGraphShowsWhatIsAskedFor: each flag does what it says.
func TestGraphShowsWhatIsAskedFor(t *testing.T) {
	folded := graphOf(t, "-preset", "tiny")
	for name, c := range map[string]struct {
		args       []string
		has, lacks []string
	}{
		"by default":     {nil, []string{"<B>blocks.0</B>", "∂ blocks.1", "sLSTM", "crossEntropy"}, []string{"proj_up"}},
		"forward":        {[]string{"-forward"}, []string{"<B>blocks.0</B>"}, []string{"∂"}},
		"open":           {[]string{"-open", "blocks.0", "-forward"}, []string{"proj_up", "<B>blocks.1</B>", `label=" q "`}, []string{"<B>blocks.0</B>"}},
		"only":           {[]string{"-only", "blocks.1.xlstm", "-forward"}, []string{"slstm_cell", "zgate"}, []string{"blocks.0</B>", "ffn_norm</B>"}},
		"depth":          {[]string{"-depth", "1"}, []string{"<B>xlstm_block_stack</B>"}, []string{"blocks.0"}},
		"symbolic":       {[]string{"-symbolic", "-length", "2", "-only", "blocks.0.xlstm.mlstm_cell", "-forward"}, []string{"step.1", "step.2", "k vᵀ", "C₁"}, []string{"<mLSTM<"}},
		"all":            {[]string{"-all"}, []string{"part", "put"}, []string{"<B>"}},
		"shapes":         {[]string{"-batch", "3", "-length", "5"}, []string{"15×64"}, []string{"256×64"}},
		"a model's flag": {[]string{"-blocks", "3", "-vocab", "7", "-length", "15"}, []string{"blocks.2", "15×7"}, nil},
	} {
		got := graphOf(t, append([]string{"-preset", "tiny"}, c.args...)...)
		for _, text := range c.has {
			if !strings.Contains(got, text) {
				t.Errorf("%s: no %q in\n%s", name, text, got)
			}
		}
		for _, text := range c.lacks {
			if strings.Contains(got, text) {
				t.Errorf("%s: there is %q", name, text)
			}
		}
	}
	if graphOf(t, "-preset", "tiny") != folded {
		t.Error("the same graph is written differently")
	}
}

// TestGraphOfFoldersAndFiles: a run, a model's folder and a configuration's file
// are all the same model.
func TestGraphOfFoldersAndFiles(t *testing.T) {
	run := filepath.Join(t.TempDir(), "run")
	mustRun(t, small(sampleText(t), run, "-steps", "4")...)
	model := newest(t, run)
	want := graphOf(t, run)
	for _, path := range []string{model, filepath.Join(model, "config.json")} {
		if graphOf(t, path) != want {
			t.Errorf("the graph of %s is another than that of its run", path)
		}
	}
}

// TestGraphDrawsPictures: in this process.
func TestGraphDrawsPictures(t *testing.T) {
	for format, begins := range map[string]string{"svg": "<svg", "png": "\x89PNG", "dot": "digraph"} {
		path := filepath.Join(t.TempDir(), "graph."+format)
		if _, _, err := runHere(context.Background(), "graph", "-preset", "tiny", "-o", path); err != nil {
			t.Fatal(err)
		}
		if data, err := os.ReadFile(path); err != nil || !strings.HasPrefix(string(data), begins) {
			t.Errorf("%s does not begin with %q (%v)", path, begins, err)
		}
	}
}
