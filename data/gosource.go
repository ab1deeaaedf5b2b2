package data

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/pkg/errors"
)

// GoSource reads the source of the Go standard library of the installed go
// command: a corpus of well-edited text that needs no download. It asks the go
// command for the location of the source.
//
// GoSource omits commands (cmd), files that the go command does not build
// (testdata, names that begin with a dot or an underscore), copies of other
// modules (vendor), tests, generated files, and files with more digits than
// lower-case letters, which are tables of numbers. Those that had to be read to
// be recognised are listed in [Corpus.Skipped]. The copyright notice at the top
// of each file is removed.
//
// The files are in a random order that depends on the seed and the Go release.
// They are taken in this order until the text, as [Corpus.Text] returns it, has
// maxBytes bytes ([DefaultMaxBytes], which is more than there is, if maxBytes
// is 0 or less). The last file is cut after the last complete line that fits,
// so that a smaller corpus of the same seed is the beginning of a larger one.
//
// GoSource returns an error if there is no go command, if it does not answer
// within 30 seconds or before ctx is done, if its source is not installed, or
// if maxBytes is too small for a single line.
func GoSource(ctx context.Context, maxBytes int, seed uint64) (*Corpus, error) {
	root, version, err := goRoot(ctx)
	if err != nil {
		return nil, err
	}
	src := filepath.Join(root, "src")
	names, err := goFiles(os.DirFS(src))
	if err != nil {
		return nil, errors.Wrap(err, "look for Go source")
	}
	if len(names) == 0 {
		return nil, errors.Errorf("no Go source in %s: install it, or load a text of your own", src)
	}
	shuffle(names, seed)
	c, err := readGo(os.DirFS(src), names, textLimit(maxBytes))
	if err != nil {
		return nil, err
	}
	c.Source = "Go standard library, " + version
	return c, nil
}

// goRoot asks the go command for its root folder and its version.
func goRoot(ctx context.Context) (root, version string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "env", "GOROOT", "GOVERSION")
	// Inside a module the go command may switch to another release, and even
	// download it. The corpus is that of the installed one, wherever the caller is.
	cmd.Dir = os.TempDir()
	cmd.Env = append(cmd.Environ(), "GOTOOLCHAIN=local")
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return "", "", errors.Wrap(err, "ask the go command for the source of the standard library (install Go, or load a text of your own)")
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != 2 {
		return "", "", errors.Errorf("go env GOROOT GOVERSION answered %.80q, not a folder and a version: check the installation of Go, or load a text of your own", out)
	}
	root, version = strings.TrimSpace(lines[0]), strings.TrimSpace(lines[1])
	if info, err := os.Stat(filepath.Join(root, "src")); err != nil || !info.IsDir() {
		return "", "", errors.Errorf("Go at %s has no folder src: install the source of the standard library, or load a text of your own", root)
	}
	return root, version, nil
}

// goFiles returns the names of the Go files to consider, in the order of
// [fs.WalkDir], which is the same on every machine.
func goFiles(fsys fs.FS) ([]string, error) {
	var names []string
	err := fs.WalkDir(fsys, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path == ".":
			return nil
		case d.IsDir() && (path == "cmd" || d.Name() == "vendor" || d.Name() == "testdata" || unbuilt(d.Name())):
			return fs.SkipDir
		case !d.Type().IsRegular() || unbuilt(d.Name()):
			return nil
		case strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go"):
			names = append(names, path)
		}
		return nil
	})
	return names, err
}

// unbuilt reports whether the go command ignores files and folders of a name.
func unbuilt(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")
}

// readGo reads files in the given order until the limit in bytes is reached.
func readGo(fsys fs.FS, names []string, limit int) (*Corpus, error) {
	c := new(Corpus)
	for _, name := range names {
		content, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, errors.Wrap(err, "read Go source")
		}
		source := string(files.WithoutMark(content))
		if why := unfit(source); why != "" {
			c.Skipped = append(c.Skipped, Skipped{name, why})
			continue
		}
		if len(c.Documents) > 0 {
			limit -= len(Separator)
		}
		text := withoutLicense(source)
		part := wholeLines(text, limit)
		if part != "" {
			c.Documents = append(c.Documents, Document{Name: name, Text: part})
			limit -= len(part)
		}
		if len(part) < len(text) {
			break
		}
	}
	if len(c.Documents) == 0 {
		return nil, errors.New("no Go source fits the limit in bytes: raise the limit, or load a text of your own")
	}
	return c, nil
}

// unfit says why a file is not to be learned from, "" for one that is.
func unfit(source string) string {
	switch {
	case !utf8.ValidString(source):
		return "not UTF-8"
	case generated(source):
		return "generated"
	case numeric(source):
		return "numbers"
	}
	return ""
}

// generated reports whether a comment before the package clause says that a
// program wrote the file. Besides the standard "// Code generated … DO NOT
// EDIT." there are the older marks of cgo and of shell scripts.
func generated(source string) bool {
	for line := range strings.Lines(source) {
		if strings.HasPrefix(line, "package ") {
			return false
		}
		for _, mark := range []string{"Code generated ", "Generated ", "auto-generated ", "created by cgo", "Created by cgo"} {
			if strings.HasPrefix(line, "// "+mark) {
				return true
			}
		}
	}
	return false
}

// numeric reports whether a file has more digits than lower-case letters. The
// large tables in the library that bear no mark of their generators do.
func numeric(source string) bool {
	digits, letters := 0, 0
	for i := range len(source) {
		switch b := source[i]; {
		case '0' <= b && b <= '9':
			digits++
		case 'a' <= b && b <= 'z':
			letters++
		}
	}
	return digits > letters
}

// withoutLicense removes the comment at the top of a file if it is a copyright
// notice. It would otherwise be the best learned text of all.
func withoutLicense(source string) string {
	end := leadingComment(source)
	if !strings.Contains(strings.ToLower(source[:end]), "copyright") {
		return source
	}
	return strings.TrimLeft(source[end:], " \t\r\n")
}

// leadingComment returns the length of the comment that a file begins with: a
// /* */ comment, or lines of // comments without directives to the compiler.
func leadingComment(source string) int {
	if strings.HasPrefix(source, "/*") {
		if before, _, ok := strings.Cut(source, "*/"); ok {
			return len(before) + len("*/")
		}
		return 0
	}
	end := 0
	for line := range strings.Lines(source) {
		if !strings.HasPrefix(line, "//") || strings.HasPrefix(line, "//go:") {
			break
		}
		end += len(line)
	}
	return end
}

// wholeLines returns as many whole lines from the start of a text as fit into a
// number of bytes.
func wholeLines(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return text[:strings.LastIndexByte(text[:max(limit, 0)], '\n')+1]
}
