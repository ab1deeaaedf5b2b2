package data

import (
	"bytes"
	"context"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// cached returns the tokens of a folder of texts, and whether the cache was
// written for them.
func cached(t *testing.T, dir string, tok Tokenizer, texts ...string) (c *Cache, made bool) {
	t.Helper()
	files, err := Find(texts...)
	if err != nil {
		t.Fatal(err)
	}
	c, err = CacheTokens(context.Background(), dir, tok, files, func(int64) { made = true })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c, made
}

func TestCacheHoldsTheTokens(t *testing.T) {
	from, dir := texts(t), t.TempDir()
	docs, err := Load(0, from)
	if err != nil {
		t.Fatal(err)
	}
	for name, tok := range tokenizers(t, docs.Text()) {
		want, size, err := EncodeIDs(context.Background(), tok, docs.Pieces(tok))
		if err != nil {
			t.Fatal(err)
		}
		for _, again := range []bool{false, true} {
			c, made := cached(t, dir, tok, from)
			if made == again {
				t.Errorf("%s: made anew: %v", name, made)
			}
			if c.Size != size || c.Len() != len(want) || !slices.Equal(Head(c, c.Len()), want) {
				t.Errorf("%s: %d tokens of %+v, want %d of %+v", name, c.Len(), c.Size, len(want), size)
			}
		}
	}
}

// TestBatchesFromACacheAreThoseFromMemory to the bit.
func TestBatchesFromACacheAreThoseFromMemory(t *testing.T) {
	from := texts(t)
	c, _ := cached(t, t.TempDir(), Bytes{}, from)
	train, val, err := SplitTokens(c, 0.1, 17)
	if err != nil {
		t.Fatal(err)
	}
	wantTrain, wantVal, err := Split(Head(c, c.Len()), 0.1, 17)
	if err != nil {
		t.Fatal(err)
	}
	random, err := RandomWindowsOf(train, 3, 16, 7)
	if err != nil {
		t.Fatal(err)
	}
	streams, err := StreamsOf(train, 3, 16)
	if err != nil {
		t.Fatal(err)
	}
	equal := func(what string, got, want []Batch) {
		for i := range want {
			if !slices.Equal(got[i].Inputs, want[i].Inputs) || !slices.Equal(got[i].Targets, want[i].Targets) || got[i].Fresh != want[i].Fresh {
				t.Fatalf("%s: batch %d differs", what, i)
			}
		}
	}
	equal("random windows", take(random, 50), take(mustRandom(t, wantTrain, 3, 16, 7), 50))
	equal("streams", take(streams, 50), take(mustStreams(t, wantTrain, 3, 16), 50))
	windows, err := WindowsOf(part(val, 0, 1000), 3, 16, 0)
	if err != nil {
		t.Fatal(err)
	}
	inMemory, err := NewWindows(wantVal[:1000], 3, 16, 0)
	if err != nil {
		t.Fatal(err)
	}
	var got, want []Batch
	for b := range windows.All() {
		got = append(got, clone(b))
	}
	for b := range inMemory.All() {
		want = append(want, clone(b))
	}
	equal("windows", got, want)

	state := random.State()
	after := take(random, 3)
	if err := random.SetState(state); err != nil {
		t.Fatal(err)
	}
	equal("restored", take(random, 3), after)
	if other, _ := RandomWindowsOf(val, 3, 16, 7); other.SetState(state) == nil {
		t.Error("a position in other tokens is taken")
	}
}

// TestBadCachesAreMadeAnew: damaged ones, and those of other texts or vocabularies.
func TestBadCachesAreMadeAnew(t *testing.T) {
	from, dir := texts(t), t.TempDir()
	c, _ := cached(t, dir, Bytes{}, from)
	good, err := os.ReadFile(c.Path)
	if err != nil {
		t.Fatal(err)
	}
	small := filepath.Join(t.TempDir(), "small.txt")
	if err := os.WriteFile(small, []byte("another text"), 0o644); err != nil {
		t.Fatal(err)
	}
	other, _ := cached(t, dir, Bytes{}, small)
	foreign, err := os.ReadFile(other.Path)
	if err != nil {
		t.Fatal(err)
	}
	flipped, cutFooter := bytes.Clone(good), bytes.Clone(good)
	flipped[len(flipped)/2] ^= 1
	cutFooter[len(cutFooter)-footerSize+2] ^= 1
	for name, content := range map[string][]byte{
		"empty": nil, "cut short": good[:len(good)/2], "a bit flipped": flipped, "a bit of the footer flipped": cutFooter, "foreign": foreign, "something else": []byte("no tokens"),
	} {
		if err := replaceFile(c.Path, content); err != nil {
			t.Fatal(err)
		}
		if again, made := cached(t, dir, Bytes{}, from); !made || again.Len() != c.Len() {
			t.Errorf("%s: made anew: %v, %d tokens", name, made, again.Len())
		}
		if got, err := os.ReadFile(c.Path); err != nil || !bytes.Equal(got, good) {
			t.Errorf("%s: the file is not the same as before: %v", name, err)
		}
	}
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(from, "a.txt"), later, later); err != nil {
		t.Fatal(err)
	}
	if _, made := cached(t, dir, Bytes{}, from); !made {
		t.Error("a text that has changed since is not encoded again")
	}
}

