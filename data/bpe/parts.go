package bpe

import (
	"bytes"
	"encoding/json"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/pkg/errors"
)

// partJSON is a normalizer, pre-tokenizer, post-processor or decoder: its type,
// and the fields of all types that are known. The defaults of the library are
// filled in beforehand.
type partJSON struct {
	Type string `json:"type"`

	AddPrefixSpace bool `json:"add_prefix_space"` // ByteLevel
	UseRegex       bool `json:"use_regex"`

	Pattern   patternJSON `json:"pattern"` // Split, Replace
	Behavior  behavior    `json:"behavior"`
	Invert    bool        `json:"invert"`
	Delimiter string      `json:"delimiter"` // CharDelimiterSplit

	Content    string `json:"content"` // Replace
	Prepend    string `json:"prepend"`
	StripLeft  bool   `json:"strip_left"` // Strip
	StripRight bool   `json:"strip_right"`

	Individual bool `json:"individual_digits"` // Digits

	Single  []templateItem             `json:"single"` // TemplateProcessing
	Special map[string]templateSpecial `json:"special_tokens"`
	Sep     wordAndID                  `json:"sep"` // RobertaProcessing, BertProcessing
	Cls     wordAndID                  `json:"cls"`

	Normalizers   []json.RawMessage `json:"normalizers"` // Sequence
	PreTokenizers []json.RawMessage `json:"pretokenizers"`
	Processors    []json.RawMessage `json:"processors"`
	Decoders      []json.RawMessage `json:"decoders"`
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

// maxSequences is how deep sequences may stand in sequences: a file of nothing
// else would take memory by the square of its size.
const maxSequences = 8

// parseParts reads a part, or those of a sequence and the sequences in it.
func parseParts(text json.RawMessage, what string) ([]partJSON, error) {
	return parseSequence(text, what, maxSequences)
}

func parseSequence(text json.RawMessage, what string, depth int) ([]partJSON, error) {
	whole, err := parsePart(text, what)
	if err != nil || whole.Type != "Sequence" {
		return []partJSON{whole}, err
	}
	if depth < 0 {
		return nil, errors.Errorf("%s: a Sequence in more than %d others is not supported: put all into one", what, maxSequences)
	}
	var parts []partJSON
	for _, text := range slices.Concat(whole.Normalizers, whole.PreTokenizers, whole.Processors, whole.Decoders) {
		inside, err := parseSequence(text, what, depth-1)
		if err != nil {
			return nil, err
		}
		parts = append(parts, inside...)
	}
	return parts, nil
}

// compact leaves out the white space of values, and makes those that are missing
// null.
func compact(values ...*json.RawMessage) error {
	for _, text := range values {
		if len(*text) == 0 {
			*text = json.RawMessage("null")
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, *text); err != nil {
			return err
		}
		*text = compact.Bytes()
	}
	return nil
}

// setParts takes all but the post-processor, which needs the added tokens.
func (t *Tokenizer) setParts(parts fileParts) error {
	if err := compact(&t.lengths.Truncation, &t.lengths.Padding, &parts.Normalizer, &parts.PreTokenizer, &parts.PostProcessor, &parts.Decoder); err != nil {
		return err
	}
	t.parts = parts
	if err := t.setNormalizer(parts.Normalizer); err != nil {
		return err
	}
	if err := t.setPreTokenizer(parts.PreTokenizer); err != nil {
		return err
	}
	return checkDecoder(parts.Decoder)
}

// checkDecoder takes ByteLevel, null, or a sequence: ids always become the bytes
// that they stand for.
func checkDecoder(text json.RawMessage) error {
	decoders, err := parseParts(text, "decoder")
	if err != nil {
		return err
	}
	for _, d := range decoders {
		switch d.Type {
		case "null", "ByteLevel":
		case "Fuse", "ByteFallback": // which leave bytes as they are
		default:
			return errors.Errorf("a decoder of type %.40q is not supported: it must be \"ByteLevel\", null or a Sequence of these", d.Type)
		}
	}
	return nil
}

// setNormalizer takes a normalizer, those of a sequence, or null.
func (t *Tokenizer) setNormalizer(text json.RawMessage) error {
	parts, err := parseParts(text, "normalizer")
	if err != nil {
		return err
	}
	for _, p := range parts {
		if p.Type == "null" {
			continue
		}
		n, err := newNormalizer(p)
		if err != nil {
			return err
		}
		t.normalizers = append(t.normalizers, n)
	}
	return nil
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
	case "Digits":
		if p.Individual {
			t.steps = append(t.steps, stepEachDigit)
		} else {
			t.steps = append(t.steps, stepDigits)
		}
		return nil
	case "Split":
		return t.addSplit(p)
	case "Whitespace":
		return t.addFinder(findWords, removed, true)
	case "WhitespaceSplit":
		return t.addFinder(findChars(unicode.IsSpace), removed, false)
	case "Punctuation":
		if p.Behavior == "" {
			p.Behavior = isolated
		}
		return t.addFinder(findChars(isPunctuation), p.Behavior, false)
	case "CharDelimiterSplit":
		if utf8.RuneCountInString(p.Delimiter) != 1 {
			return errors.Errorf("a CharDelimiterSplit has the delimiter %.40q: it must be one character", p.Delimiter)
		}
		return t.addFinder(findText(p.Delimiter), removed, false)
	}
	return errors.Errorf("a pre-tokenizer of type %.40q is not supported: it must be ByteLevel, or a Sequence that ends with ByteLevel, of Split, Digits, Punctuation, Whitespace, WhitespaceSplit and CharDelimiterSplit", p.Type)
}

// addSplit takes a Split. The well-known patterns are matched by hand. They match
// all of a text, so that keeping the matches, or removing what is between them, is
// the same.
func (t *Tokenizer) addSplit(p partJSON) error {
	if re := p.Pattern.Regex; re != nil && (p.Behavior == isolated || p.Behavior == removed && p.Invert) {
		if known, ok := handWritten[*re]; ok {
			t.steps = append(t.steps, known)
			return nil
		}
	}
	find, err := p.Pattern.finder("a Split")
	if err != nil {
		return err
	}
	return t.addFinder(find, p.Behavior, p.Invert)
}

// handWritten are the patterns that have a hand-written scanner.
var handWritten = map[string]step{gpt2Regex: stepGPT2, llamaRegex: stepLlama3, qwenRegex: stepQwen2}

// addFinder adds the step that cuts a text at what is found.
func (t *Tokenizer) addFinder(find finder, b behavior, invert bool) error {
	switch b {
	case isolated, removed, mergedWithPrevious, mergedWithNext, contiguous:
	default:
		return errors.Errorf("a Split has the behavior %.40q: it must be Isolated, Removed, MergedWithPrevious, MergedWithNext or Contiguous", b)
	}
	t.steps = append(t.steps, step{kindSplit, &split{find, b, invert}})
	return nil
}
