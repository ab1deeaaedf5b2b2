// Package chat makes the prompt for a conversation: with the template that a
// model's folder has for it, or as a plain transcript.
package chat

import (
	"encoding/json"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/internal/jinja"
	"github.com/pkg/errors"
)

// Message is a message of a conversation.
type Message struct {
	Role    string // "system", "user", "assistant", or what a template knows
	Content string
}

// Format makes prompts. The zero value writes plain transcripts.
type Format struct {
	template *jinja.Template // nil for transcripts
	bos, eos string
}

// templateFile is the file with a template that later versions of transformers
// write.
const templateFile = "chat_template.jinja"

// Open returns the format of the model in a folder: its chat_template.jinja, or
// the chat_template of its tokenizer_config.json, of several the one that is
// called default. Without either it is the zero value.
func Open(dir string) (Format, error) {
	config, err := read(dir)
	if err != nil || config.template == "" {
		return Format{}, err
	}
	t, err := jinja.Parse(config.template)
	return Format{template: t, bos: config.bos, eos: config.eos}, errors.Wrapf(err, "the chat template in %s", config.from)
}

// read reads what a folder says about prompts.
func read(dir string) (config, error) {
	c, err := readConfig(filepath.Join(dir, data.TokenizerConfigFile))
	if err != nil {
		return c, err
	}
	source, err := files.ReadVerified(filepath.Join(dir, templateFile), files.MaxSettings)
	switch {
	case err == nil:
		c.template, c.from = string(files.WithoutMark(source)), filepath.Join(dir, templateFile)
	case !errors.Is(err, fs.ErrNotExist):
		return c, errors.Wrap(err, "reading the chat template")
	}
	return c, nil
}

// ReadTemplate returns the source of the template of the model in a folder, "" if
// there is none.
func ReadTemplate(dir string) (string, error) {
	c, err := read(dir)
	return c.template, err
}

// WriteTemplate writes a template to the folder of a model, unless it is "".
func WriteTemplate(dir, source string) error {
	if source == "" {
		return nil
	}
	return files.WriteSummed(filepath.Join(dir, templateFile), func(w io.Writer) error {
		_, err := io.WriteString(w, source)
		return err
	})
}

// config is what a tokenizer_config.json says about prompts.
type config struct{ template, bos, eos, from string }

func readConfig(path string) (c config, err error) {
	c.from = path
	raw, err := files.ReadVerified(path, files.MaxSettings)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, errors.Wrap(err, "reading the chat template")
	}
	var file struct {
		Template json.RawMessage `json:"chat_template"`
		BOS      json.RawMessage `json:"bos_token"`
		EOS      json.RawMessage `json:"eos_token"`
	}
	if err := json.Unmarshal(files.WithoutMark(raw), &file); err != nil {
		return c, errors.Wrapf(err, "reading %s", path)
	}
	if c.template, err = templateOf(file.Template); err == nil {
		if c.bos, err = tokenText(file.BOS); err == nil {
			c.eos, err = tokenText(file.EOS)
		}
	}
	return c, errors.Wrapf(err, "reading %s", path)
}

// templateOf returns a template: a text, or of a list the one called default.
func templateOf(raw json.RawMessage) (string, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return "", nil
	}
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return one, nil
	}
	var several []struct{ Name, Template string }
	if err := json.Unmarshal(raw, &several); err != nil {
		return "", errors.New("its chat_template is neither a text nor a list of templates with names")
	}
	for _, t := range several {
		if t.Name == "default" {
			return t.Template, nil
		}
	}
	return "", errors.New("its chat_template has several templates and none called default")
}

// tokenText returns the text of a token: a string, or an object that has it.
func tokenText(raw json.RawMessage) (string, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return "", nil
	}
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return one, nil
	}
	var token struct{ Content string }
	if err := json.Unmarshal(raw, &token); err != nil {
		return "", errors.New("its bos_token or eos_token is neither a text nor an object with a content")
	}
	return token.Content, nil
}

// HasTemplate reports whether prompts are made by a template, which then brings
// all that is to be read; a transcript is a text like any other.
func (f Format) HasTemplate() bool { return f.template != nil }

// Prompt returns the prompt for the answer to a conversation. An error says what
// the template does not accept.
func (f Format) Prompt(messages []Message) (string, error) {
	if f.template == nil {
		return transcript(messages), nil
	}
	list := make([]any, len(messages))
	for i, m := range messages {
		list[i] = jinja.Dict{{Key: "role", Value: m.Role}, {Key: "content", Value: m.Content}}
	}
	text, err := f.template.Render(map[string]any{
		"messages": list, "add_generation_prompt": true, "bos_token": f.bos, "eos_token": f.eos,
		"strftime_now": jinja.Func(now),
	})
	return text, errors.Wrap(err, "the chat template")
}

// now is the function with which templates write the date.
func now(args ...any) (any, error) {
	if len(args) == 1 {
		if format, ok := args[0].(string); ok {
			return strftime(time.Now(), format), nil
		}
	}
	return nil, errors.New("strftime_now takes a format")
}

// strftime formats a time as Python does, as far as templates use it.
func strftime(t time.Time, format string) string {
	return strings.NewReplacer(
		"%%", "%", "%Y", t.Format("2006"), "%y", t.Format("06"), "%m", t.Format("01"), "%d", t.Format("02"), "%b", t.Format("Jan"), "%B", t.Format("January"),
		"%a", t.Format("Mon"), "%A", t.Format("Monday"), "%H", t.Format("15"), "%I", t.Format("03"), "%M", t.Format("04"), "%S", t.Format("05"), "%p", t.Format("PM"),
	).Replace(format)
}

// transcript writes messages one below the other, each with who said it, up to
// where the assistant speaks.
func transcript(messages []Message) string {
	var b strings.Builder
	for _, m := range append(messages[:len(messages):len(messages)], Message{Role: "assistant"}) {
		if m.Role != "" {
			b.WriteString(strings.ToUpper(m.Role[:1]) + m.Role[1:] + ":")
		}
		if m.Content != "" {
			b.WriteString(" " + m.Content + "\n\n")
		}
	}
	return b.String()
}

// Stop returns the strings that end an answer, besides the tokens that end a
// text: in a transcript, the next thing that the user says.
func (f Format) Stop() []string {
	if f.template != nil {
		return nil
	}
	return []string{"\nUser:", "\nSystem:"}
}