// replaceFile puts another file in the place of one that may be mapped.
func replaceFile(path string, content []byte) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o644)
}

func TestWideIDs(t *testing.T) {
	if idWidth(1<<16) != 2 || idWidth(1<<16+1) != 4 {
		t.Error("ids do not fit")
	}
	var b bytes.Buffer
	w := &idWriter{w: &b, sum: crc32.NewIEEE(), width: 4}
	if err := w.write([]int{0, 1<<16 + 5, 7}); err != nil {
		t.Fatal(err)
	}
	c := &Cache{ids: b.Bytes(), foot: footer{Width: 4, Count: 3}}
	if got := Head(c, 3); !slices.Equal(got, []int{0, 1<<16 + 5, 7}) {
		t.Errorf("%v", got)
	}
}

// TestAnInterruptLeavesNoCache: not even an unfinished one.
func TestAnInterruptLeavesNoCache(t *testing.T) {
	files, err := Find(texts(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	dir := t.TempDir()
	if _, err := CacheTokens(ctx, dir, Bytes{}, files, func(int64) { cancel() }); err == nil {
		t.Fatal("an interrupt is no error")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("it left %v, want the lock alone: %v", entries, err)
	}
}

func TestFindRefusesWhatLoadRefuses(t *testing.T) {
	dir := t.TempDir()
	long := longText(2*pieceBytes, 5)
	for name, content := range map[string]string{"binary": long + "\x00", "latin1": long + "\xe9 ", "cut": long + "\xe6\x97", "empty": ""} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		_, want := Load(0, path)
		if _, err := Find(path); err == nil || want == nil || err.Error() != want.Error() {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	if _, err := Find(dir); err == nil {
		t.Error("a folder without text is taken")
	}
}

// TestCacheFolderIsCleaned: of what killed processes have left and of caches that
// nothing has opened for long, and of nothing else.
func TestCacheFolderIsCleaned(t *testing.T) {
	from, dir := texts(t), t.TempDir()
	old := time.Now().Add(-staleAfter - time.Hour)
	for _, name := range []string{".tokens-0123456789abcdef.bin.tmp-0123456789abcdef", "tokens-0123456789abcdef.bin", "tokens-1111111111111111.bin", "tokens-mine.bin"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("half"), 0o644); err != nil {
			t.Fatal(err)
		}
		if name[7] != '1' {
			if err := os.Chtimes(path, old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	c, _ := cached(t, dir, Bytes{}, from)
	got := testutil.Names(t, dir)
	want := []string{".lock", "tokens-1111111111111111.bin", "tokens-mine.bin", filepath.Base(c.Path)}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the folder holds %q, want %q", got, want)
	}
	// Opening one keeps it.
	if err := os.Chtimes(c.Path, old, old); err != nil {
		t.Fatal(err)
	}
	if _, made := cached(t, dir, Bytes{}, from); made {
		t.Error("it was made anew")
	}
	if info, err := os.Stat(c.Path); err != nil || info.ModTime().Before(time.Now().Add(-time.Hour)) {
		t.Errorf("it counts as unused: %v", err)
	}
}

// TestOneProcessWritesACache: another waits, until it is interrupted.
func TestOneProcessWritesACache(t *testing.T) {
	from, dir := texts(t), t.TempDir()
	unlock, err := takeCacheFolder(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	found, err := Find(from)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := CacheTokens(ctx, dir, Bytes{}, found, nil); err == nil {
		t.Error("it did not wait")
	}
	unlock()
	cached(t, dir, Bytes{}, from)
}
