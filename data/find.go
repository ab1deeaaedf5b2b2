package data

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"
	"unicode/utf8"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/pkg/errors"
)

// Files are texts on disk that need not fit into memory: those that [Load] would
// read, in the same order and with the same rules.
type Files struct {
	Source  string    // where the documents come from
	Skipped []Skipped // files that were found but skipped
	Bytes   int64     // of the documents together

	paths []string
	stamp []string // of all files that were found, those left out included
}

// Find finds the files that [Load] would read, and reads each once to check
// that it is text. It returns the same errors as [Load], except that the size
// is not limited.
func Find(patterns ...string) (*Files, error) {
	if len(patterns) == 0 {
		return nil, errors.New("no data to load: name a file, a folder or a pattern")
	}
	found, err := findFiles(patterns)
	if err != nil {
		return nil, err
	}
	f := &Files{Source: strings.Join(patterns, " ")}
	for _, file := range found {
		flaw, size, info, err := examine(file.path)
		if err != nil {
			return nil, errors.Wrap(err, "read data")
		}
		f.stamp = append(f.stamp, fmt.Sprintf("%q %d %d", file.path, info.Size(), info.ModTime().UnixNano()))
		switch {
		case flaw == "":
			f.paths, f.Bytes = append(f.paths, file.path), f.Bytes+size
		case file.named:
			return nil, errors.Errorf("%s %s: name files of UTF-8 text only", file.path, flaw)
		default:
			f.Skipped = append(f.Skipped, Skipped{file.path, reason(flaw)})
		}
	}
	if len(f.paths) == 0 {
		return nil, errors.Errorf("no text in %s: all %d files are empty, binary or not UTF-8", f.Source, len(f.Skipped))
	}
	return f, nil
}

// reason returns a flaw in short: without where in the file it is.
func reason(flaw string) string {
	short, _, _ := strings.Cut(strings.TrimPrefix(flaw, "is "), " (")
	return short
}

// examine reads a file block by block and says what keeps it from being text, or
// how many bytes of text there are.
func examine(path string) (flaw string, size int64, info fs.FileInfo, err error) {
	f, _, err := files.Open(path, files.AnySize)
	if err != nil {
		return "", 0, nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return "", 0, nil, err
	}
	flaw, size, err = examineText(f)
	return flaw, size, info, err
}

func examineText(f io.Reader) (flaw string, size int64, err error) {
	block, kept, at, mark := make([]byte, pieceBytes), 0, 0, 0
	for {
		n, err := io.ReadFull(f, block[kept:])
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return "", 0, err
		}
		text := block[:kept+n]
		if at == 0 {
			mark = len(text) - len(files.WithoutMark(text))
		}
		whole := len(text)
		if !last {
			whole -= unfinished(text)
		}
		if i := bytes.IndexByte(text, 0); i >= 0 {
			return fmt.Sprintf("is binary (it has a NUL at byte %d)", at+i), 0, nil
		}
		if i := invalidUTF8(text[:whole]); i >= 0 {
			return fmt.Sprintf("is not UTF-8 (at byte %d)", at+i), 0, nil
		}
		if last && at+len(text) == mark {
			return "is empty", 0, nil
		}
		if last {
			return "", int64(at + len(text) - mark), nil
		}
		at, kept = at+whole, copy(block, text[whole:])
	}
}

// unfinished returns the length of the character that text ends in the middle of.
func unfinished(text []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if end := text[len(text)-n:]; utf8.RuneStart(end[0]) {
			if !utf8.FullRune(end) {
				return n
			}
			break
		}
	}
	return 0
}

// Pieces reads the documents. Long documents are split into pieces that give
// the same tokens with tok as the whole document.
func (f *Files) Pieces(tok Tokenizer) iter.Seq2[Piece, error] {
	return func(yield func(Piece, error) bool) {
		for _, path := range f.paths {
			ok, err := eachPiece(path, tok, yield)
			if err != nil {
				yield(Piece{}, errors.Wrap(err, "read data"))
				return
			}
			if !ok {
				return
			}
		}
	}
}

// eachPiece yields the pieces of a file.
func eachPiece(path string, tok Tokenizer, yield func(Piece, error) bool) (goOn bool, err error) {
	f, _, err := files.Open(path, files.AnySize)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var text []byte // read and not yet yielded
	for first, end := true, false; !end || len(text) > 0; {
		if !end {
			// More each time, so that a text without places to cut is not searched
			// for them too often.
			more := max(2*pieceBytes, len(text))
			at := len(text)
			text = append(text, make([]byte, more)...)
			n, err := io.ReadFull(f, text[at:])
			end = errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
			if err != nil && !end {
				return false, err
			}
			text = text[:at+n]
			if first && at == 0 {
				text = files.WithoutMark(text)
			}
		}
		for len(text) > 0 {
			n := cutPlace(tok, string(text))
			if n == len(text) && !end {
				break
			}
			if !yield(Piece{string(text[:n]), first}, nil) {
				return false, nil
			}
			first = false
			text = append(text[:0], text[n:]...)
		}
	}
	return true, nil
}
