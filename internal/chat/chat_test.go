package chat

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// folder returns a folder with files.
func folder(t *testing.T, content map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range content {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var talk = []Message{{"system", "Be brief."}, {"user", "Hello"}}

// TestPrompts by a template of each place that it can be in, and without one.
func TestPrompts(t *testing.T) {
	const config, template = "tokenizer_config.json", "chat_template.jinja"
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"none":         {nil, "System: Be brief.\n\nUser: Hello\n\nAssistant:"},
		"without one":  {map[string]string{config: `{"bos_token":"<s>","chat_template":null}`}, "System: Be brief.\n\nUser: Hello\n\nAssistant:"},
		"a text":       {map[string]string{config: `{"bos_token":"<s>","eos_token":{"content":"</s>"},"chat_template":"{{bos_token}}{% for m in messages %}{{m.role}}={{m.content}}{{eos_token}}{% endfor %}"}`}, "<s>system=Be brief.</s>user=Hello</s>"},
		"of several":   {map[string]string{config: `{"chat_template":[{"name":"tool_use","template":"a"},{"name":"default","template":"{{messages|length}}{{add_generation_prompt}}"}]}`}, "2True"},
		"a file":       {map[string]string{config: `{"chat_template":"a","bos_token":"B"}`, template: "\ufeff{{bos_token}}b"}, "Bb"},
		"a file alone": {map[string]string{template: "{{ strftime_now('%%') }}"}, "%"},
	} {
		f, err := Open(folder(t, c.files))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := f.Prompt(talk)
		if err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
		if f.HasTemplate() != (len(f.Stop()) == 0) {
			t.Errorf("%s: a template and the stops of a transcript", name)
		}
	}
}

func TestTemplatesThatCannotBeUsed(t *testing.T) {
	for config, want := range map[string]string{
		`{"chat_template":"{% nope %}"}`:                  `line 1: the block "nope" is not supported`,
		`{"chat_template":3}`:                             "neither a text nor a list",
		`{"chat_template":[{"name":"x","template":"y"}]}`: "none called default",
		`{"bos_token":3,"chat_template":"x"}`:             "bos_token",
		`{`:                                               "tokenizer_config.json",
	} {
		_, err := Open(folder(t, map[string]string{"tokenizer_config.json": config}))
		testutil.WantError(t, err, want, "tokenizer_config.json")
	}
	f, err := Open(folder(t, map[string]string{"chat_template.jinja": "{{ raise_exception('no system') }}"}))
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Prompt(talk)
	testutil.WantError(t, err, "the chat template", "line 1", "no system")
}

func TestStrftime(t *testing.T) {
	at := time.Date(2026, time.March, 5, 15, 4, 9, 0, time.UTC)
	if got := strftime(at, "%d %b %Y, %A %H:%M:%S %%Y"); got != "05 Mar 2026, Thursday 15:04:09 %Y" {
		t.Error(got)
	}
}
