package bpe

import "bytes"

// WithSpecial returns a tokenizer that also has these special tokens, behind all
// others and in this order; texts that are tokens already stay as they are. It
// returns an error for an empty text.
func (t *Tokenizer) WithSpecial(texts ...string) (*Tokenizer, error) {
	var more []addedToken
	for _, text := range texts {
		if _, known := t.ids[text]; !known {
			more = append(more, addedToken{ID: t.Size() + len(more), Content: text, Special: true})
		}
	}
	if len(more) == 0 {
		return t, nil
	}
	var file bytes.Buffer
	if err := t.save(&file, t.parts.PostProcessor, more...); err != nil {
		return nil, err
	}
	return Load(&file)
}
