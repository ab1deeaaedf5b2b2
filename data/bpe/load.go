package bpe

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"

	"github.com/pkg/errors"
)

// MaxBytes is the maximum size of a tokenizer.json: 64 MiB, enough for a
// million tokens.
const MaxBytes = 64 << 20

// fileJSON is a tokenizer.json.
type fileJSON struct {
	Version string `json:"version"`
	fileLengths
	Added []addedToken `json:"added_tokens"`
	fileParts
	Model modelJSON `json:"model"`
}

// fileLengths are what a file says of the lengths of texts. They change no id and
// are kept for the next who reads the file.
type fileLengths struct {
	Truncation json.RawMessage `json:"truncation"`
	Padding    json.RawMessage `json:"padding"`
}

// fileParts are what a tokenizer keeps of its file to write it again.
type fileParts struct {
	Normalizer    json.RawMessage `json:"normalizer"`
	PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
	PostProcessor json.RawMessage `json:"post_processor"`
	Decoder       json.RawMessage `json:"decoder"`
}

// modelJSON is the model of a tokenizer.json. Old files have no type.
type modelJSON struct {
	Type    *string  `json:"type"`
	Dropout *float64 `json:"dropout"`
	modelSettings
	Vocab  map[string]uint32 `json:"vocab"`
	Merges []mergeJSON       `json:"merges"`
}

// modelSettings are what a tokenizer keeps of its model to write it again.
type modelSettings struct {
	Unknown      *string `json:"unk_token"`
	Prefix       *string `json:"continuing_subword_prefix"`
	Suffix       *string `json:"end_of_word_suffix"`
	FuseUnknown  bool    `json:"fuse_unk"`
	ByteFallback bool    `json:"byte_fallback"`
	IgnoreMerges bool    `json:"ignore_merges"`
}

// mergeJSON is a merge as ["a","b"] or, in older files, as "a b".
type mergeJSON [2]string

func (m *mergeJSON) UnmarshalJSON(text []byte) error {
	if !bytes.HasPrefix(text, []byte(`"`)) {
		var both []string
		if err := json.Unmarshal(text, &both); err != nil {
			return err
		}
		if len(both) != 2 {
			return errors.Errorf("merge %.80s has %d tokens: it must have 2", text, len(both))
		}
		*m = mergeJSON(both)
		return nil
	}
	var line string
	if err := json.Unmarshal(text, &line); err != nil {
		return err
	}
	a, b, ok := strings.Cut(line, " ")
	if !ok || strings.Contains(b, " ") {
		return errors.Errorf("merge %.80q: it must be two tokens with one space between", line)
	}
	*m = mergeJSON{a, b}
	return nil
}

// Load reads a tokenizer.json: a byte-level BPE model as Hugging Face's library
// tokenizers writes it, and as Save does. It reads r to its end.
//
// Load returns an error if the file is longer than [MaxBytes], is damaged or
// contradicts itself, or if it requires something that this package does not
// support, which the error names. Truncation and padding settings are kept for
// Save but not applied: a text is always encoded completely and without
// padding.
func Load(r io.Reader) (*Tokenizer, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	if err != nil {
		return nil, errors.Wrap(err, "read tokenizer.json")
	}
	if len(text) > MaxBytes {
		return nil, errors.Errorf("read tokenizer.json: more than %d bytes: this is not a tokenizer.json", MaxBytes)
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	var kind struct { // first of all: other models have another vocabulary
		Model struct {
			Type *string `json:"type"`
		} `json:"model"`
	}
	if json.Unmarshal(text, &kind) == nil && kind.Model.Type != nil && *kind.Model.Type != "BPE" {
		return nil, errors.Errorf("read tokenizer.json: a model of type %.40q is not supported: it must be a byte-level \"BPE\"", *kind.Model.Type)
	}
	var file fileJSON
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, errors.Wrap(err, "read tokenizer.json")
	}
	t, err := file.tokenizer()
	if err != nil {
		return nil, errors.Wrap(err, "read tokenizer.json")
	}
	return t, nil
}

// tokenizer makes the tokenizer of a file.
func (f *fileJSON) tokenizer() (*Tokenizer, error) {
	if f.Version != "" && f.Version != "1.0" {
		return nil, errors.Errorf("version %.40q is not known: use a file of version 1.0", f.Version)
	}
	m, err := f.Model.model()
	if err != nil {
		return nil, err
	}
	t, err := newTokenizer(m)
	if err != nil {
		return nil, err
	}
	t.lengths = f.fileLengths
	if err := t.setParts(f.fileParts); err != nil {
		return nil, err
	}
	if err := t.setAdded(f.Added, m.vocab); err != nil {
		return nil, err
	}
	return t, t.setPostProcessor()
}

// model checks what the model asks for.
func (f *modelJSON) model() (model, error) {
	var no model
	switch {
	case f.Dropout != nil && *f.Dropout != 0:
		return no, errors.Errorf("dropout %g is not supported: set it to null, as it is for training only", *f.Dropout)
	case f.Prefix != nil && *f.Prefix != "":
		return no, errors.Errorf("continuing_subword_prefix %.40q is not supported: it must be null or empty", *f.Prefix)
	case f.Suffix != nil && *f.Suffix != "":
		return no, errors.Errorf("end_of_word_suffix %.40q is not supported: it must be null or empty", *f.Suffix)
	}
	f.Prefix, f.Suffix = nil, nil // empty is none
	rules := make([][2]uint32, len(f.Merges))
	for rank, pair := range f.Merges {
		for i, name := range pair {
			id, ok := f.Vocab[name]
			if !ok {
				return no, errors.Errorf("merge %d has the token %.40q, which is not in the vocabulary: add it or remove the merge", rank, name)
			}
			rules[rank][i] = id
		}
	}
	return model{vocab: f.Vocab, rules: rules, settings: f.modelSettings}, nil
}

// isNull reports whether a value is null or missing.
func isNull(value json.RawMessage) bool {
	return len(value) == 0 || string(value) == "null"
}
