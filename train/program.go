package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/internal/run"
)

// console is where a command reads and prints, and what the program is called
// there.
type console struct {
	in       io.Reader
	out, err io.Writer
	name     string // what a shell takes to start this program again
	// lost receives the loss of another rank of a job, see dist.Config; may be nil.
	lost func(error)
}

// hint returns a command of this program as a shell takes it.
func (c console) hint(words ...string) string {
	line := c.name
	for _, w := range words {
		line += " " + quoted(w)
	}
	return line
}

// quoted returns a word as a shell takes it.
func quoted(word string) string {
	if word == "" || strings.ContainsAny(word, " \t\n'\"\\$&|;<>()*?[]#~`!{}") {
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return word
}

// builtByGoRun matches the executables of go run: in a folder that is gone when
// the program ends, or in the build cache.
var builtByGoRun = regexp.MustCompile(`[/\\]go-build\d+[/\\]b\d+[/\\]exe[/\\][^/\\]+$|[/\\][0-9a-f]{64}-d[/\\][^/\\]+$`)

// programName returns what starts this program again: the path under which it
// was started, or the go run command that built it.
func programName() string {
	started := quoted(os.Args[0])
	executable, err := os.Executable()
	if err != nil || !builtByGoRun.MatchString(executable) {
		return started
	}
	info, known := debug.ReadBuildInfo()
	dir, err := os.Getwd()
	if !known || err != nil {
		return started
	}
	return goRun(info, dir)
}

// goRun returns the go run command of a program in a folder: with a path where
// the folder is in the program's own module, and else with the package's name.
func goRun(info *debug.BuildInfo, dir string) string {
	command := "go run "
	for _, s := range info.Settings {
		if s.Key == "-tags" {
			command += "-tags " + quoted(s.Value) + " "
		}
	}
	root, module := moduleAround(dir)
	if inside, ours := strings.CutPrefix(info.Path, module+"/"); ours && module == info.Main.Path {
		if rel, err := filepath.Rel(dir, filepath.Join(root, inside)); err == nil {
			if rel = filepath.ToSlash(rel); rel != "." && !strings.HasPrefix(rel, "../") && rel != ".." {
				rel = "./" + rel
			}
			return command + rel
		}
	}
	if module == "" && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return command + info.Path + "@" + info.Main.Version
	}
	return command + info.Path
}

// moduleAround returns the root of the module that a folder is in, and its path;
// empty ones if it is in none.
func moduleAround(dir string) (root, module string) {
	for root = dir; ; root = filepath.Dir(root) {
		text, err := files.Read(filepath.Join(root, "go.mod"), files.MaxSettings)
		if err == nil {
			for line := range strings.Lines(string(text)) {
				if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "module" {
					return root, strings.Trim(fields[1], `"`)
				}
			}
			return "", ""
		}
		if filepath.Dir(root) == root {
			return "", ""
		}
	}
}

// ourPrefixes match the package names that errors of the library begin with:
// here they say nothing, since everything comes from this program.
var ourPrefixes = regexp.MustCompile(`(^|: )(?:(?:xlstm|layers|nodes|optim|data|bpe|dot|render|blas|trace|safetensors): )+`)

// complaint returns an error as a line for a terminal: the name of the program's
// file and what went wrong.
func complaint(err error) string {
	return fileName() + ": " + run.Visible(ourPrefixes.ReplaceAllString(err.Error(), "$1"))
}

// fileName returns the name of the program's file.
func fileName() string {
	return strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe")
}
