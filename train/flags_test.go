package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gorgonia-xlstm/xlstm/internal/run"
)

// helpOf returns the help of a command, which goes to standard output.
func helpOf(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, err := runHere(context.Background(), args...)
	if err != nil && !errors.Is(err, flag.ErrHelp) || errs != "" {
		t.Fatalf("%v: %v, %q", args, err, errs)
	}
	return out
}

// TestHelpOfEveryCommand: by subject, with defaults, within 80 columns, and the
// same for help COMMAND and COMMAND -h.
func TestHelpOfEveryCommand(t *testing.T) {
	for _, cmd := range commands() {
		help := helpOf(t, cmd.name, "-h")
		if help != helpOf(t, "help", cmd.name) {
			t.Errorf("help %s is not %s -h", cmd.name, cmd.name)
		}
		if !strings.Contains(help, "\n  xlstm ") || strings.Contains(help, "go run") {
			t.Errorf("%s: the examples have another name than xlstm:\n%s", cmd.name, help)
		}
		for line := range strings.Lines(help) {
			if n := utf8.RuneCountInString(line) - 1; n > 80 && strings.HasPrefix(line, "                      ") {
				t.Errorf("%s: %d columns: %s", cmd.name, n, line)
			}
		}
	}
	help := helpOf(t, "-preset", "base", "-h")
	for _, want := range []string{"\nText\n", "\nModel\n", "\nTraining\n", "width of the model (embedding_dim) (default 256)", "(default 1200)", "(default 0.05)"} {
		if !strings.Contains(help, want) && !strings.Contains(strings.Join(strings.Fields(help), " "), want) {
			t.Errorf("the help of train lacks %q:\n%s", want, help)
		}
	}
	if all := helpOf(t, "-h"); all != helpOf(t, "help") || !strings.Contains(all, "\n  sample ") {
		t.Errorf("-h gives\n%s", all)
	}
}

// TestEveryFlagHasOneSubject: help would leave a flag out that has none.
func TestEveryFlagHasOneSubject(t *testing.T) {
	var known []string
	for _, s := range subjects() {
		known = append(known, s.flags...)
	}
	if sorted := slices.Sorted(slices.Values(known)); len(slices.Compact(sorted)) != len(known) {
		t.Errorf("a flag has two subjects: %v", sorted)
	}
	source := regexp.MustCompile(`f\.(?:\w+Var\(&?[\w.]+, |\w+\()"([a-z][a-z0-9-]*)", `)
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range source.FindAllStringSubmatch(string(text), -1) {
			if !strings.HasSuffix(file, "_test.go") && !strings.Contains(m[0], "renamed") && !slices.Contains(known, m[1]) {
				t.Errorf("%s: -%s has no subject", file, m[1])
			}
		}
	}
}

// TestBooleansWithAndWithoutTrue: as a word of its own too.
func TestBooleansWithAndWithoutTrue(t *testing.T) {
	for _, args := range [][]string{{"-tie"}, {"-tie", "true"}, {"--tie=true"}, {"-carry", "-tie"}, {"-carry", "true", "-tie", "-batch", "2"}} {
		p, _, err := parseTrain(append(args, "-preset", "tiny"), console{err: io.Discard})
		if err != nil || !p.Model.TieWeights || p.Carry != slices.Contains(args, "-carry") || p.preset != "tiny" {
			t.Errorf("%v: tied %v, carry %v, preset %s: %v", args, p.Model.TieWeights, p.Carry, p.preset, err)
		}
	}
	for _, args := range [][]string{{"-tie", "false"}, {"-tie=false"}, {}} {
		if p, _, err := parseTrain(args, console{err: io.Discard}); err != nil || p.Model.TieWeights {
			t.Errorf("%v: tied %v: %v", args, p.Model.TieWeights, err)
		}
	}
}

// TestFormerSpellings work, with a notice, and help does not have them.
func TestFormerSpellings(t *testing.T) {
	var errs strings.Builder
	p, _, err := parseTrain([]string{"-sample-chars", "7"}, console{err: &errs})
	if err != nil || p.SampleChars != 7 || errs.String() != "-sample-chars is called -sample-tokens now\n" {
		t.Errorf("%d, %v, notice %q", p.SampleChars, err, &errs)
	}
	if help := helpOf(t, "train", "-h"); strings.Contains(help, "sample-chars") || !strings.Contains(help, "-sample-tokens") {
		t.Error("help has the former spelling")
	}
	if help := helpOf(t, "sample", "-h"); strings.Contains(help, "  -tokens") || !strings.Contains(help, "-max-tokens") {
		t.Error("help has the former spelling")
	}
}

func TestDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"batch", "bacth", 1}, {"sample", "smaple", 1}, {"kitten", "sitting", 3}, {"lr", "min-lr", 4}} {
		if got := distance(test.a, test.b); got != test.want || distance(test.b, test.a) != got {
			t.Errorf("%q, %q: %d, want %d", test.a, test.b, got, test.want)
		}
	}
}

// TestNameOfTheProgram under go run: as it can be typed where it was started.
func TestNameOfTheProgram(t *testing.T) {
	root := t.TempDir()
	place(t, "module example.com/m // of a test\n\ngo 1.25\n", root, "go.mod")
	place(t, "", root, "train", "main.go")
	info := &debug.BuildInfo{Path: "example.com/m/train", Main: debug.Module{Path: "example.com/m", Version: "v1.2.3"}}
	tagged := *info
	tagged.Settings = []debug.BuildSetting{{Key: "-tags", Value: "purego"}}
	elsewhere := t.TempDir()
	place(t, "module example.com/other\n", elsewhere, "go.mod")
	for _, test := range []struct {
		info      *debug.BuildInfo
		dir, want string
	}{
		{info, root, "go run ./train"},
		{info, filepath.Join(root, "train"), "go run ."},
		{&tagged, root, "go run -tags purego ./train"},
		{info, elsewhere, "go run example.com/m/train"},
		{info, t.TempDir(), "go run example.com/m/train@v1.2.3"},
	} {
		if got := goRun(test.info, test.dir); got != test.want {
			t.Errorf("in %s: %q, want %q", test.dir, got, test.want)
		}
	}
	for path, want := range map[string]bool{
		"/tmp/go-build2498086354/b001/exe/train":                            true,
		`C:\Temp\go-build24\b001\exe\train.exe`:                             true,
		"/root/.cache/go-build/c6/" + strings.Repeat("c6", 32) + "-d/train": true,
		"/tmp/go-build2498086354/b001/train.test":                           false,
		"/usr/local/bin/xlstm":                                              false,
	} {
		if got := builtByGoRun.MatchString(path); got != want {
			t.Errorf("%s: built by go run is %v", path, got)
		}
	}
}

// TestProgramSpeaksOfItself: a binary of any name, in help, errors and the run's
// own page.
func TestProgramSpeaksOfItself(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "xlstm")
	if err := os.Symlink(os.Args[0], binary); err != nil {
		t.Skip(err)
	}
	called := func(args ...string) string {
		cmd, out := child(args...)
		cmd.Path, cmd.Args[0] = binary, binary
		_ = cmd.Run() // some of them are mistakes
		return out.String()
	}
	dir := filepath.Join(t.TempDir(), "run")
	page := called(small(sampleText(t), dir, "-steps", "4")...)
	about, err := os.ReadFile(filepath.Join(dir, run.AboutFile))
	if err != nil {
		t.Fatal(err, page)
	}
	for what, text := range map[string]string{
		"help": called("help"), "the help of a command": called("sample", "-h"), "a mistake": called("fly"), "another": called("resume"),
		"a run": page, "about.json": string(about),
	} {
		if !strings.Contains(text, binary+" ") || strings.Contains(text, "go run") {
			t.Errorf("%s does not speak of %s:\n%s", what, binary, text)
		}
	}
	if text := called("graph", "-preset", "tiny", "-only", "blocks.9"); !strings.HasPrefix(text, "xlstm: the graph has no part") || strings.Count(text, "\n") != 1 {
		t.Errorf("a mistake gives %q", text)
	}
}

func TestComplaintsHaveOnePrefix(t *testing.T) {
	for text, want := range map[string]string{
		"xlstm: a temperature":                       "a temperature",
		"reading x: xlstm: configuration: it is bad": "reading x: configuration: it is bad",
		"dot: xlstm: twice":                          "twice",
		"my.data: is kept":                           "my.data: is kept",
	} {
		if got := complaint(errors.New(text)); got != fileName()+": "+want {
			t.Errorf("%q becomes %q", text, got)
		}
	}
}

func TestVersion(t *testing.T) {
	out := mustRun(t, "version")
	for _, want := range []string{"module      github.com/gorgonia-xlstm/xlstm ", "go          go1.", "kernels     "} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
}
