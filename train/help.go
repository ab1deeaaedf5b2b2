package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// subject is a group of flags in a command's help.
type subject struct {
	title string
	flags []string
}

// subjects returns the flags of all commands by subject. A flag has one meaning,
// whichever commands have it.
func subjects() []subject {
	return []subject{
		{"Text", []string{"text", "data", "v", "prompt", "prompts", "val", "max-bytes", "cache", "tokens", "rare", "read", "state", "save-state"}},
		{"Where settings begin", []string{"preset", "config", "model", "from"}},
		{"What is trained", []string{"special", "freeze", "lora-rank", "lora-alpha", "lora-on"}},
		{"Model", []string{"vocab", "dim", "blocks", "slstm-at", "lstm-at", "simplified-at", "lstm", "heads", "conv", "proj-factor", "ffn-factor", "dropout", "embedding-dropout", "bias", "tie"}},
		{"Batches", []string{"batch", "length", "accumulate", "carry", "reset-documents"}},
		{"Training", []string{"steps", "lr", "min-lr", "warmup", "beta2", "weight-decay", "clip", "non-finite", "seed"}},
		{"Evaluation and checkpoints", []string{"by-position", "eval-every", "eval-batches", "patience", "save-every", "sample-tokens"}},
		{"Writing", []string{"i", "max-tokens", "n", "temperature", "top-p", "top-k", "penalty", "stop", "stop-token"}},
		{"Serving", []string{"addr", "api-key-file", "name", "rows", "exact", "queue", "max-prompt", "timeout", "drain", "state-cache", "quiet"}},
		{"Graph", []string{"depth", "open", "only", "forward", "symbolic", "all"}},
		{"Memory", []string{"at", "window"}},
		{"Experiment", []string{"cells", "seeds", "full", "workers", "run"}},
		{"Measuring", []string{"seconds", "threads", "child"}},
		{"Device", []string{"device", "precision", "shard-optimizer", "shards", "card", "weights", "to", "shard-bytes"}},
		{"Output", []string{"out", "o", "json", "tensorboard"}},
	}
}

// help prints what a command does, examples, and its flags by subject.
func (f *flags) help() {
	width := helpWidth(f.c.out)
	for line := range strings.Lines(f.about + "\n") {
		if line = strings.TrimRight(line, "\n"); strings.HasPrefix(line, " ") {
			fmt.Fprintln(f.c.out, line)
			continue
		}
		fmt.Fprintln(f.c.out, strings.Join(broken(line, width), "\n"))
	}
	fmt.Fprint(f.c.out, "\nExamples:\n\n")
	for _, e := range f.examples {
		fmt.Fprintf(f.c.out, "  %s %s\n", f.c.name, e)
	}
	for _, s := range subjects() {
		title := "\n" + s.title + "\n"
		for _, name := range s.flags {
			if found := f.Lookup(name); found != nil && !f.former[name] {
				fmt.Fprint(f.c.out, title)
				title = ""
				printFlag(f.c.out, found, width)
			}
		}
	}
}

// usageColumn is where the text about a flag begins.
const usageColumn = 22

func printFlag(out io.Writer, f *flag.Flag, width int) {
	kind, usage := flag.UnquoteUsage(f)
	head := strings.TrimRight("  -"+f.Name+" "+kind, " ")
	lines := broken(usage+defaultOf(f), width-usageColumn)
	if len(head) > usageColumn-2 {
		lines = slices.Insert(lines, 0, "")
	}
	fmt.Fprintln(out, strings.TrimRight(fmt.Sprintf("%-*s%s", usageColumn, head, lines[0]), " "))
	for _, l := range lines[1:] {
		fmt.Fprintf(out, "%*s%s\n", usageColumn, "", l)
	}
}

// broken breaks a text between words into lines of at most width characters.
func broken(text string, width int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimLeft(line+" "+word, " ")
	}
	return append(lines, line)
}

// helpWidth returns the width of a page of help: 80 columns, or those of a
// terminal that has fewer.
func helpWidth(out io.Writer) int {
	if width, known := columns(out); known {
		return max(min(width, 80), usageColumn+20)
	}
	return 80
}

// columns returns the width of a terminal; known is false if out is none.
func columns(out io.Writer) (width int, known bool) {
	file, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return 0, false
	}
	if width, _, err := term.GetSize(int(file.Fd())); err == nil && width > 0 {
		return width, true
	}
	return 80, true
}
