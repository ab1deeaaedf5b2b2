package bpe

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/pkg/errors"
)

// partJSON is a normalizer, pre-tokenizer, post-processor or decoder: its type,
// and the fields of all types that are known. The defaults of the library are
// filled in beforehand.
type partJSON struct {
	Type string `json:"type"`

	AddPrefixSpace bool `json:"add_prefix_space"` // ByteLevel
	UseRegex       bool `json:"use_regex"`

	Pattern struct { // Split
		Regex  *string `json:"Regex"`
		String *string `json:"String"`
	} `json:"pattern"`
	Behavior string `json:"behavior"`
	Invert   bool   `json:"invert"`

	Individual bool `json:"individual_digits"` // Digits

	Single  []templateItem             `json:"single"` // TemplateProcessing
	Special map[string]templateSpecial `json:"special_tokens"`

	Normalizers   []json.RawMessage `json:"normalizers"` // Sequence
	PreTokenizers []json.RawMessage `json:"pretokenizers"`
	Processors    []json.RawMessage `json:"processors"`
}

// parsePart reads a part, of type "null" if it is missing.
func parsePart(text json.RawMessage, what string) (partJSON, error) {
	p := partJSON{Type: "null", UseRegex: true}
	if isNull(text) {
		return p, nil
	}
	p.Type = ""
	err := json.Unmarshal(text, &p)
	return p, errors.Wrap(err, what)
}

// parseParts reads a part, or those of a sequence. A sequence in a sequence is
// refused: a file of nothing else would take memory by the square of its size.
func parseParts(text json.RawMessage, what string) ([]partJSON, error) {
	whole, err := parsePart(text, what)
	if err != nil || whole.Type != "Sequence" {
		return []partJSON{whole}, err
	}
	var parts []partJSON
	for _, text := range slices.Concat(whole.Normalizers, whole.PreTokenizers, whole.Processors) {
		p, err := parsePart(text, what)
		if err != nil {
			return nil, err
		}
		if p.Type == "Sequence" {
			return nil, errors.Errorf("%s: a Sequence in a Sequence is not supported: put all into one", what)
		}
		parts = append(parts, p)
	}
	return parts, nil
}

// setParts takes all but the post-processor, which needs the added tokens.
func (t *Tokenizer) setParts(parts fileParts) error {
	for _, text := range []*json.RawMessage{&parts.Normalizer, &parts.PreTokenizer, &parts.PostProcessor, &parts.Decoder} {
		if len(*text) == 0 {
			*text = json.RawMessage("null")
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, *text); err != nil {
			return err
		}
		*text = compact.Bytes()
	}
	t.parts = parts
	if err := t.setNormalizer(parts.Normalizer); err != nil {
		return err
	}
	if err := t.setPreTokenizer(parts.PreTokenizer); err != nil {
		return err
	}
	decoder, err := parsePart(parts.Decoder, "decoder")
	if err == nil && decoder.Type != "ByteLevel" {
		err = errors.Errorf("a decoder of type %.40q is not supported: it must be \"ByteLevel\"", decoder.Type)
	}
	return err
}

// setNormalizer takes null, NFC, or a sequence of these.
func (t *Tokenizer) setNormalizer(text json.RawMessage) error {
	parts, err := parseParts(text, "normalizer")
	for _, p := range parts {
		switch p.Type {
		case "null":
		case "NFC":
			t.nfc = true
		default:
			return errors.Errorf("a normalizer of type %.40q is not supported: it must be null or \"NFC\"", p.Type)
		}
	}
	return err
}

// setPreTokenizer takes ByteLevel, or a sequence that ends with it: what comes
// after it would see the spelling of bytes in place of text.
func (t *Tokenizer) setPreTokenizer(text json.RawMessage) error {
	parts, err := parseParts(text, "pre_tokenizer")
	if err != nil {
		return err
	}
	for _, p := range parts {
		if err := t.addStep(p); err != nil {
			return err
		}
	}
	if len(parts) == 0 {
		return errors.New("the pre-tokenizer has no ByteLevel: use a byte-level model")
	}
	for i, p := range parts {
		if (p.Type == "ByteLevel") != (i == len(parts)-1) {
			return errors.New("the pre-tokenizer does not end with its only ByteLevel: use a byte-level model")
		}
	}
	return nil
}

// addStep adds the steps of a pre-tokenizer that is no sequence.
func (t *Tokenizer) addStep(p partJSON) error {
	switch p.Type {
	case "ByteLevel":
		if p.AddPrefixSpace {
			t.steps = append(t.steps, stepSpaceFirst)
		}
		if p.UseRegex {
			t.steps = append(t.steps, stepGPT2)
		}
		return nil
	case "Split":
		return t.addSplit(p)
	case "Digits":
		if p.Individual {
			t.steps = append(t.steps, stepEachDigit)
		} else {
			t.steps = append(t.steps, stepDigits)
		}
		return nil
	}
	return errors.Errorf("a pre-tokenizer of type %.40q is not supported: it must be ByteLevel, or a Sequence of Split, Digits and ByteLevel", p.Type)
}

// addSplit takes a Split by one of the patterns. They match all of a text, so
// that keeping the matches, or removing what is between them, is the same.
func (t *Tokenizer) addSplit(p partJSON) error {
	isolated := p.Behavior == "Isolated"
	kept := p.Behavior == "Removed" && p.Invert
	if !isolated && !kept {
		return errors.Errorf("a Split with the behavior %.40q (invert %t) is not supported: it must be \"Isolated\"", p.Behavior, p.Invert)
	}
	if p.Pattern.Regex == nil {
		return errors.New("a Split by a text is not supported: it must be by the regex of GPT-2, Llama 3 or Qwen 2")
	}
	switch *p.Pattern.Regex {
	case gpt2Regex:
		t.steps = append(t.steps, stepGPT2)
	case llamaRegex:
		t.steps = append(t.steps, stepLlama3)
	case qwenRegex:
		t.steps = append(t.steps, stepQwen2)
	default:
		return errors.Errorf("a Split by the regex %.200q is not supported: it must be that of GPT-2, Llama 3 or Qwen 2", *p.Pattern.Regex)
	}
	return nil
}
