package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/trace"
)

func TestMemoryCommand(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	mustRun(t, small(sampleText(t), dir, "-steps", "4")...)
	page, arrays := filepath.Join(dir, "page.html"), filepath.Join(dir, "arrays.json")
	mustRun(t, "memory", "-text", "the memory", "-from", "2", "-window", "4", "-o", page, dir)
	html, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(html), `id="data">`)
	text, _, _ := strings.Cut(rest, "</script>")
	var p struct {
		Tokens   []string
		From, To int
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatal(err)
	}
	if len(p.Tokens) != 10 || p.From != 2 || p.To != 6 {
		t.Errorf("the page has %d tokens and a window from %d to %d", len(p.Tokens), p.From, p.To)
	}
	file := filepath.Join(dir, "text.txt")
	if err := os.WriteFile(file, []byte("the memory"), 0o644); err != nil {
		t.Fatal(err)
	}
	mustRun(t, "memory", "-data", file, "-window", "0", "-json", "-o", arrays, dir)
	data, err := os.ReadFile(arrays)
	if err != nil {
		t.Fatal(err)
	}
	var memory trace.Trace
	if err := json.Unmarshal(data, &memory); err != nil || len(memory.Surprise) != 10 || bytes.Contains(data, []byte("retrieval")) {
		t.Errorf("%v: the arrays are %s", err, data)
	}
}

func TestMemoryErrors(t *testing.T) {
	command := func(args ...string) error {
		_, _, err := runHere(context.Background(), args...)
		return err
	}
	for want, err := range map[string]error{
		"one text":              command("memory", "dir"),
		"give it with -text":    command("memory", "dir", "-text", "a", "-data", "b"),
		"none.txt":              command("memory", "dir", "-data", filepath.Join(t.TempDir(), "none.txt")),
		"-text is empty":        command("memory", "dir", "-text", "-"),
		"-from 3 on":            checkMemory(3, 3, 5, false),
		"-from -1":              checkMemory(3, -1, 5, false),
		"-window -5":            checkMemory(3, 0, -5, false),
		"at most 20,000 tokens": checkMemory(20001, 0, 5, false),
		"needs a folder":        command("memory", "-text", "a"),
		"no flag -nonsense":     command("memory", "-nonsense"),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want %q", err, want)
		}
	}
	if err := checkMemory(20001, 0, 5, true); err != nil {
		t.Errorf("arrays of a long text: %v", err)
	}
}

// TestFormerFlagsOfMemory: a file with -text and a text with -prompt still work.
func TestFormerFlagsOfMemory(t *testing.T) {
	file := write(t, "text.txt", "the file")
	for _, test := range []struct{ flag, value, want, notice string }{
		{"-text", "the text", "the text", ""},
		{"-text", file, "the file", "-data now"},
		{"-data", file, "the file", ""},
		{"-prompt", "the text", "the text", "-prompt is called -text now"},
	} {
		var errs bytes.Buffer
		f := newFlags("memory", "", console{err: &errs})
		var given memoryText
		given.register(f)
		if err := f.Parse([]string{test.flag, test.value}); err != nil {
			t.Fatal(err)
		}
		if text, err := given.read(); err != nil || text != test.want {
			t.Errorf("%s %s gives %q, %v", test.flag, test.value, text, err)
		}
		if notice := errs.String(); (notice == "") != (test.notice == "") || !strings.Contains(notice, test.notice) {
			t.Errorf("%s %s: the notice is %q, want %q", test.flag, test.value, notice, test.notice)
		}
	}
}
