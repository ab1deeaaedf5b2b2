package data

import (
	"encoding/json"
	"io"
	"slices"

	"github.com/gorgonia-xlstm/xlstm/data/bpe"
	"github.com/pkg/errors"
)

// tokenizerConfig is the tokenizer_config.json of Hugging Face's libraries.
type tokenizerConfig struct {
	Class    string `json:"tokenizer_class"`
	CleanUp  bool   `json:"clean_up_tokenization_spaces"`
	BOSToken string `json:"bos_token,omitempty"`
	EOSToken string `json:"eos_token,omitempty"`
}

// HasTokenizerConfig reports whether the saved form of a tokenizer is that of
// Hugging Face's library, which also needs the file that [SaveTokenizerConfig]
// writes.
func HasTokenizerConfig(tok Tokenizer) bool {
	_, ok := tok.(*bpe.Tokenizer)
	return ok
}

// SaveTokenizerConfig writes the tokenizer_config.json that accompanies the
// tokenizer.json of [SaveTokenizer] for a tokenizer of package bpe. It tells
// transformers to use the file unchanged, and which special tokens begin and
// end a text; without it transformers guesses the class of the tokenizer from
// the model and splits some texts differently. SaveTokenizerConfig returns an
// error for a tokenizer of another kind and if w fails.
func SaveTokenizerConfig(w io.Writer, tok Tokenizer) error {
	t, ok := tok.(*bpe.Tokenizer)
	if !ok {
		return errors.Errorf("cannot write a tokenizer_config.json for a tokenizer of type %T: it is for those of package bpe", tok)
	}
	special := func(ids []int) string {
		if len(ids) == 0 || !slices.Contains(t.Special(), ids[0]) {
			return ""
		}
		text, _ := t.Token(ids[0])
		return text
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return errors.Wrap(enc.Encode(tokenizerConfig{
		Class:    "PreTrainedTokenizerFast",
		BOSToken: special(t.EncodeWithSpecial("a")),
		EOSToken: special(DocumentEnd(t)),
	}), "write tokenizer_config.json")
}
