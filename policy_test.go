package xlstm

import (
	"bufio"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const modulePath = "github.com/gorgonia-xlstm/xlstm"

// mayImport lists the packages of this module that each may import; an arrow
// that points back is an error.
var mayImport = map[string][]string{
	"blas":                 {"internal/cores", "internal/processor"},
	"internal/cores":       {},
	"internal/peak":        {"internal/processor"},
	"internal/processor":   {},
	"internal/vec":         {"internal/processor"},
	"internal/kernels":     {"blas", "internal/cores", "internal/vec", "internal/weights"},
	"internal/weights":     {"internal/cores", "internal/ops", "internal/processor"},
	"internal/golden":      {},
	"internal/graphviz":    {},
	"internal/files":       {},
	"internal/pytorch":     {},
	"internal/rundir":      {},
	"internal/scaling":     {},
	"internal/report":      {".", "data", "internal/numbers", "trace"},
	"internal/tensorboard": {},
	"internal/testutil":    {"internal/floats", "internal/processor"},
	"dist":                 {"internal/dynlib", "internal/osthread"},
	"internal/dynlib":      {},
	"internal/osthread":    {},
	"data":                 {"data/bpe", "internal/files"},
	"data/bpe":             {},
	"optim":                {"internal/cores", "internal/device", "internal/floats", "internal/ops", "internal/vec"},
	"internal/ops":         {},
	"internal/floats":      {"internal/ops"},
	"internal/device":      {"internal/ops"},
	"internal/device/cpu":  {"internal/device", "internal/kernels", "internal/ops", "internal/weights"},
	"internal/device/cuda": {"internal/device", "internal/dynlib", "internal/ops"},
	"internal/jinja":       {},
	"internal/chat":        {"data", "internal/files", "internal/jinja"},
	"serve":                {".", "data", "internal/chat"},
	"internal/plan":        {"internal/device", "internal/ops"},
	"internal/opstest":     {"internal/device", "internal/floats", "internal/ops"},
	"nodes":                {"internal/device", "internal/device/cpu", "internal/ops", "internal/plan"},
	"layers":               {"internal/floats", "internal/ops", "nodes", "safetensors"},
	"safetensors":          {"internal/files"},
	"trace":                {".", "internal/floats", "internal/numbers", "layers", "nodes"},
	".":                    {"dist", "internal/cores", "internal/device", "internal/device/cuda", "internal/ops", "layers", "nodes", "optim", "data", "safetensors", "internal/weights", "internal/files", "internal/floats", "internal/numbers", "internal/pytorch", "internal/rundir", "internal/vec"},
	"internal/machine":     {},
	"internal/numbers":     {},
	"internal/bench":       {".", "blas", "data", "internal/device", "internal/kernels", "internal/machine", "internal/peak", "nodes", "optim"},
	"dot":                  {},
	"dot/render":           {"internal/graphviz"},
	"dot/draw":             {"dot/render", "internal/files"},
	"internal/run":         {".", "dist", "data", "data/bpe", "optim", "internal/chat", "internal/files", "internal/machine", "internal/numbers", "internal/report", "internal/rundir", "internal/tensorboard"},
	"internal/experiment":  {".", "data", "layers", "nodes", "optim", "trace", "internal/files", "internal/machine", "internal/numbers", "internal/report"},
	"train":                {".", "dist", "blas", "data", "dot", "dot/render", "layers", "internal/bench", "internal/chat", "internal/experiment", "internal/files", "internal/machine", "internal/numbers", "internal/report", "internal/run", "internal/rundir", "serve", "trace"},
}

// mayNotImport are prefixes of packages that a package must not import.
var mayNotImport = map[string][]string{
	"blas":                 {"gorgonia.org/"},
	"internal/kernels":     {"gorgonia.org/"},
	"internal/vec":         {"gorgonia.org/"},
	"internal/ops":         {"gorgonia.org/"},
	"internal/device":      {"gorgonia.org/"},
	"internal/device/cpu":  {"gorgonia.org/"},
	"internal/device/cuda": {"gorgonia.org/"},
	"internal/plan":        {"gorgonia.org/"},
	"internal/floats":      {"gorgonia.org/"},
	"data":                 {"gorgonia.org/"},
	"data/bpe":             {"gorgonia.org/"},
	"dot/render":           {"gorgonia.org/"},
}

// banned are prefixes of packages that slow down every program that imports them:
// this one compiles Graphviz whenever a program starts.
var banned = []string{"github.com/goccy/go-graphviz"}

// TestPackagesImportOnlyWhatTheyMay keeps the arrows between the packages
// pointing one way, and checks that every package has a doc comment.
func TestPackagesImportOnlyWhatTheyMay(t *testing.T) {
	documented := map[string]bool{}
	eachSource(t, parser.ParseComments|parser.ImportsOnly, func(file string, parsed *ast.File) {
		dir := path.Dir(file)
		documented[dir] = documented[dir] || parsed.Doc != nil
		for _, spec := range parsed.Imports {
			checkImport(t, file, dir, strings.Trim(spec.Path.Value, `"`))
		}
	})
	for dir, ok := range documented {
		if !ok {
			t.Errorf("package %s has no doc comment", dir)
		}
	}
}

// eachSource calls f with every Go file of the module that is not a test, by its
// path with slashes.
func eachSource(t *testing.T, mode parser.Mode, f func(file string, parsed *ast.File)) {
	t.Helper()
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), "_") {
			return filepath.SkipDir // a module of its own
		}
		if err != nil || d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, mode)
		if err == nil {
			f(filepath.ToSlash(file), parsed)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkImport(t *testing.T, file, dir, imported string) {
	allowed, known := mayImport[dir]
	if !known {
		t.Fatalf("%s: package %s is not in mayImport", file, dir)
	}
	if imported == modulePath || strings.HasPrefix(imported, modulePath+"/") {
		rel := path.Join(".", strings.TrimPrefix(strings.TrimPrefix(imported, modulePath), "/"))
		if !slices.Contains(allowed, rel) {
			t.Errorf("%s imports %s, which %s may not", file, rel, dir)
		}
	}
	for _, prefix := range append(banned, mayNotImport[dir]...) {
		if strings.HasPrefix(imported, prefix) {
			t.Errorf("%s imports %s, which %s may not", file, imported, dir)
		}
	}
}

// mayOpen are the files, and internal/files itself, that read without its checks:
// files of the operating system, and data of tests.
var mayOpen = []string{"internal/files", "internal/golden", "internal/machine", "internal/testutil"}

// TestFilesAreReadWithChecks: only regular files, of a size that fits what they
// are, as package internal/files ensures.
func TestFilesAreReadWithChecks(t *testing.T) {
	eachSource(t, parser.SkipObjectResolution, func(file string, parsed *ast.File) {
		if slices.Contains(mayOpen, file) || slices.Contains(mayOpen, path.Dir(file)) {
			return
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "os" && (s.Sel.Name == "Open" || s.Sel.Name == "ReadFile") {
					t.Errorf("%s calls os.%s; use internal/files", file, s.Sel.Name)
				}
			}
			return true
		})
	})
}

