package report

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/trace"
)

// breaking is a vocabulary of tokens that would break out of a page.
type breaking []string

func (h breaking) Encode(string) []int { return nil }
func (h breaking) Size() int           { return len(h) }
func (h breaking) Decode(ids []int) (s string) {
	for _, id := range ids {
		s += h[id]
	}
	return s
}

var breakingTokens = breaking{"</script><img src=x onerror=alert(1)>", "<!--", "]]>", "\"'`${x}\\", "\u2028", "a"}

// memoryPageOf returns the page of a small model that reads a hostile text.
func memoryPageOf(t *testing.T, cfg xlstm.Config) string {
	t.Helper()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks = len(breakingTokens), 16, 2
	model, err := xlstm.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	memory, err := trace.Of(model, []int{0, 1, 2, 3, 4, 5, 0}, trace.Config{From: 1, To: 6})
	if err != nil {
		t.Fatal(err)
	}
	var page bytes.Buffer
	if err := WriteMemory(&page, model, breakingTokens, memory); err != nil {
		t.Fatal(err)
	}
	return page.String()
}

// pageData reads the arrays of a page as a browser does.
func pageData(t *testing.T, page string) (p memoryPage) {
	t.Helper()
	_, rest, _ := strings.Cut(page, `id="data">`)
	text, _, _ := strings.Cut(rest, "</script>")
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestMemoryPage(t *testing.T) {
	paper, large, others := xlstm.DefaultConfig(), xlstm.DefaultLargeConfig(), xlstm.DefaultConfig()
	paper.SLSTMAt = xlstm.Blocks(1)
	large.Large.NumHeads = 2
	others.LSTMAt, others.SimplifiedAt = xlstm.Blocks(0), xlstm.Blocks(1)
	for name, cfg := range map[string]xlstm.Config{"paper": paper, "xLSTM-7B": large, "other cells": others} {
		page := memoryPageOf(t, cfg)
		if page != memoryPageOf(t, cfg) {
			t.Errorf("%s: the same trace gives two pages", name)
		}
		if strings.Contains(page, "<img") || strings.Count(page, "</script>") != 2 {
			t.Errorf("%s: the text breaks out of the page", name)
		}
		for _, outside := range []string{"http://", "https://", "url(", "@import", "<script src"} {
			if rest := strings.ReplaceAll(page, "http://www.w3.org/2000/svg", ""); strings.Contains(rest, outside) {
				t.Errorf("%s: the page has %q: it must need nothing but itself", name, outside)
			}
		}
		p := pageData(t, page)
		if got, want := strings.Join(p.Tokens, "|"), strings.Join(append(breakingTokens[:6:6], breakingTokens[0]), "|"); got != want {
			t.Errorf("%s: the tokens are %q", name, got)
		}
		wantPageHeads(t, p)
	}
}

// wantPageHeads checks that every head of every block has all its series.
func wantPageHeads(t *testing.T, p memoryPage) {
	t.Helper()
	if len(p.Blocks) != 2 {
		t.Fatalf("the page has %d blocks", len(p.Blocks))
	}
	for b, block := range p.Blocks {
		series, heads := p.Series[block.Kind], len(block.Heads)
		if heads != 4 && heads != 2 && (heads != 1 || block.Kind != lstmKind && block.Kind != simplifiedKind) {
			t.Errorf("block %d, %s, has %d heads", b, block.Kind, heads)
		}
		for h, head := range block.Heads {
			if len(head.Series) != len(series) || (head.Matrix != nil) != (block.Kind == "mLSTM") {
				t.Errorf("block %d, head %d: %d series of %d, matrix %v", b, h, len(head.Series), len(series), head.Matrix)
			}
			for _, s := range series {
				if len(head.Series[s.Key].Mean) != 40 { // 28 bytes in base64
					t.Errorf("block %d, head %d: %s is %q", b, h, s.Key, head.Series[s.Key].Mean)
				}
			}
			if m := head.Matrix; m != nil && (len(m.Weights) != 40 || len(m.Units) != 28) { // 30 and 20 bytes
				t.Errorf("block %d, head %d: the matrix is %+v", b, h, m)
			}
		}
	}
}

// TestTokensOnThePageAreReadable in any script: a character stands at the token
// that completes it, and what is no UTF-8 is shown as bytes.
func TestTokensOnThePageAreReadable(t *testing.T) {
	for _, test := range []struct {
		pieces, shown []string
		partial       map[int]string
	}{
		{[]string{"the ", "gate"}, []string{"the ", "gate"}, map[int]string{}},
		{[]string{"\xe4", "\xb8", "\xad", "a"}, []string{"", "", "中", "a"}, map[int]string{0: `\xe4`, 1: `\xb8`}},
		{[]string{"a\xe4\xb8", "\xad\xe5", "\x9b\xbd!"}, []string{"a", "中", "国!"}, map[int]string{}},
		{[]string{"\xe4", "b", "\xff"}, []string{`\xe4`, "b", `\xff`}, map[int]string{}},
		{[]string{"", "a", "\xe4\xb8"}, []string{"", "a", `\xe4\xb8`}, map[int]string{0: ""}},
		{[]string{"\uFFFD", "\x00"}, []string{"\uFFFD", "\x00"}, map[int]string{}},
	} {
		shown, partial := shownTokens(test.pieces)
		if !slices.Equal(shown, test.shown) || len(partial) != len(test.partial) {
			t.Errorf("%q is shown as %q, %q", test.pieces, shown, partial)
		}
		for i, want := range test.partial {
			if partial[i] != want {
				t.Errorf("%q: token %d is %q, want %q", test.pieces, i, partial[i], want)
			}
		}
	}
}

// TestPagesLoadNothing: both have the policy by which a browser gets nothing from
// elsewhere, whatever is in them.
func TestPagesLoadNothing(t *testing.T) {
	const policy = `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">`
	var run bytes.Buffer
	if err := Write(&run, Run{Name: "a run"}); err != nil {
		t.Fatal(err)
	}
	for name, page := range map[string]string{"a run's": run.String(), "the memory's": memoryPageOf(t, xlstm.DefaultConfig())} {
		if at := strings.Index(page, policy); at < 0 || at > strings.Index(page, "</head>") {
			t.Errorf("%s page has no policy in its head", name)
		}
	}
}
