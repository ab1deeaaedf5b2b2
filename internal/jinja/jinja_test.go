package jinja

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// message is a message of a case, in the order of the file.
type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// TestTemplatesRenderAsInPython: chat templates of well-known models and small
// ones for the rest of the language, against the output of Jinja itself with the
// settings of transformers. What is an error there is one here.
func TestTemplatesRenderAsInPython(t *testing.T) {
	raw, err := os.ReadFile("testdata/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name, Template string
		Messages       []message
		GoOn           bool `json:"add_generation_prompt"`
		Text, Error    *string
	}
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 90 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		var messages []any
		for _, m := range c.Messages {
			messages = append(messages, Dict{{"role", m.Role}, {"content", m.Content}})
		}
		tmpl, err := Parse(c.Template)
		got := ""
		if err == nil {
			got, err = tmpl.Render(map[string]any{"messages": messages, "add_generation_prompt": c.GoOn, "bos_token": "<s>", "eos_token": "</s>"})
		}
		switch {
		case c.Error != nil && err == nil:
			t.Errorf("%s: rendered as %q, which is an error in Python: %s", c.Name, got, *c.Error)
		case c.Error != nil:
			if !strings.Contains(err.Error(), "line ") {
				t.Errorf("%s: the error names no line: %v", c.Name, err)
			}
		case err != nil:
			t.Errorf("%s: %v, in %.300q", c.Name, err, c.Template)
		case got != *c.Text:
			t.Errorf("%s: %.200q\n got %q\nwant %q", c.Name, c.Template, got, *c.Text)
		}
	}
}

// TestErrorsSayWhatAndWhere for what is not part of the subset, and for bounds.
func TestErrorsSayWhatAndWhere(t *testing.T) {
	for source, want := range map[string][]string{
		"a\n{% include 'x' %}":                 {"line 2", `block "include" is not supported`},
		"{{ a |\n nope }}":                     {"line 2", `filter "nope"`},
		"\n\n{{ raise_exception('too bad') }}": {"line 3", "refuses the messages: too bad"},
		"{{ " + strings.Repeat("(", 5000) + "1" + strings.Repeat(")", 5000) + " }}":                              {"levels of nesting"},
		"{{ " + strings.Repeat("not ", 5000) + "1 }}":                                                            {"levels of nesting"},
		"{{ " + strings.Repeat("-", 5000) + "1 }}":                                                               {"levels of nesting"},
		strings.Repeat("{% if 1 %}", 5000):                                                                       {"levels of nesting"},
		"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}":                                                        {"macros are called within macros"},
		"{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}":                         {"does not come to an end"},
		"{% for a in range(1000000) %}{% endfor %}":                                                              {"a range has more than"},
		"{{ ('x' * 9999999) * 9999999 }}":                                                                        {"more than 16777216 bytes"},
		"{% set ns = namespace(x='xxxxxxxx') %}{% for i in range(40) %}{% set ns.x = ns.x + ns.x %}{% endfor %}": {"more than 16777216 bytes"},
		"{{ '" + strings.Repeat("a", 100) + "' | replace('a', 'b' * 9999999) }}":                                 {"more than 16777216 bytes"},
		"{% for i in range(50) %}{{ 'x' * 999999 }}{% endfor %}":                                                 {"more than 16777216 bytes"},
	} {
		tmpl, err := Parse(source)
		if err == nil {
			_, err = tmpl.Render(nil)
		}
		testutil.WantError(t, err, want...)
	}
}

// FuzzTemplates: any template is read and rendered, or is an error.
func FuzzTemplates(f *testing.F) {
	raw, err := os.ReadFile("testdata/cases.json")
	if err != nil {
		f.Fatal(err)
	}
	var cases []struct{ Template string }
	if err := json.Unmarshal(raw, &cases); err != nil {
		f.Fatal(err)
	}
	for _, c := range cases {
		f.Add(c.Template)
	}
	f.Fuzz(func(t *testing.T, source string) {
		tmpl, err := Parse(source)
		if err != nil {
			return
		}
		messages := []any{Dict{{"role", "user"}, {"content", "a b"}}, Dict{{"role", "assistant"}, {"content", ""}}}
		_, _ = tmpl.Render(map[string]any{"messages": messages, "bos_token": "<s>"})
	})
}
