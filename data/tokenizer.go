package data

import (
	"bytes"
	"encoding/json"
	"io"

	"github.com/gorgonia-xlstm/xlstm/data/bpe"
	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/pkg/errors"
)

// Tokenizer turns text into token ids and back. The ids are 0 to Size()-1.
type Tokenizer interface {
	// Encode returns the ids of a text. Any text can be encoded; characters
	// that are not in the vocabulary become an id for the unknown.
	Encode(text string) []int

	// Decode returns the text of ids. An id outside the vocabulary becomes
	// U+FFFD, the replacement character.
	Decode(ids []int) string

	// Size returns the number of ids.
	Size() int
}

// The kinds of tokenizers, as a saved tokenizer names them.
const (
	kindBytes = "bytes"
	kindChars = "chars"
)

// maxTokenizerBytes is the size of the largest saved tokenizer that is read.
// All of Unicode as escaped characters takes less.
const maxTokenizerBytes = bpe.MaxBytes

// savedTokenizer is a tokenizer on disk: its kind, and what that kind keeps. A
// tokenizer of package bpe has neither of them, but a model.
type savedTokenizer struct {
	Kind      string          `json:"kind"`
	Tokenizer json.RawMessage `json:"tokenizer"`
	Model     json.RawMessage `json:"model,omitempty"`
}

// SaveTokenizer writes a tokenizer. One of this package becomes a JSON object
// that names its kind, such as
//
//	{"kind":"chars","tokenizer":{"chars":"abc"}}
//
// and one of package bpe becomes a tokenizer.json of Hugging Face's library.
// SaveTokenizer returns an error for a tokenizer of another package and if w
// fails.
func SaveTokenizer(w io.Writer, tok Tokenizer) error {
	var kind string
	switch tok := tok.(type) {
	case Bytes:
		kind = kindBytes
	case *Chars:
		kind = kindChars
	case *bpe.Tokenizer:
		return tok.Save(w)
	default:
		return errors.Errorf("cannot save a tokenizer of type %T: use one of package data or bpe", tok)
	}
	body, err := json.Marshal(tok)
	if err != nil {
		return errors.Wrap(err, "encode tokenizer")
	}
	text, err := json.Marshal(savedTokenizer{Kind: kind, Tokenizer: body})
	if err != nil {
		return errors.Wrap(err, "encode tokenizer")
	}
	_, err = w.Write(append(text, '\n'))
	return errors.Wrap(err, "write tokenizer")
}

// LoadTokenizer reads a tokenizer of any kind that [SaveTokenizer] wrote, and
// any tokenizer.json that [bpe.Load] reads. It reads r to its end, and returns
// an error if the content is longer than 64 MiB, is not a saved tokenizer, or
// is damaged.
func LoadTokenizer(r io.Reader) (Tokenizer, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxTokenizerBytes+1))
	if err != nil {
		return nil, errors.Wrap(err, "read tokenizer")
	}
	if len(text) > maxTokenizerBytes {
		return nil, errors.Errorf("read tokenizer: more than %d bytes: this is not a saved tokenizer", maxTokenizerBytes)
	}
	text = files.WithoutMark(text)
	var saved savedTokenizer
	if err := json.Unmarshal(text, &saved); err != nil {
		return nil, errors.Wrap(err, "read tokenizer: not a saved tokenizer")
	}
	if saved.Kind == "" && saved.Model != nil {
		return loadBPE(text)
	}
	switch saved.Kind {
	case kindBytes:
		return Bytes{}, nil
	case kindChars:
		chars := new(Chars)
		if err := json.Unmarshal(saved.Tokenizer, chars); err != nil {
			return nil, errors.Wrap(err, "read tokenizer of kind \"chars\"")
		}
		return chars, nil
	}
	return nil, errors.Errorf("read tokenizer: unknown kind %.40q: it must be %q or %q", saved.Kind, kindBytes, kindChars)
}

// loadBPE returns no tokenizer, rather than one that is nil, with an error.
func loadBPE(text []byte) (Tokenizer, error) {
	tok, err := bpe.Load(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	return tok, nil
}
