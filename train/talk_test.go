package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// talkTo types lines into a talk with the model in a folder and returns what was
// said and noted.
func talkTo(t *testing.T, dir string, lines ...string) (out, errs string) {
	t.Helper()
	var o, e strings.Builder
	err := dispatch(context.Background(), []string{"sample", dir, "-i", "-temperature", "0", "-max-tokens", "5"},
		console{in: strings.NewReader(strings.Join(lines, "\n")), out: &o, err: &e, name: "xlstm"})
	if err != nil {
		t.Fatal(err)
	}
	return o.String(), regexp.MustCompile(`at \d+ a second`).ReplaceAllString(e.String(), "at N a second")
}

// TestTalkThroughAPipe: the text continues from line to line, /reset forgets it, and
// a saved state brings it back.
func TestTalkThroughAPipe(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	out, errs := talkTo(t, countdown, `9 8 7 `, " 3", "/save "+state, "/reset", "9 8 7 ", "/load "+state, "", "/what", "/load", "/load "+state+"x", "/help", "// no command", "/quit", "9")
	if want := "6 5 4\n 2 1 \n6 5 4\ngo. 3\n"; !strings.HasPrefix(out, want) || strings.Count(out, "\n") != 5 {
		t.Errorf("%q, want %q", out, want)
	}
	for _, want := range []string{"[6 read, 5 tokens at N a second]", "[2 read, 5 tokens at N a second]", "18 tokens read before", "no command /what", "/load needs the name of a file", "no such file", "/reset      forget"} {
		if !strings.Contains(errs, want) {
			t.Errorf("there is no %q in\n%s", want, errs)
		}
	}
	_, _, err := runHere(t.Context(), "sample", countdown, "-i", "-prompt", "x")
	testutil.WantError(t, err, "-i takes what it continues from standard input")
}

// withTemplate returns a copy of testdata/countdown with a chat template.
func withTemplate(t *testing.T, template string) string {
	t.Helper()
	lm, err := xlstm.Open(countdown)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := lm.Model().Save(dir, xlstm.SaveConfig{}); err != nil {
		t.Fatal(err)
	}
	if err := data.WriteTokenizer(dir, lm.Tokenizer()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "chat_template.jinja"), []byte(template), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestTalkWithATemplate: what is read is what the template makes of the
// conversation, only the rest of which is read at each turn where it continues
// what was read before, and a saved conversation continues.
func TestTalkWithATemplate(t *testing.T) {
	const appending = "{% for m in messages %}{{ m.content }}{% endfor %}"
	dir := withTemplate(t, appending)
	state := filepath.Join(t.TempDir(), "state")
	out, errs := talkTo(t, dir, `9 8 7 `, " 3", "/save "+state, "/reset", "9 8 ", "/load "+state, "go")
	if !strings.HasPrefix(out, "6 5 4\n 2 1 \n7 6 5\n") || !strings.Contains(errs, "[2 read") || strings.Count(errs, "[6 read") != 1 {
		t.Errorf("%q\n%s", out, errs)
	}
	// A template that turns what was said around is read anew at every turn.
	_, errs = talkTo(t, withTemplate(t, "{% for m in messages[::-1] %}{{ m.content }}{% endfor %}"), "9 8 ", "7 ")
	if !strings.Contains(errs, "[4 read") || !strings.Contains(errs, "[11 read") {
		t.Errorf("%s", errs)
	}
	out, errs = talkTo(t, withTemplate(t, "{{ raise_exception('no ' + messages[0].content) }}"), "numbers", "/load "+filepath.Join(dir, "none"))
	if out != "" || !strings.Contains(errs, "refuses the messages: no numbers") || !strings.Contains(errs, "a chat can only continue from what /save wrote") {
		t.Errorf("%q\n%s", out, errs)
	}
}
