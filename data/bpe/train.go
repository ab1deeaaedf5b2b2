package bpe

import (
	"context"
	"encoding/json"
	"iter"
	"strings"
	"unicode/utf8"

	"github.com/pkg/errors"
)

// TrainConfig configures Train.
type TrainConfig struct {
	// VocabSize is the number of tokens: the special tokens, the 256 bytes, and
	// the merges. There are fewer tokens if the texts have no more pairs.
	VocabSize int

	// MinFrequency is the number of times that a pair must occur to be merged.
	// 0 means 1.
	MinFrequency int

	// SpecialTokens get the first ids, in order. [EndOfText] is usual.
	SpecialTokens []string

	// Pattern splits the texts into words, in training and in the resulting
	// Tokenizer.
	Pattern Pattern

	// AddPrefixSpace puts a space before a text that does not begin with one,
	// so that its first word is like the others. It requires the pattern GPT2.
	AddPrefixSpace bool

	// Progress, if not nil, is called after each new token with the current
	// size of the vocabulary and with VocabSize.
	Progress func(tokens, of int)
}

// Train learns a vocabulary from texts. Words do not extend across texts, and
// special tokens written in the texts have no meaning.
//
// Train repeatedly makes a token of the most frequent pair of neighbouring
// tokens; of equally frequent pairs, it takes the one with the smallest ids,
// compared from the left. Ids are given in this order: special tokens, bytes in
// the order of their spelling in the file ('!' to '~', then the rest), merges.
// The trainer of Hugging Face's library tokenizers follows the same rules and
// gives the same tokens. The same texts and config give the same tokenizer on
// every machine.
//
// Memory grows with the number of different words, not with the number of
// texts.
//
// Train returns an error if the config is invalid, if there is no text, or if
// ctx is done, which it checks between texts and between merges.
func Train(ctx context.Context, texts iter.Seq[string], config TrainConfig) (*Tokenizer, error) {
	if err := config.check(); err != nil {
		return nil, errors.Wrap(err, "train tokenizer")
	}
	t, err := train(ctx, texts, config)
	if err != nil {
		return nil, errors.Wrap(err, "train tokenizer")
	}
	return t, nil
}

func train(ctx context.Context, texts iter.Seq[string], config TrainConfig) (*Tokenizer, error) {
	parts := config.parts()
	var cut Tokenizer // only for its steps
	if err := cut.setParts(parts); err != nil {
		return nil, err
	}
	words, err := countWords(ctx, texts, cut.steps)
	if err != nil {
		return nil, err
	}
	l := newLearner(config.SpecialTokens, words)
	if err := l.learn(ctx, config); err != nil {
		return nil, err
	}
	t, err := newTokenizer(model{vocab: l.ids, rules: l.rules})
	if err != nil {
		return nil, err
	}
	if err := t.setParts(parts); err != nil {
		return nil, err
	}
	return t, t.setAdded(config.added(), l.ids)
}

// check looks for what makes no sense.
func (c *TrainConfig) check() error {
	if least := 256 + len(c.SpecialTokens); c.VocabSize < least {
		return errors.Errorf("a vocabulary of %d tokens is too small: the bytes and the special tokens take %d", c.VocabSize, least)
	}
	if c.MinFrequency < 0 {
		return errors.Errorf("a minimum frequency of %d makes no sense: use 0 or more", c.MinFrequency)
	}
	if c.Pattern < GPT2 || c.Pattern > Qwen2 {
		return errors.Errorf("there is no pattern %d: use GPT2, Llama3 or Qwen2", c.Pattern)
	}
	if c.AddPrefixSpace && c.Pattern != GPT2 {
		return errors.Errorf("AddPrefixSpace would put a space before every word of the pattern %v: use the pattern GPT2", c.Pattern)
	}
	seen := map[string]bool{}
	for i, s := range c.SpecialTokens {
		if s == "" || !utf8.ValidString(s) || seen[s] {
			return errors.Errorf("special token %d, %.40q, is empty, no valid UTF-8, or there twice: change it", i, s)
		}
		if unspell(s) != s {
			return errors.Errorf("special token %.40q is spelled like the bytes %.40q in the file: change it, best to ASCII", s, unspell(s))
		}
		seen[s] = true
	}
	return nil
}

// parts returns the parts of the file of a trained tokenizer.
func (c *TrainConfig) parts() fileParts {
	const decoder = `{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true}`
	if c.Pattern == GPT2 {
		byteLevel := `{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true}`
		if c.AddPrefixSpace {
			byteLevel = decoder
		}
		return fileParts{PreTokenizer: json.RawMessage(byteLevel), Decoder: json.RawMessage(decoder)}
	}
	regex := llamaRegex
	if c.Pattern == Qwen2 {
		regex = qwenRegex
	}
	quoted := strings.ReplaceAll(regex, `\`, `\\`)
	split := `{"type":"Split","pattern":{"Regex":"` + quoted + `"},"behavior":"Isolated","invert":false}`
	byteLevel := `{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}`
	sequence := `{"type":"Sequence","pretokenizers":[` + split + `,` + byteLevel + `]}`
	return fileParts{PreTokenizer: json.RawMessage(sequence), Decoder: json.RawMessage(decoder)}
}

// added returns the special tokens with their ids.
func (c *TrainConfig) added() []addedToken {
	var added []addedToken
	for id, s := range c.SpecialTokens {
		added = append(added, addedToken{ID: id, Content: s, Special: true})
	}
	return added
}

// wordCount is a word and how often it occurs.
type wordCount struct {
	word  string
	count int64
}

// countWords returns the different words of texts in the order of their first
// occurrence.
func countWords(ctx context.Context, texts iter.Seq[string], steps []step) ([]wordCount, error) {
	var words []wordCount
	places := map[string]int{}
	for text := range texts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		eachWord(text, steps, nil, func(word string) {
			if i, ok := places[word]; ok {
				words[i].count++
				return
			}
			word = strings.Clone(word) // lest it keep the whole text
			places[word] = len(words)
			words = append(words, wordCount{word, 1})
		})
	}
	if len(words) == 0 {
		return nil, errors.New("there is no text to learn from: give it some")
	}
	return words, nil
}
