package files

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/pkg/errors"
)

// text returns a writer of s.
func text(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

func mustWrite(t *testing.T, path, s string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(s), 0o666); err != nil {
		t.Fatal(err)
	}
}

// checkFolder checks that dir holds these names and no others, and that the file
// "a" has this text, if there is to be one.
func checkFolder(t *testing.T, dir, a string, names ...string) {
	t.Helper()
	got := testutil.Names(t, dir)
	if strings.Join(got, " ") != strings.Join(names, " ") {
		t.Errorf("the folder holds %q, want %q", got, names)
	}
	if raw, err := os.ReadFile(filepath.Join(dir, "a")); a != "" && (err != nil || string(raw) != a) {
		t.Errorf("the file holds %.20q (%v), want %q", raw, err, a)
	}
}

func TestWriteFileMakesAndReplaces(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	for _, s := range []string{"first", strings.Repeat("more than a buffer holds ", 10000), "last"} {
		if err := WriteFile(path, text(s)); err != nil {
			t.Fatal(err)
		}
		checkFolder(t, dir, s, "a")
	}
}

func TestWriteFileKeepsThePermissions(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no such permissions here")
	}
	path := filepath.Join(t.TempDir(), "a")
	mustWrite(t, path, "old")
	for _, mode := range []os.FileMode{0o600, 0o640} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if err := WriteFile(path, text("new")); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("permissions %v (%v), want %v", info.Mode().Perm(), err, mode)
		}
	}
}

func TestWriteFileThatFailsLeavesTheOldFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	mustWrite(t, path, "old")
	err := WriteFile(path, func(w io.Writer) error {
		if err := text(strings.Repeat("new", 1<<16))(w); err != nil {
			return err
		}
		return errors.New("the cable is out")
	})
	testutil.WantError(t, err, "writing "+path, "the cable is out")
	checkFolder(t, dir, "old", "a")
}

func TestWriteFileThatPanicsLeavesTheOldFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	mustWrite(t, path, "old")
	func() {
		defer func() { recover() }()
		WriteFile(path, func(io.Writer) error { panic("the caller's fault") })
	}()
	checkFolder(t, dir, "old", "a")
}

func TestWriteFileDoesNotReplaceAFolder(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	if err := os.Mkdir(path, 0o777); err != nil {
		t.Fatal(err)
	}
	testutil.WantError(t, WriteFile(path, text("new")), "writing "+path)
	checkFolder(t, dir, "", "a")
}

func TestWriteFileIntoNoFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "no", "a")
	testutil.WantError(t, WriteFile(path, text("new")), "writing "+path)
	testutil.WantError(t, WriteDir(path, func(string) error { return nil }), "writing folder "+path)
}

// TestFullDiskIsAnError: a write that fits into the buffer fails only when it
// is flushed to disk, and a caller that ignores errors must not hide this.
func TestFullDiskIsAnError(t *testing.T) {
	for name, write := range map[string]func(io.Writer) error{
		"little":   text("little"),
		"much":     text(strings.Repeat("much", 1<<16)),
		"careless": func(w io.Writer) error { io.WriteString(w, strings.Repeat("much", 1<<16)); return nil },
	} {
		f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Skip("there is no /dev/full here")
		}
		defer f.Close()
		if err := fill(f, io.Discard, filepath.Join(t.TempDir(), "a"), write); err == nil || !strings.Contains(err.Error(), "space") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestReadOnlyFolderIsAnError(t *testing.T) {
	if runtime.GOOS == "windows" || os.Geteuid() == 0 {
		t.Skip("a folder cannot be made read-only for this user")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	mustWrite(t, path, "old")
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o777)
	testutil.WantError(t, WriteFile(path, text("new")), "writing "+path, "permission")
	testutil.WantError(t, WriteDir(filepath.Join(dir, "b"), func(string) error { return nil }), "permission")
	checkFolder(t, dir, "old", "a")
}

func TestWriteDirPutsTheWholeFolderInPlace(t *testing.T) {
	dir := t.TempDir()
	err := WriteDir(filepath.Join(dir, "new")+string(filepath.Separator), func(tmp string) error {
		checkFolder(t, dir, "", filepath.Base(tmp)) // not there yet
		if err := os.Mkdir(filepath.Join(tmp, "sub"), 0o777); err != nil {
			return err
		}
		mustWrite(t, filepath.Join(tmp, "sub", "a"), "deep")
		return WriteFile(filepath.Join(tmp, "a"), text("flat"))
	})
	if err != nil {
		t.Fatal(err)
	}
	checkFolder(t, dir, "", "new")
	checkFolder(t, filepath.Join(dir, "new"), "flat", "a", "sub")
	checkFolder(t, filepath.Join(dir, "new", "sub"), "deep", "a")
}

func TestWriteDirThatFailsLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	err := WriteDir(filepath.Join(dir, "new"), func(tmp string) error {
		mustWrite(t, filepath.Join(tmp, "a"), "half")
		return errors.New("the cable is out")
	})
	testutil.WantError(t, err, "writing folder "+filepath.Join(dir, "new"), "the cable is out")
	checkFolder(t, dir, "")
}

// TestWriteDirDoesNotReplace: neither what is there at first, empty or not, nor
// what comes while it writes.
func TestWriteDirDoesNotReplace(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "old")
	if err := os.Mkdir(old, 0o777); err != nil {
		t.Fatal(err)
	}
	never := func(string) error { t.Error("it writes"); return nil }
	testutil.WantError(t, WriteDir(old, never), old, "exists already")
	mustWrite(t, filepath.Join(old, "a"), "old")
	testutil.WantError(t, WriteDir(old, never), old, "exists already")
	late := filepath.Join(dir, "late")
	testutil.WantError(t, WriteDir(late, func(string) error { return os.Mkdir(late, 0o777) }), late, "exists already")
	checkFolder(t, dir, "", "late", "old")
	checkFolder(t, old, "old", "a")
}

// TestDyingLeavesTheOldAndALeftover runs itself as a program that ends in the
// middle of writing.
func TestDyingLeavesTheOldAndALeftover(t *testing.T) {
	const variable = "FILES_TEST_DIE_IN"
	if dir := os.Getenv(variable); dir != "" {
		WriteDir(filepath.Join(dir, "b"), func(tmp string) error {
			mustWrite(t, filepath.Join(tmp, "half"), "half")
			return WriteFile(filepath.Join(dir, "a"), func(w io.Writer) error {
				io.WriteString(w, strings.Repeat("half", 1<<16))
				os.Exit(7)
				return nil
			})
		})
	}
	dir := t.TempDir()
	mustWrite(t, filepath.Join(dir, "a"), "old")
	mustWrite(t, filepath.Join(dir, ".a.tmp-mine"), "not ours")
	mustWrite(t, filepath.Join(dir, "a.tmp-0123456789abcdef"), "not ours")
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), variable+"="+dir)
	if out, err := cmd.CombinedOutput(); err == nil || cmd.ProcessState.ExitCode() != 7 {
		t.Fatalf("it did not die: %v\n%s", err, out)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 5 {
		t.Fatalf("%v are there (%v), want the old, two leftovers and two strangers", entries, err)
	}
	if err := CleanTemp(dir); err != nil {
		t.Fatal(err)
	}
	checkFolder(t, dir, "old", ".a.tmp-mine", "a", "a.tmp-0123456789abcdef")
}

func TestCleanTempOfNoFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "no")
	testutil.WantError(t, CleanTemp(dir), "removing leftovers from "+dir)
}
