package files

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/pkg/errors"
)

// summed writes files with checksums into a new folder.
func summed(t *testing.T, names ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range names {
		if err := WriteSummed(filepath.Join(dir, name), text("the text of "+name+"\n")); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestEveryFlippedBitIsNoticed(t *testing.T) {
	dir := summed(t, "a")
	path := filepath.Join(dir, "a")
	whole, err := ReadVerified(path, 100)
	if err != nil || string(whole) != "the text of a\n" || Verify(path) != nil {
		t.Fatalf("%q, %v, %v", whole, err, Verify(path))
	}
	for bit := range 8 * len(whole) {
		damaged := append([]byte(nil), whole...)
		damaged[bit/8] ^= 1 << (bit % 8)
		mustWrite(t, path, string(damaged))
		testutil.WantError(t, Verify(path), path, "damaged", SumsFile)
		_, err := ReadVerified(path, 100)
		testutil.WantError(t, err, path, "damaged", SumsFile)
		_, err = VerifyDir(dir)
		testutil.WantError(t, err, path, "damaged", SumsFile)
	}
}

func TestDamageToTheChecksumsIsNoticedOrHarmless(t *testing.T) {
	dir := summed(t, "a", "b")
	path := filepath.Join(dir, SumsFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	noticed := 0
	for bit := range 8 * len(whole) {
		damaged := append([]byte(nil), whole...)
		damaged[bit/8] ^= 1 << (bit % 8)
		mustWrite(t, path, string(damaged))
		if content, err := ReadVerified(filepath.Join(dir, "a"), 100); err != nil {
			noticed++
		} else if string(content) != "the text of a\n" {
			t.Fatalf("bit %d: read %q", bit, content)
		}
	}
	if noticed < 64*8/2 {
		t.Errorf("only %d of %d flipped bits are noticed", noticed, 8*len(whole))
	}
	mustWrite(t, path, string(whole[:len(whole)-1]))
	testutil.WantError(t, Verify(filepath.Join(dir, "b")), path, "damaged")
}

func TestFilesWithoutAChecksumAreTakenAsTheyAre(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	mustWrite(t, path, "foreign")
	if err := Verify(path); err != nil {
		t.Error(err)
	}
	if all, err := VerifyDir(dir); all || err != nil {
		t.Errorf("%v, %v", all, err)
	}
	if err := WriteSummed(filepath.Join(dir, "b"), text("ours")); err != nil {
		t.Fatal(err)
	}
	if content, err := ReadVerified(path, 100); err != nil || string(content) != "foreign" {
		t.Errorf("%q, %v", content, err)
	}
	if all, err := VerifyDir(dir); all || err != nil {
		t.Errorf("%v, %v; one of two files is listed", all, err)
	}
	if err := WriteSummed(path, text("ours")); err != nil {
		t.Fatal(err)
	}
	if all, err := VerifyDir(dir); !all || err != nil {
		t.Errorf("%v, %v", all, err)
	}
	os.Remove(path)
	_, err := VerifyDir(dir)
	testutil.WantError(t, err, path)
}

// TestWriteSummedThatFailsLeavesTheOldFileUnlisted: the old file is whole, and the
// list says nothing that is wrong.
func TestWriteSummedThatFailsLeavesTheOldFileUnlisted(t *testing.T) {
	dir := summed(t, "a", "b")
	path := filepath.Join(dir, "a")
	err := WriteSummed(path, func(io.Writer) error { return errors.New("the cable is out") })
	testutil.WantError(t, err, "the cable is out")
	if content, err := ReadVerified(path, 100); err != nil || string(content) != "the text of a\n" {
		t.Errorf("%q, %v", content, err)
	}
	if all, err := VerifyDir(dir); all || err != nil {
		t.Errorf("%v, %v", all, err)
	}
}

// TestWriteFileForgetsTheChecksumOfWhatItReplaces: what is written without a
// checksum is not taken for damage.
func TestWriteFileForgetsTheChecksumOfWhatItReplaces(t *testing.T) {
	dir := summed(t, "a", "b")
	if err := WriteFile(filepath.Join(dir, "a"), text("another text")); err != nil {
		t.Fatal(err)
	}
	if all, err := VerifyDir(dir); all || err != nil {
		t.Errorf("%v, %v", all, err)
	}
}

// TestChecksumsAreThoseOfSha256sum, which anyone can run.
func TestChecksumsAreThoseOfSha256sum(t *testing.T) {
	if _, err := exec.LookPath("sha256sum"); err != nil {
		t.Skip("there is no sha256sum here")
	}
	cmd := exec.Command("sha256sum", "-c", SumsFile)
	cmd.Dir = summed(t, "a", "b")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "b: OK") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestListedChecksumsCountLastAndMendATornLine(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	write := func(content string) {
		t.Helper()
		if err := WriteListed(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if err := Verify(path); err != nil {
			t.Error(err)
		}
		checkFolder(t, dir, content, "a", SumsFile)
	}
	write("first")
	write("second")
	f, err := os.OpenFile(filepath.Join(dir, SumsFile), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString("0123")
	f.Close()
	write("third")
	mustWrite(t, path, "fourth")
	testutil.WantError(t, Verify(path), path, "damaged")
}

func BenchmarkWrite(b *testing.B) {
	content := make([]byte, 64<<20)
	path := filepath.Join(b.TempDir(), "a")
	write := func(w io.Writer) error { _, err := w.Write(content); return err }
	for name, f := range map[string]func(string, func(io.Writer) error) error{"plain": WriteFile, "summed": WriteSummed} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				if err := f(path, write); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("verify", func(b *testing.B) {
		b.SetBytes(int64(len(content)))
		for b.Loop() {
			if err := Verify(path); err != nil {
				b.Fatal(err)
			}
		}
	})
}
