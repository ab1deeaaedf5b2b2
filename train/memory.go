package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/gorgonia-xlstm/xlstm/internal/report"
	"github.com/gorgonia-xlstm/xlstm/internal/run"
	"github.com/gorgonia-xlstm/xlstm/trace"
	"github.com/pkg/errors"
)

// maxPageTokens is the length of a text that a browser still shows at ease.
const maxPageTokens = 20000

// memoryCommand shows a model's memory while it reads a text.
func memoryCommand(_ context.Context, args []string, c console) error {
	f := newFlags("memory", "Show a model's memory while it reads a text: a page of gates, norms and retrievals.", c,
		"memory runs/small -data scene.txt", `memory runs/small -text "func main() {"`, "memory runs/small -text - -o page.html < scene.txt", "memory runs/small -data scene.txt -json -o arrays.json")
	var given memoryText
	given.register(f)
	from := f.Int("at", 0, "token at which the window of the retrieval matrices begins")
	f.renamed("from", "at")
	window := f.Int("window", 256, "tokens in that window, at most; 0 for no matrices")
	asJSON := f.Bool("json", false, "write the arrays as JSON instead of a page")
	out := f.String("o", "", "file to write (default memory.html, or memory.json)")
	var on onDevice
	on.register(f)
	dir, err := parseWithFolder(f, args)
	if err != nil {
		return err
	}
	text, err := given.read()
	if err != nil {
		return err
	}
	lm, closeDevice, err := reading{onDevice: on}.load(dir, c.err)
	if err != nil {
		return err
	}
	defer closeDevice()
	model, tok := lm.Model(), lm.Tokenizer()
	tokens, err := data.TryEncode(tok, text)
	if err != nil {
		return err
	}
	tokens = data.Begin(data.Beginning(tok), tokens)
	if err := checkMemory(len(tokens), *from, *window, *asJSON); err != nil {
		return err
	}
	if u := run.UnknownShare(tok, data.IDs(tokens)); u > 0 {
		fmt.Fprintf(c.err, "%s of the text's characters are unknown to the model\n", numbers.Percent(u))
	}
	memory, err := trace.Of(model, tokens, trace.Config{From: *from, To: min(*from+*window, len(tokens))})
	if err != nil {
		return err
	}
	path, write := "memory.html", func(w io.Writer) error { return report.WriteMemory(w, model, tok, memory) }
	if *asJSON {
		path, write = "memory.json", func(w io.Writer) error { return json.NewEncoder(w).Encode(memory) }
	}
	if *out != "" {
		path = *out
	}
	if err := files.WriteFile(path, write); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "%s, %s of them with retrieval matrices: %s\n", numbers.Count(len(tokens), "token"), numbers.Commas(memory.To-memory.From), path)
	return err
}

// memoryText is the text that a model reads: given literally, or in files.
type memoryText struct {
	literal string
	files   []string
}

// register adds the flags. A former version took a file with -text and the text
// itself with -prompt.
func (m *memoryText) register(f *flags) {
	literal := func(v string) (err error) {
		m.literal, err = givenText("text", v, f.c.in)
		return err
	}
	f.Func("text", "the `TEXT` itself; - reads it from standard input", func(v string) error {
		if matches, err := filepath.Glob(v); err != nil || len(matches) == 0 {
			return literal(v)
		}
		fmt.Fprintf(f.c.err, "-text takes the text itself; %s is read as a file, which is given with -data now\n", v)
		m.files = append(m.files, v)
		return nil
	})
	f.Func("data", dataUsage, func(v string) error {
		m.files = append(m.files, v)
		return nil
	})
	f.former["prompt"] = true
	f.Func("prompt", "", func(v string) error {
		fmt.Fprintln(f.c.err, "-prompt is called -text now")
		return literal(v)
	})
}

func (m *memoryText) read() (string, error) {
	if (len(m.files) == 0) == (m.literal == "") {
		return "", errors.New("memory reads one text; give it with -text TEXT or with -data FILE")
	}
	if m.literal != "" {
		return m.literal, nil
	}
	docs, err := data.Load(data.DefaultMaxBytes, m.files...)
	if err != nil {
		return "", err
	}
	return docs.Text(), nil
}

func checkMemory(tokens, from, window int, asJSON bool) error {
	if from < 0 || window < 0 || from >= tokens {
		return errors.Errorf("a window of -window %d tokens from -from %d on does not begin within a text of %s", window, from, numbers.Commas(tokens))
	}
	if tokens > maxPageTokens && !asJSON {
		return errors.Errorf("a page shows at most %s tokens, the text has %s; give less text, or -json for the arrays", numbers.Commas(maxPageTokens), numbers.Commas(tokens))
	}
	return nil
}
