package data

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// folder makes a temporary folder with files and makes it the current one.
func folder(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// names returns the names of the documents, in order.
func names(c *Corpus) string {
	var all []string
	for _, d := range c.Documents {
		all = append(all, d.Name)
	}
	return strings.Join(all, " ")
}

// someFiles has text at several depths, hidden files, and files without text.
func someFiles() map[string]string {
	return map[string]string{
		"b.txt":            "bee",
		"a.txt":            "ay",
		"top/z.md":         "zet",
		"top/sub/y.txt":    "why",
		"top/sub.txt":      "sub",
		"top/binary":       "a\x00b",
		"top/latin":        "caf\xe9",
		"top/empty":        "",
		"top/.hidden":      "no",
		"top/.git/config":  "no",
		"top/sub/.x/y.txt": "no",
		".rc":              "rc",
		"odd[1].txt":       "odd",
	}
}

func TestLoad(t *testing.T) {
	folder(t, someFiles())
	for _, test := range []struct {
		patterns string
		names    string
		skipped  int
	}{
		{"a.txt", "a.txt", 0},
		{"b.txt a.txt", "b.txt a.txt", 0},
		{"b.txt *.txt ./a.txt", "b.txt a.txt odd[1].txt", 0},
		{"top", "top/sub.txt top/sub/y.txt top/z.md", 3}, // one empty, one binary, one not UTF-8
		{"top/", "top/sub.txt top/sub/y.txt top/z.md", 3},
		{"top/sub top", "top/sub/y.txt top/sub.txt top/z.md", 3},
		{".", "a.txt b.txt odd[1].txt top/sub.txt top/sub/y.txt top/z.md", 3},
		{"t*", "top/sub.txt top/sub/y.txt top/z.md", 3},
		{"*/*.txt", "top/sub.txt", 0},
		{"top/*", "top/sub.txt top/sub/y.txt top/z.md", 3},
		{"top/.hidden", "top/.hidden", 0},
		{"top/.git", "top/.git/config", 0},
		{".*c", ".rc", 0},
		{"odd[1].txt", "odd[1].txt", 0},
	} {
		c, err := Load(0, strings.Fields(test.patterns)...)
		if err != nil {
			t.Errorf("%s: %v", test.patterns, err)
			continue
		}
		testutil.Equal(t, test.patterns+": names", names(c), test.names)
		testutil.Equal(t, test.patterns+": skipped", len(c.Skipped), test.skipped)
		testutil.Equal(t, test.patterns+": source", c.Source, test.patterns)
	}
}

func TestLoadText(t *testing.T) {
	folder(t, someFiles())
	c, err := Load(0, "b.txt", "top/sub")
	if err != nil {
		t.Fatal(err)
	}
	testutil.Equal(t, "text", c.Text(), "bee"+Separator+"why")
}

func TestLoadErrors(t *testing.T) {
	folder(t, someFiles())
	if err := os.MkdirAll("bare/inside", 0o755); err != nil {
		t.Fatal(err)
	}
	for patterns, want := range map[string][]string{
		"":                {"no data to load"},
		"nothing.txt":     {`no file or folder "nothing.txt"`},
		"a.txt *.nothing": {`no files in "*.nothing"`},
		"bare":            {`no files in "bare"`},
		"a[":              {`look for data in "a["`, "syntax error"},
		"top/binary":      {"top/binary is binary", "byte 1"},
		"top/latin":       {"top/latin is not UTF-8", "byte 3"},
		"top/empty":       {"top/empty is empty"},
		"top top/latin":   {"top/latin is not UTF-8"}, // found first, named later
		"top/latin top":   {"top/latin is not UTF-8"},
		"top/[bel]*":      {"no text in top/[bel]*", "all 3 files"},
		"a.txt/b":         {"a.txt/b"},
	} {
		_, err := Load(0, strings.Fields(patterns)...)
		testutil.WantError(t, err, want...)
	}
}

func TestLoadLimit(t *testing.T) {
	folder(t, map[string]string{"a": "four", "b": "世", "c": "text and \x00 more"})
	whole := "four" + Separator + "世"
	c, err := Load(len(whole), ".")
	if err != nil {
		t.Fatal(err)
	}
	testutil.Equal(t, "text", c.Text(), whole)
	testutil.Equal(t, "skipped", fmt.Sprint(c.Skipped), "[{c binary}]")
	for limit := 1; limit < len(whole); limit++ {
		_, err := Load(limit, "a", "b")
		if large := (*TooLargeError)(nil); !errors.As(err, &large) || large.Limit != limit {
			t.Errorf("limit %d: %v", limit, err)
		}
		testutil.WantError(t, err, "too much data", fmt.Sprintf("limit of %d bytes", limit))
	}
}

func TestLoadWithoutLimit(t *testing.T) {
	long := strings.Repeat("text ", 10_000)
	folder(t, map[string]string{"a": long})
	for _, limit := range []int{math.MaxInt, 0, -1} {
		c, err := Load(limit, "a")
		if err != nil {
			t.Fatal(err)
		}
		testutil.Equal(t, fmt.Sprint("length with limit ", limit), len(c.Text()), len(long))
	}
}

func TestLoadSkipsLargeBinary(t *testing.T) {
	folder(t, map[string]string{"a": "text", "b": "\x00" + strings.Repeat("x", 100)})
	c, err := Load(10, ".")
	if err != nil {
		t.Fatal(err)
	}
	testutil.Equal(t, "names", names(c), "a")
}

func TestLoadFollowsLinks(t *testing.T) {
	folder(t, map[string]string{"real/a.txt": "a", "other/b.txt": "b"})
	for link, to := range map[string]string{
		"top":            "real",
		"real/b":         "../other/b.txt",
		"real/circle":    "..",
		"real/to.nobody": "nowhere",
	} {
		if err := os.Symlink(to, link); err != nil {
			t.Skip("no symbolic links here:", err)
		}
	}
	for _, pattern := range []string{"top", "to*", "real"} {
		c, err := Load(0, pattern)
		if err != nil {
			t.Fatal(err)
		}
		testutil.Equal(t, pattern, c.Text(), "a"+Separator+"b")
	}
}

func TestInvalidUTF8(t *testing.T) {
	for text, want := range map[string]int{
		"":              -1,
		"é世\uFFFD😀":     -1,
		"\xff":          0,
		"é\xa9":         2,
		"\uFFFD世\xe4":   6,
		"a\xed\xa0\x80": 1, // a surrogate
	} {
		testutil.Equal(t, fmt.Sprintf("%q", text), invalidUTF8([]byte(text)), want)
	}
}

func TestShuffle(t *testing.T) {
	deal := func(seed uint64) string {
		c := new(Corpus)
		for i := range 10 {
			c.Documents = append(c.Documents, Document{Name: fmt.Sprint(i)})
		}
		c.Shuffle(seed)
		return names(c)
	}
	// Pinned, because a saved model is only as good as its held-out text is
	// held out.
	testutil.Equal(t, "seed 1", deal(1), "0 5 2 3 1 4 8 7 6 9")
	testutil.Equal(t, "seed 2", deal(2), "9 5 1 7 6 3 2 4 0 8")
}

func TestShuffleIsFair(t *testing.T) {
	const n, rounds = 4, 24000
	var seen [n][n]int // how often an item came to a place
	for seed := range uint64(rounds) {
		s := []int{0, 1, 2, 3}
		shuffle(s, seed)
		for place, item := range s {
			seen[item][place]++
		}
	}
	for item := range n {
		for place, count := range seen[item] {
			if math.Abs(float64(count)-rounds/n) > 350 { // more than 5 standard deviations
				t.Errorf("item %d came to place %d %d times of %d", item, place, count, rounds)
			}
		}
	}
}
