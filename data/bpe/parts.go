package bpe

import (
	"bytes"
	"encoding/json"

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
	p, err := parsePart(text, "normalizer")
	if err != nil {
		return err
	}
	switch p.Type {
	case "null":
	case "NFC":
		t.nfc = true
	case "Sequence":
		for _, part := range p.Normalizers {
			if err := t.setNormalizer(part); err != nil {
				return err
			}
		}
	default:
		return errors.Errorf("a normalizer of type %.40q is not supported: it must be null or \"NFC\"", p.Type)
	}
	return nil
}

// setPreTokenizer takes ByteLevel, or a sequence that ends with it.
func (t *Tokenizer) setPreTokenizer(text json.RawMessage) error {
	byteLevel := false
	err := t.addSteps(text, &byteLevel)
	if err == nil && !byteLevel {
		err = errors.New("the pre-tokenizer has no ByteLevel: use a byte-level model")
	}
	return err
}

// addSteps adds the steps of a pre-tokenizer. What comes after ByteLevel would
// see the spelling of bytes in place of text.
func (t *Tokenizer) addSteps(text json.RawMessage, byteLevel *bool) error {
	p, err := parsePart(text, "pre_tokenizer")
	if err != nil {
		return err
	}
	if *byteLevel {
		return errors.Errorf("a pre-tokenizer of type %.40q after ByteLevel is not supported: ByteLevel must be the last", p.Type)
	}
	switch p.Type {
	case "Sequence":
		for _, part := range p.PreTokenizers {
			if err := t.addSteps(part, byteLevel); err != nil {
				return err
			}
		}
		return nil
	case "ByteLevel":
		*byteLevel = true
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
