package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/internal/run"
	"github.com/gorgonia-xlstm/xlstm/internal/rundir"
)

// write makes a file in a temporary folder.
func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestBadInputsGetOneClearSentence: what was wrong, where, what to do.
func TestBadInputsGetOneClearSentence(t *testing.T) {
	text, root := sampleText(t), t.TempDir()
	good := filepath.Join(root, "good")
	mustRun(t, small(text, good, "-steps", "4")...)
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "thesis.doc"), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	empty := t.TempDir()
	train := func(more ...string) []string { return small(text, filepath.Join(root, "never"), more...) }
	on := func(path string) []string { return small(path, filepath.Join(root, "never")) }
	for name, c := range map[string]struct {
		args []string
		says []string
	}{
		"an unknown command":                {[]string{"fly"}, []string{`no command "fly"`, "xlstm help"}},
		"a mistyped command":                {[]string{"smaple", good}, []string{`"smaple"`, "did you mean sample?"}},
		"a run for a command":               {[]string{good}, []string{good, "xlstm resume " + good, "xlstm sample " + good}},
		"a text for a command":              {[]string{text}, []string{text, "xlstm -data " + text}},
		"a pattern for a command":           {[]string{"*.txt"}, []string{"xlstm -data '*.txt'"}},
		"a mistyped flag":                   {train("-bacth", "3"), []string{"no flag -bacth", "did you mean -batch?", "xlstm train -h"}},
		"a flag of nothing":                 {train("-frobnicate"), []string{"train has no flag -frobnicate", "xlstm train -h"}},
		"a flag without its value":          {train("-batch"), []string{"-batch needs a value"}},
		"words for a number":                {train("-batch", "many"), []string{`-batch is "many"`, "whole number"}},
		"a fraction for a number":           {[]string{"inspect", "-dim", "1.5"}, []string{`-dim is "1.5"`, "whole number"}},
		"an enormous number":                {train("-steps", "99999999999999999999"), []string{"-steps is", "range"}},
		"neither true nor false":            {train("-carry=perhaps"), []string{`-carry is "perhaps"`, "true or false"}},
		"scoring an empty text":             {[]string{"score", good, "-text", ""}, []string{"-text is empty"}},
		"a stray word":                      {train("shakespeare.txt"), []string{`"shakespeare.txt" is not a flag`, "xlstm -data shakespeare.txt"}},
		"an unknown preset":                 {train("-preset", "huge"), []string{`"huge"`, "tiny, small, base, medium"}},
		"an empty batch":                    {train("-batch", "0"), []string{"-batch is 0", "at least 1"}},
		"a share of everything":             {train("-val", "1"), []string{"-val is 1", "between 0 and 1"}},
		"heads that do not divide":          {train("-heads", "3"), []string{"num_heads is 3", "divisor"}},
		"blocks that are not there":         {train("-slstm-at", "7"), []string{"slstm_at is [7]", "below num_blocks"}},
		"blocks that are no numbers":        {train("-slstm-at", "x"), []string{`"x"`, "-slstm-at", "none"}},
		"a file that is not there":          {on(filepath.Join(root, "none.txt")), []string{"none.txt"}},
		"an empty file":                     {on(write(t, "empty.txt", "")), []string{"empty.txt", "empty"}},
		"a file that is too short":          {on(write(t, "short.txt", "To be, or not")), []string{"use more text"}},
		"a binary file":                     {on(write(t, "photo.jpg", "\xff\xd8\x00\x01"+strings.Repeat("x", 999))), []string{"photo.jpg"}},
		"a file that is not UTF-8":          {on(write(t, "latin1.txt", strings.Repeat("caf\xe9 ", 999))), []string{"latin1.txt", "UTF-8"}},
		"the folder of another run":         {small(text, good), []string{good, "belongs to another run", "resume"}},
		"a folder with somebody's files":    {small(text, full), []string{full, "not empty", "-out"}},
		"settings that are not there":       {train("-config", filepath.Join(root, "none.json")), []string{"none.json"}},
		"settings that are no settings":     {train("-config", write(t, "s.json", `{"stepz": 3}`)), []string{"s.json", "stepz"}},
		"a model that is no model":          {train("-model", write(t, "m.json", `{"vocab": 3}`)), []string{"m.json", `unknown field "vocab"`}},
		"resuming nothing":                  {[]string{"resume"}, []string{"needs a folder", "resume FOLDER"}},
		"resuming what is no run":           {[]string{"resume", empty}, []string{empty, "not the folder of a run"}},
		"sampling what is no model":         {[]string{"sample", empty}, []string{empty, "config.json"}},
		"sampling without a prompt":         {[]string{"sample", good, "-prompt", ""}, []string{"-prompt is empty"}},
		"a negative temperature":            {[]string{"sample", good, "-temperature", "-1"}, []string{"-temperature: a sampling temperature of -1", "at least 0"}},
		"a temperature without end":         {[]string{"sample", good, "-temperature", "+Inf"}, []string{"-temperature", "finite"}},
		"a penalty beyond numbers":          {[]string{"sample", good, "-penalty", "1e-310"}, []string{"-penalty: a repetition penalty of 1e-310", "between 0.001 and 1000"}},
		"a penalty that is negative":        {[]string{"sample", good, "-penalty", "-1"}, []string{"-penalty", "between 0.001 and 1000"}},
		"a negative temperature to train":   {train("-temperature", "-1"), []string{"-temperature", "at least 0"}},
		"a probability of 2":                {[]string{"sample", good, "-top-p", "2"}, []string{"2", "between 0 and 1"}},
		"a prompt that is empty again":      {[]string{"sample", good, "-prompt", "a", "-prompt", ""}, []string{"-prompt is empty"}},
		"prompts that are not there":        {[]string{"sample", good, "-prompts", write(t, "p.txt", "\n\n")}, []string{"p.txt", "no prompt"}},
		"a stop that is no token":           {[]string{"sample", good, "-stop-token", "the gate"}, []string{`"the gate"`, "not a token", "-stop"}},
		"a batch of nothing":                {[]string{"sample", good, "-batch", "0"}, []string{"-batch 0", "at least"}},
		"a state of nothing":                {[]string{"sample", good, "-save-state", filepath.Join(root, "s")}, []string{"-read"}},
		"a state that is something else":    {[]string{"sample", good, "-state", text}, []string{text, "not a safetensors file"}},
		"scoring nothing":                   {[]string{"score", good}, []string{"-text", "-data"}},
		"scoring a single character":        {[]string{"score", good, "-text", "t"}, []string{"one token", "longer"}},
		"evaluating a model without a text": {[]string{"evaluate", newest(t, good)}, []string{"-data"}},
		"drawing what is no model":          {[]string{"graph", empty}, []string{empty, "neither a run nor a model"}},
		"drawing what is not there":         {[]string{"graph", filepath.Join(root, "none")}, []string{"none", "neither a run nor a model"}},
		"drawing what is no configuration":  {[]string{"graph", write(t, "c.json", `{"vocab": 3}`)}, []string{"c.json", `unknown field "vocab"`}},
		"drawing more than one can see":     {[]string{"graph", "-blocks", "1000"}, []string{"1000 blocks", "at most 128"}},
		"drawing two models":                {[]string{"graph", good, "-model", "m.json"}, []string{"not both", good}},
		"a picture of another format":       {[]string{"graph", "-o", "graph.jpg"}, []string{"graph.jpg", ".svg, .png or .dot"}},
		"a depth of nothing":                {[]string{"graph", "-depth", "0"}, []string{"-depth 0", "at least 1"}},
		"a long unrolled graph":             {[]string{"graph", "-symbolic", "-length", "99"}, []string{"-length is 99", "at most 16"}},
		"a block that is not there":         {[]string{"graph", "-preset", "tiny", "-open", "blocks.7"}, []string{"blocks.7", "blocks.1"}},
		"a part and another part":           {[]string{"graph", "-only", "blocks.0", "-open", "blocks.1"}, []string{"-only", "leave -open out"}},
		"everything and a part":             {[]string{"graph", "-all", "-only", "blocks.0"}, []string{"-all", "leave -open and -only out"}},
		"inspecting what is no model":       {[]string{"inspect", empty}, []string{empty, "neither a run nor a model"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := runHere(context.Background(), c.args...)
			if err == nil {
				t.Fatalf("%v is accepted", c.args)
			}
			for _, want := range c.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q\ndoes not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(root, "never")); !os.IsNotExist(err) {
		t.Error("a run that could not begin left a folder behind")
	}
	if data, err := os.ReadFile(filepath.Join(full, "thesis.doc")); err != nil || string(data) != "mine" {
		t.Errorf("somebody's file is now %q (%v)", data, err)
	}
}

func newest(t *testing.T, dir string) string {
	t.Helper()
	found, err := rundir.Checkpoints(dir, rundir.LastKind)
	if err != nil || len(found) == 0 {
		t.Fatalf("no checkpoint in %s: %v", dir, err)
	}
	return found[0].Dir
}

// TestDamagedRunsSayWhatIsWrong: files that were cut, swapped or come from
// elsewhere, and a text that has changed since.
func TestDamagedRunsSayWhatIsWrong(t *testing.T) {
	text := sampleText(t)
	for name, c := range map[string]struct {
		harm func(t *testing.T, dir string)
		args func(dir string) []string
		says []string
	}{
		"weights cut short": {
			func(t *testing.T, dir string) { truncate(t, filepath.Join(best(t, dir), run.WeightsFile)) },
			func(dir string) []string { return []string{"sample", dir} }, []string{run.WeightsFile},
		},
		"weights from elsewhere": {
			func(t *testing.T, dir string) {
				replace(t, filepath.Join(best(t, dir), run.WeightsFile), "GIF89a, not a model at all, but long enough to look at")
			},
			func(dir string) []string { return []string{"sample", dir} }, []string{run.WeightsFile},
		},
		"a vocabulary of another model": {
			func(t *testing.T, dir string) {
				replace(t, filepath.Join(best(t, dir), data.TokenizerFile), `{"kind":"bytes","tokenizer":null}`)
			},
			func(dir string) []string { return []string{"sample", dir} }, []string{"vocabulary"},
		},
		"no vocabulary": {
			func(t *testing.T, dir string) { os.Remove(filepath.Join(best(t, dir), data.TokenizerFile)) },
			func(dir string) []string { return []string{"sample", dir} }, []string{data.TokenizerFile},
		},
		"a run of another size": {
			func(t *testing.T, dir string) {
				path := filepath.Join(dir, run.SettingsFile)
				data, _ := os.ReadFile(path)
				replace(t, path, strings.Replace(string(data), `"embedding_dim": 16`, `"embedding_dim": 32`, 1))
			},
			func(dir string) []string { return []string{"resume", dir} }, []string{"shape"},
		},
		"a text that has changed": {
			func(t *testing.T, dir string) {
				path := filepath.Join(dir, run.SettingsFile)
				data, _ := os.ReadFile(path)
				changed := write(t, "text.txt", strings.Repeat("the cell forgets what gate lets go and keeps rest\n", 130))
				replace(t, path, strings.Replace(string(data), text, changed, 1))
			},
			func(dir string) []string { return []string{"resume", dir} }, []string{"checksum", "resume with the data"},
		},
		"settings cut short": {
			func(t *testing.T, dir string) { truncate(t, filepath.Join(dir, run.SettingsFile)) },
			func(dir string) []string { return []string{"resume", dir} }, []string{run.SettingsFile},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			mustRun(t, small(text, dir, "-steps", "4")...)
			c.harm(t, dir)
			_, _, err := runHere(context.Background(), c.args(dir)...)
			if err == nil {
				t.Fatal("it is accepted")
			}
			for _, want := range c.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q\ndoes not say %q", err, want)
				}
			}
		})
	}
}

func best(t *testing.T, dir string) string {
	t.Helper()
	dir, err := rundir.ModelPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func truncate(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, info.Size()/2); err != nil {
		t.Fatal(err)
	}
}

// replace gives a file another content on purpose: its checksum goes.
func replace(t *testing.T, path, content string) {
	t.Helper()
	err := files.WriteFile(path, func(w io.Writer) error {
		_, err := io.WriteString(w, content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// wantComplaint checks that a command fails with an error that has all parts.
func wantComplaint(t *testing.T, args []string, parts ...string) {
	t.Helper()
	_, _, err := runHere(t.Context(), args...)
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v: the error is %v, want one that says %q", args, err, part)
		}
	}
}
