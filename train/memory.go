package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/pkg/errors"
)

// maxPageTokens is the length of a text that a browser still shows at ease.
const maxPageTokens = 20000

// memoryCommand shows what a model's memory does with a text.
func memoryCommand(_ context.Context, args []string, c console) error {
	f := newFlags("memory", "Show what a model's memory does with a text: a page of its gates, norms and retrievals.", c,
		"memory -text scene.txt runs/small", "memory -prompt - -o page.html runs/small < scene.txt", "memory -text scene.txt -json -o arrays.json runs/small")
	file := f.String("text", "", "the text to read: a file, folder or glob")
	prompt := f.String("prompt", "", "the text to read, as it is; - reads it from standard input")
	from := f.Int("from", 0, "token at which the window of the retrieval matrices begins")
	window := f.Int("window", 256, "tokens in that window, at most; 0 for no matrices")
	asJSON := f.Bool("json", false, "write the arrays as JSON instead of a page")
	out := f.String("o", "", "file to write (default memory.html, or memory.json)")
	dir, err := parseWithFolder(f, args)
	if err != nil {
		return err
	}
	text, err := textToTrace(*file, *prompt, c.in)
	if err != nil {
		return err
	}
	model, tok, err := loadModel(dir)
	if err != nil {
		return err
	}
	tokens := tok.Encode(text)
	if err := checkMemory(len(tokens), *from, *window, *asJSON); err != nil {
		return err
	}
	if u := unknown(tok, data.IDs(tokens)); u > 0 {
		fmt.Fprintf(c.err, "%.0f %% of the text's characters are unknown to the model\n", 100*u)
	}
	trace, err := model.Trace(tokens, xlstm.TraceConfig{From: *from, To: min(*from+*window, len(tokens))})
	if err != nil {
		return err
	}
	path, write := "memory.html", func(w io.Writer) error { return writeMemoryPage(w, model, tok, trace) }
	if *asJSON {
		path, write = "memory.json", func(w io.Writer) error { return json.NewEncoder(w).Encode(trace) }
	}
	if *out != "" {
		path = *out
	}
	if err := files.WriteFile(path, write); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "%s, %d of them with retrieval matrices: %s\n", count(len(tokens), "token"), trace.To-trace.From, path)
	return err
}

// textToTrace returns the text that one of the two flags gives.
func textToTrace(file, prompt string, in io.Reader) (string, error) {
	switch {
	case (file == "") == (prompt == ""):
		return "", errors.New("memory reads one text; give it with -text FILE or with -prompt TEXT")
	case prompt != "":
		return readPrompt(prompt, in)
	}
	docs, err := data.Load(data.DefaultMaxBytes, file)
	if err != nil {
		return "", err
	}
	return docs.Text(), nil
}

func checkMemory(tokens, from, window int, asJSON bool) error {
	if from < 0 || window < 0 || from >= tokens {
		return errors.Errorf("a window of -window %d tokens from -from %d on does not begin within a text of %d", window, from, tokens)
	}
	if tokens > maxPageTokens && !asJSON {
		return errors.Errorf("a page shows at most %d tokens, the text has %d; give less text, or -json for the arrays", maxPageTokens, tokens)
	}
	return nil
}
