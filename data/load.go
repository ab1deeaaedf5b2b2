package data

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/pkg/errors"
)

// Load reads text from files, folders and glob patterns, such as
//
//	Load(0, "notes.txt", "books", "src/*.go")
//
// A folder is read with all folders in it. Files and folders whose names begin
// with a dot are skipped unless they are named. Patterns are those of
// [filepath.Match], and a folder that matches is read like a named one. The
// documents are in the order of the arguments and sorted by path within each; a
// file that is found twice is read once.
//
// A byte order mark at the beginning of a file is not part of its text.
//
// A named file must be UTF-8 text. Files found in folders and by patterns are
// skipped, and listed in [Corpus.Skipped], if they are empty, binary (contain a
// NUL byte) or not UTF-8.
//
// Load returns an error if an argument matches nothing, a named file is not
// text, a file cannot be read, or there is no text. It returns a
// [TooLargeError] if the text, as returned by [Corpus.Text], would be longer
// than maxBytes bytes ([DefaultMaxBytes] if maxBytes is 0 or less).
func Load(maxBytes int, patterns ...string) (*Corpus, error) {
	if len(patterns) == 0 {
		return nil, errors.New("no data to load: name a file, a folder or a pattern")
	}
	found, err := findFiles(patterns)
	if err != nil {
		return nil, err
	}
	c := &Corpus{Source: strings.Join(patterns, " ")}
	room := textLimit(maxBytes)
	for _, f := range found {
		text, flaw, err := readText(f.path, room)
		if err != nil {
			return nil, err
		}
		if flaw == "" && len(text) > room {
			return nil, &TooLargeError{f.path, textLimit(maxBytes)}
		}
		if flaw == "" {
			c.Documents = append(c.Documents, Document{Name: f.path, Text: text})
			room -= len(text) + len(Separator)
			continue
		}
		if f.named {
			return nil, errors.Errorf("%s %s: name files of UTF-8 text only", f.path, flaw)
		}
		c.Skipped = append(c.Skipped, Skipped{f.path, reason(flaw)})
	}
	if len(c.Documents) == 0 {
		return nil, errors.Errorf("no text in %s: all %d files are empty, binary or not UTF-8", c.Source, len(c.Skipped))
	}
	return c, nil
}

// TooLargeError is the error for a text that exceeds the limit.
type TooLargeError struct {
	Path  string // of the file that exceeds the limit
	Limit int    // in bytes
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("too much data: %s goes beyond the limit of %d bytes: name fewer files or raise the limit", e.Path, e.Limit)
}

// foundFile is a file to read.
type foundFile struct {
	path  string // clean, with slashes
	named bool   // an argument names it, rather than a folder or a pattern
}

// findFiles returns the files that the patterns match, each once.
func findFiles(patterns []string) ([]foundFile, error) {
	var files []foundFile
	seen := make(map[string]int) // the index in files of a path
	for _, pattern := range patterns {
		paths, named, err := expand(pattern)
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			i, ok := seen[path]
			if !ok {
				i = len(files)
				seen[path] = i
				files = append(files, foundFile{path: path})
			}
			files[i].named = files[i].named || named
		}
	}
	return files, nil
}

// expand returns the files that one pattern matches, sorted, and whether the
// pattern is the name of a file. What exists by the very name comes first, so
// that a name with brackets in it can be given.
func expand(pattern string) (paths []string, named bool, err error) {
	info, err := os.Stat(pattern)
	switch {
	case err == nil && info.IsDir():
		paths, err = walk(pattern)
	case err == nil:
		paths, named = []string{clean(pattern)}, true
	case strings.ContainsAny(pattern, "*?["):
		paths, err = glob(pattern)
	case errors.Is(err, fs.ErrNotExist):
		return nil, false, errors.Errorf("no file or folder %q: check the path", pattern)
	}
	if err != nil {
		return nil, false, errors.Wrapf(err, "look for data in %q", pattern)
	}
	if len(paths) == 0 {
		return nil, false, errors.Errorf("no files in %q: name a file, a folder that holds some, or a pattern that matches some", pattern)
	}
	slices.Sort(paths)
	return paths, named, nil
}

// glob returns the regular files that a pattern matches and those in the
// folders that it matches. Like a shell, it matches a leading dot with a dot
// only.
func glob(pattern string) ([]string, error) {
	matches, err := filepath.Glob(pattern)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, m := range matches {
		if hidden(filepath.Base(m)) && !hidden(filepath.Base(pattern)) {
			continue
		}
		info, err := os.Stat(m)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a link to nowhere
		}
		if err != nil {
			return nil, err
		}
		if info.Mode().IsRegular() {
			paths = append(paths, clean(m))
		}
		if !info.IsDir() {
			continue
		}
		inside, err := walk(m)
		if err != nil {
			return nil, err
		}
		paths = append(paths, inside...)
	}
	return paths, nil
}

// walk returns the regular files in a folder and the folders in it. It follows
// links to files but not to folders, which could lead round in a circle.
func walk(root string) ([]string, error) {
	var paths []string
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path != "." && hidden(d.Name()) && d.IsDir():
			return fs.SkipDir
		case d.IsDir() || hidden(d.Name()):
			return nil
		}
		full := filepath.Join(root, path)
		info, err := os.Stat(full)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a link to nowhere
		}
		if err == nil && info.Mode().IsRegular() {
			paths = append(paths, clean(full))
		}
		return err
	})
	return paths, err
}

// clean returns the shortest form of a path, with slashes on every system, so
// that sorting gives the same order everywhere.
func clean(path string) string { return filepath.ToSlash(filepath.Clean(path)) }

// hidden reports whether a file or folder of this name is hidden.
func hidden(name string) bool { return strings.HasPrefix(name, ".") }

// probeBytes is how much of a file is read even when there is no room for it,
// so that a binary file is recognised as such instead of exceeding the limit.
const probeBytes = 8192

// markRoom is what is read beyond the room: a byte order mark, and one byte more.
const markRoom = len(files.ByteOrderMark) + 1

// readText reads a file, but of one longer than room bytes only enough to show
// that it is longer. The flaw, if there is one, says what keeps the file from
// being text.
func readText(path string, room int) (text, flaw string, err error) {
	f, _, err := files.Open(path, files.AnySize)
	if err != nil {
		return "", "", errors.Wrap(err, "read data")
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, int64(min(max(room, probeBytes), math.MaxInt-markRoom)+markRoom)))
	if err != nil {
		return "", "", errors.Wrap(err, "read data")
	}
	content = files.WithoutMark(content)
	if len(content) == 0 {
		return "", "is empty", nil
	}
	if i := bytes.IndexByte(content, 0); i >= 0 {
		return "", fmt.Sprintf("is binary (it has a NUL at byte %d)", i), nil
	}
	// What is cut off may end in the middle of a character.
	if i := invalidUTF8(content); i >= 0 && len(content) <= room {
		return "", fmt.Sprintf("is not UTF-8 (at byte %d)", i), nil
	}
	return string(content), "", nil
}

// invalidUTF8 returns the offset of the first byte that is not part of valid
// UTF-8, or -1.
func invalidUTF8(content []byte) int {
	if utf8.Valid(content) {
		return -1
	}
	i := 0
	for {
		r, n := utf8.DecodeRune(content[i:])
		if r == utf8.RuneError && n <= 1 {
			return i
		}
		i += n
	}
}
