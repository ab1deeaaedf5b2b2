package data

import (
	"bytes"
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/data/bpe"
)

// TestTokenizerConfigNamesClassAndSpecialTokens: what the vocabulary has, and no
// more.
func TestTokenizerConfigNamesClassAndSpecialTokens(t *testing.T) {
	const template = `"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],
		"pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":1}}],"special_tokens":{"<s>":{"id":"<s>","ids":[0],"tokens":["<s>"]}}}`
	for _, c := range []struct {
		special []string
		edit    func(string) string
		want    map[string]any
	}{
		{nil, nil, map[string]any{}},
		{[]string{bpe.EndOfText}, nil, map[string]any{"eos_token": bpe.EndOfText}},
		{[]string{"<s>", "</s>"}, func(s string) string { return strings.Replace(s, `"post_processor":null`, template, 1) },
			map[string]any{"bos_token": "<s>", "eos_token": "</s>"}},
	} {
		tok, err := bpe.Train(context.Background(), slices.Values([]string{"some text, some more text"}), bpe.TrainConfig{VocabSize: 262, SpecialTokens: c.special})
		if err != nil {
			t.Fatal(err)
		}
		if c.edit != nil {
			var saved bytes.Buffer
			if err := tok.Save(&saved); err != nil {
				t.Fatal(err)
			}
			edited := c.edit(saved.String())
			if edited == saved.String() {
				t.Fatalf("nothing is edited in %.500s", edited)
			}
			if tok, err = bpe.Load(strings.NewReader(edited)); err != nil {
				t.Fatal(err)
			}
		}
		var text bytes.Buffer
		if err := SaveTokenizerConfig(&text, tok); err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(text.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		c.want["tokenizer_class"], c.want["clean_up_tokenization_spaces"] = "PreTrainedTokenizerFast", false
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("special tokens %v: %s", c.special, text.Bytes())
		}
	}
	if err := SaveTokenizerConfig(new(bytes.Buffer), Bytes{}); err == nil || HasTokenizerConfig(Bytes{}) {
		t.Error("bytes have a tokenizer_config.json")
	}
}
