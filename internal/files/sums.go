package files

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pkg/errors"
)

// SumsFile is the file that holds the SHA-256 checksums of files beside it, one
// line for each, in the format of the sha256sum program, which can check them:
//
//	sha256sum -c checksums.sha256
//
// A file that it does not list is not verified, nor are files in a folder
// without it, because other programs write no checksums.
const SumsFile = "checksums.sha256"

// WriteSummed is like WriteFile, and also records the file's checksum in the
// SumsFile of its folder. Calls for files of the same folder must not overlap.
//
// At every moment the file is either listed with the checksum of its current
// content or not listed: a program that is killed leaves no file that would be
// reported as damaged.
func WriteSummed(path string, write func(w io.Writer) error) error {
	if err := changeSum(path, nil); err != nil {
		return err
	}
	sum := sha256.New()
	if err := writeFile(path, sum, write); err != nil {
		return err
	}
	return changeSum(path, sum.Sum(nil))
}

// changeSum sets the checksum of the file at path in its folder's list, or removes
// it if sum is nil.
func changeSum(path string, sum []byte) error {
	dir, name := filepath.Split(filepath.Clean(path))
	sums, err := ReadSums(dir)
	if err != nil {
		return errors.Wrapf(err, "writing %s", path)
	}
	if _, listed := sums[name]; sum == nil && !listed {
		return nil
	}
	delete(sums, name)
	if sum != nil {
		sums[name] = hex.EncodeToString(sum)
	}
	return writeFile(filepath.Join(dir, SumsFile), io.Discard, func(w io.Writer) error {
		for _, name := range slices.Sorted(maps.Keys(sums)) {
			if _, err := io.WriteString(w, sums[name]+"  "+name+"\n"); err != nil {
				return err
			}
		}
		return nil
	})
}

// WriteListed is like WriteSummed, for folders with so many files that the list
// should not be rewritten for each: it appends the checksum as a line to the
// list, where the last line for a name is valid, before it writes the file. If
// the program is killed in between, a file whose content was to change is later
// reported as damaged.
func WriteListed(path string, content []byte) error {
	if err := appendSum(path, content); err != nil {
		return errors.Wrapf(err, "noting the checksum of %s", path)
	}
	return writeFile(path, io.Discard, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

// appendSum adds a line to a list. A last line that was cut off by the end of a
// process is replaced.
func appendSum(path string, content []byte) error {
	dir, name := filepath.Split(filepath.Clean(path))
	f, err := os.OpenFile(filepath.Join(dir, SumsFile), os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return err
	}
	defer f.Close()
	end, err := lastLineEnd(f)
	if err != nil {
		return err
	}
	if err := f.Truncate(end); err != nil {
		return err
	}
	sum := sha256.Sum256(content)
	if _, err := f.WriteAt([]byte(hex.EncodeToString(sum[:])+"  "+name+"\n"), end); err != nil {
		return err
	}
	return f.Close()
}

// lastLineEnd returns how many bytes of a file are whole lines, of which none is
// longer than a path.
func lastLineEnd(f *os.File) (int64, error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	from := max(0, size-1<<13)
	tail := make([]byte, size-from)
	if _, err := f.ReadAt(tail, from); err != nil && err != io.EOF {
		return 0, err
	}
	return from + int64(bytes.LastIndexByte(tail, '\n')+1), nil
}

// Sums is the list of a folder: checksums by file name.
type Sums map[string]string

// ReadSums reads the list of a folder. The result is empty if there is no list.
func ReadSums(dir string) (Sums, error) {
	path := filepath.Join(dir, SumsFile)
	sums := make(Sums)
	content, err := Read(path, MaxList)
	if errors.Is(err, fs.ErrNotExist) {
		return sums, nil
	}
	if err != nil {
		return nil, errors.Wrap(err, "reading checksums")
	}
	for line := range strings.Lines(string(content)) {
		sum, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if _, err := hex.DecodeString(sum); err != nil || len(sum) != 2*sha256.Size || !ok || name == "" || !strings.HasSuffix(line, "\n") {
			return nil, errors.Errorf("%s is damaged: %.100q is not a line of checksums", path, line)
		}
		sums[name] = strings.ToLower(sum)
	}
	return sums, nil
}

// Verify reads the file at path and compares it with its checksum. It returns
// an error if they differ, and nil if no checksum is listed; see SumsFile.
func Verify(path string) error {
	sums, err := ReadSums(filepath.Dir(path))
	if err != nil {
		return err
	}
	want, listed := sums[filepath.Base(path)]
	if !listed {
		return nil
	}
	f, _, err := Open(path, AnySize)
	if err != nil {
		return errors.Wrap(err, "comparing a file with its checksum")
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return errors.Wrapf(err, "comparing %s with its checksum", path)
	}
	return compare(path, sum.Sum(nil), want)
}

// ReadVerified is like Read, and also compares the file with its checksum, as
// Verify does.
func ReadVerified(path string, most int64) ([]byte, error) {
	content, err := Read(path, most)
	if err != nil {
		return nil, err
	}
	sums, err := ReadSums(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	return content, sums.Check(path, content)
}

// Check compares the content of the file at path, in the folder of the list,
// with its checksum. It returns nil for a file that is not listed.
func (s Sums) Check(path string, content []byte) error {
	want, listed := s[filepath.Base(path)]
	if !listed {
		return nil
	}
	sum := sha256.Sum256(content)
	return compare(path, sum[:], want)
}

func compare(path string, sum []byte, want string) error {
	if hex.EncodeToString(sum) == want {
		return nil
	}
	return errors.Errorf("%s is damaged: it is not what its checksum in %s says was written (if it was changed on purpose, remove its line there)", path, SumsFile)
}

// VerifyDir calls Verify for every file listed in the folder dir, and reports
// whether the list names all files in the folder. It returns an error if a
// listed file does not exist.
func VerifyDir(dir string) (all bool, err error) {
	sums, err := ReadSums(dir)
	if err != nil {
		return false, err
	}
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		if err := Verify(filepath.Join(dir, name)); err != nil {
			return false, err
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false, errors.Wrap(err, "comparing files with their checksums")
	}
	for _, e := range entries {
		if _, listed := sums[e.Name()]; !listed && e.Name() != SumsFile {
			return false, nil
		}
	}
	return true, nil
}