// TestRunsKnowNoFlags: package run names settings; which flags set them is known to
// package train alone.
func TestRunsKnowNoFlags(t *testing.T) {
	flag := regexp.MustCompile(`(^|[ (])-[a-z]`)
	eachSource(t, parser.SkipObjectResolution, func(file string, parsed *ast.File) {
		if path.Dir(file) != "internal/run" {
			return
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if text, ok := n.(*ast.BasicLit); ok && text.Kind == token.STRING && flag.MatchString(strings.Trim(text.Value, "`\"")) {
				t.Errorf("%s names a flag in %s; use Settings.Name", file, text.Value)
			}
			return true
		})
	})
}

// TestReadmeExampleIsTheTestedOne: the code that the README shows is the code
// that runs as Example.
func TestReadmeExampleIsTheTestedOne(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var body []string
	inside := false
	for s := bufio.NewScanner(f); s.Scan(); {
		switch line := s.Text(); {
		case line == "func Example() {":
			inside = true
		case inside && strings.Contains(line, "// Output:"):
			inside = false
		case inside:
			body = append(body, strings.TrimPrefix(line, "\t"))
		}
	}
	if len(body) == 0 || !strings.Contains(string(readme), strings.Join(body, "\n")) {
		t.Errorf("the README does not show the body of Example:\n%s", strings.Join(body, "\n"))
	}
}
