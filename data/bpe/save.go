package bpe

import (
	"bytes"
	"encoding/json"
	"io"

	"github.com/pkg/errors"
)

// savedJSON is a tokenizer.json with the fields in the order of the library.
type savedJSON struct {
	Version string `json:"version"`
	fileLengths
	Added []addedToken `json:"added_tokens"`
	fileParts
	Model savedModel `json:"model"`
}

type savedModel struct {
	Type    string   `json:"type"`
	Dropout *float64 `json:"dropout"`
	modelSettings
	Vocab  savedVocab `json:"vocab"`
	Merges [][]string `json:"merges"`
}

// savedVocab are the spellings by id, "" where the model has no token.
type savedVocab []string

// MarshalJSON writes an object with the tokens in the order of their ids; a map
// would come out in the order of the alphabet.
func (v savedVocab) MarshalJSON() ([]byte, error) {
	var text bytes.Buffer
	enc := plainEncoder(&text)
	text.WriteByte('{')
	for id, name := range v {
		if name == "" {
			continue
		}
		if text.Len() > 1 {
			text.WriteByte(',')
		}
		if err := enc.Encode(name); err != nil {
			return nil, err
		}
		text.WriteByte(':')
		if err := enc.Encode(id); err != nil {
			return nil, err
		}
	}
	text.WriteByte('}')
	return text.Bytes(), nil
}

// plainEncoder returns an encoder that leaves < and > as they are, which stand
// around most special tokens.
func plainEncoder(w io.Writer) *json.Encoder {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc
}

// Save writes the tokenizer as a tokenizer.json, which [Load] and Hugging Face's
// library read. The same tokenizer gives the same bytes.
func (t *Tokenizer) Save(w io.Writer) error { return t.save(w, t.parts.PostProcessor) }

// save is Save with another post-processor and more added tokens.
func (t *Tokenizer) save(w io.Writer, postProcessor json.RawMessage, more ...addedToken) error {
	parts := t.parts
	parts.PostProcessor = postProcessor
	vocab := append(savedVocab(nil), t.names...)
	for _, a := range t.added {
		if !a.inVocab {
			vocab[a.ID] = ""
		}
	}
	merges := make([][]string, len(t.rules))
	for rank, rule := range t.rules {
		merges[rank] = []string{t.names[rule[0]], t.names[rule[1]]}
	}
	file := savedJSON{
		Version:     "1.0",
		fileLengths: t.lengths,
		Added:       append(append([]addedToken{}, t.added...), more...), // [] and not null if there is none
		fileParts:   parts,
		Model:       savedModel{Type: "BPE", modelSettings: t.settings, Vocab: vocab, Merges: merges},
	}
	return errors.Wrap(plainEncoder(w).Encode(file), "write tokenizer.json")
}
