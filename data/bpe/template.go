package bpe

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/pkg/errors"
)

// templateItem is a place in a TemplateProcessing: a special token or the text.
type templateItem struct {
	Special *struct {
		ID string `json:"id"`
	} `json:"SpecialToken"`
	Sequence *struct {
		ID string `json:"id"`
	} `json:"Sequence"`
}

// templateSpecial is the ids of a special token of a TemplateProcessing.
type templateSpecial struct {
	IDs []int `json:"ids"`
}

// wordAndID is a special token of a RobertaProcessing or BertProcessing, in the
// file a list of its text and its id.
type wordAndID struct {
	word string
	id   int
}

// UnmarshalJSON reads such a list.
func (w *wordAndID) UnmarshalJSON(text []byte) error {
	var both []json.RawMessage
	if err := json.Unmarshal(text, &both); err != nil {
		return err
	}
	if len(both) != 2 {
		return errors.Errorf("%.80s: it must be a list of a token and its id", text)
	}
	if err := json.Unmarshal(both[0], &w.word); err != nil {
		return err
	}
	return json.Unmarshal(both[1], &w.id)
}

// setPostProcessor takes the post-processor: what puts special tokens around a
// text.
func (t *Tokenizer) setPostProcessor() error {
	parts, err := parseParts(t.parts.PostProcessor, "post_processor")
	if err != nil {
		return err
	}
	for _, p := range parts {
		switch p.Type {
		case "null", "ByteLevel": // ByteLevel moves only offsets
		case "TemplateProcessing":
			if err := t.addTemplate(p); err != nil {
				return err
			}
		case "RobertaProcessing", "BertProcessing":
			if p.Cls.word == "" || p.Sep.word == "" {
				return errors.Errorf("the %s lacks its cls or its sep: add it", p.Type)
			}
			if err := t.surround(p.Type, []int{p.Cls.id}, []int{p.Sep.id}); err != nil {
				return err
			}
		default:
			return errors.Errorf("a post-processor of type %.40q is not supported: it must be null, ByteLevel, TemplateProcessing, RobertaProcessing, BertProcessing or a Sequence of these", p.Type)
		}
	}
	return nil
}

// addTemplate puts the special tokens of a template around those that are there
// already. The template for pairs of texts has no use here.
func (t *Tokenizer) addTemplate(p partJSON) error {
	var before, after []int
	texts := 0
	for _, item := range p.Single {
		switch {
		case item.Sequence != nil && item.Sequence.ID == "A":
			texts++
		case item.Special != nil && texts == 0:
			before = append(before, p.Special[item.Special.ID].IDs...)
		case item.Special != nil:
			after = append(after, p.Special[item.Special.ID].IDs...)
		default:
			return errors.New("the TemplateProcessing for one text has an item that is no SpecialToken and no Sequence A: put it right")
		}
		if item.Special != nil && len(p.Special[item.Special.ID].IDs) == 0 {
			return errors.Errorf("the TemplateProcessing has no ids for the special token %.40q: add it to its special_tokens", item.Special.ID)
		}
	}
	if texts != 1 {
		return errors.Errorf("the TemplateProcessing for one text has the text %d times: it must have it once", texts)
	}
	return t.surround("TemplateProcessing", before, after)
}

// surround puts special tokens around those that are there already.
func (t *Tokenizer) surround(what string, before, after []int) error {
	for _, id := range slices.Concat(before, after) {
		if _, ok := t.Token(id); !ok {
			return errors.Errorf("the %s has the id %d, which is not in the vocabulary: put it right", what, id)
		}
	}
	t.before = append(before, t.before...)
	t.after = append(t.after, after...)
	return nil
}

// BeginWith returns a tokenizer that also puts a token before a text, unless t
// already does so. Save writes this token too.
func (t *Tokenizer) BeginWith(id int) (*Tokenizer, error) {
	if len(t.before) > 0 && t.before[0] == id {
		return t, nil
	}
	token, ok := t.Token(id)
	if !ok {
		return nil, errors.Errorf("texts cannot begin with the token %d: the vocabulary has %d", id, t.Size())
	}
	// The template has a name for the token, which may be any text.
	sign := map[string]any{"SpecialToken": map[string]any{"id": token, "type_id": 0}}
	text := func(id string, typ int) any {
		return map[string]any{"Sequence": map[string]any{"id": id, "type_id": typ}}
	}
	template, err := json.Marshal(map[string]any{
		"type": "TemplateProcessing", "single": []any{sign, text("A", 0)}, "pair": []any{sign, text("A", 0), text("B", 1)},
		"special_tokens": map[string]any{token: map[string]any{"id": token, "ids": []int{id}, "tokens": []string{token}}},
	})
	if err == nil && !isNull(t.parts.PostProcessor) {
		template, err = json.Marshal(map[string]any{"type": "Sequence", "processors": []json.RawMessage{t.parts.PostProcessor, template}})
	}
	if err != nil {
		return nil, errors.Wrap(err, "making a template")
	}
	var file bytes.Buffer
	if err := t.save(&file, template); err != nil {
		return nil, err
	}
	return Load(&file)
}
