package bpe

import (
	"sync"

	"github.com/pkg/errors"
)

// EndOfText is the token that separates texts in GPT-2 and many later models.
const EndOfText = "<|endoftext|>"

// Tokenizer turns text into the ids of subword tokens and back. [Load] and
// [Train] return one; it is immutable.
type Tokenizer struct {
	names []string // by id: the spelling in the file, "" where there is no token
	texts []string // by id: the bytes it stands for
	ids   map[string]uint32

	bytes    byteTokens
	rules    [][2]uint32 // the merges by rank
	pairs    pairTable
	words    map[string]uint32 // whole words that need no merges; nil without ignore_merges
	settings modelSettings

	added         []addedToken // by id
	asIs          matcher      // added tokens to look for in the text as it is
	normalized    matcher      // added tokens to look for in the text in normal form
	normalizers   []normalizer
	steps         []step
	before, after []int // the special tokens around a text

	lengths  fileLengths
	parts    fileParts
	encoders sync.Pool // of *encoder
}

// model is what a file says of the tokens that merges make.
type model struct {
	vocab    map[string]uint32 // by spelling
	rules    [][2]uint32       // by rank
	settings modelSettings
}

// newTokenizer makes a tokenizer without added tokens that does not cut text
// into words.
func newTokenizer(m model) (*Tokenizer, error) {
	t := &Tokenizer{ids: make(map[string]uint32, len(m.vocab)), settings: m.settings}
	if err := t.setVocab(m.vocab); err != nil {
		return nil, err
	}
	if err := t.setBytes(m); err != nil {
		return nil, err
	}
	if err := t.setRules(m); err != nil {
		return nil, err
	}
	if m.settings.IgnoreMerges {
		t.words = make(map[string]uint32, len(m.vocab))
		for name, id := range m.vocab {
			if spell(t.texts[id]) == name {
				t.words[t.texts[id]] = id
			}
		}
	}
	return t, nil
}

// setVocab orders the vocabulary by id. Ids may be missing, but not so many that
// a small file could ask for a large table.
func (t *Tokenizer) setVocab(vocab map[string]uint32) error {
	t.names = make([]string, 0, len(vocab))
	for name, id := range vocab {
		if name == "" {
			return errors.Errorf("token %d is the empty text: remove it", id)
		}
		if int(id) >= 2*len(vocab) {
			return errors.Errorf("token %.40q has the id %d in a vocabulary of %d: number the tokens without such gaps", name, id, len(vocab))
		}
		for int(id) >= len(t.names) {
			t.names = append(t.names, "")
		}
		if t.names[id] != "" {
			return errors.Errorf("tokens %.40q and %.40q both have the id %d: give each its own", min(t.names[id], name), max(t.names[id], name), id)
		}
		t.names[id] = name
	}
	t.texts = make([]string, len(t.names))
	for id, name := range t.names {
		t.texts[id] = unspell(name)
		if _, taken := t.ids[t.texts[id]]; name != "" && (!taken || spell(t.texts[id]) == name) {
			t.ids[t.texts[id]] = uint32(id)
		}
	}
	return nil
}

// setRules makes the table of merges. Of a pair that is listed twice the last
// place counts.
func (t *Tokenizer) setRules(m model) error {
	if len(m.rules) >= maxMerges {
		return errors.Errorf("%d merges are too many: the limit is %d", len(m.rules), maxMerges-1)
	}
	last := make(map[[2]uint32]int, len(m.rules))
	for rank, rule := range m.rules {
		last[rule] = rank
	}
	t.pairs = newPairTable(len(last))
	for rank, rule := range m.rules {
		name := t.names[rule[0]] + t.names[rule[1]]
		id, ok := m.vocab[name]
		if !ok {
			return errors.Errorf("merge %d of %.40q and %.40q makes a token that is not in the vocabulary: add it or remove the merge", rank, t.names[rule[0]], t.names[rule[1]])
		}
		if last[rule] == rank {
			t.pairs.put(rule[0], rule[1], newMerge(len(t.rules), id))
			t.rules = append(t.rules, rule)
		}
	}
	return nil
}

// Size returns the number of ids, which is one more than the highest id. Ids
// that the file does not use have no token.
func (t *Tokenizer) Size() int { return len(t.names) }

// ID returns the id of the token for exactly this text, such as " the" or
// [EndOfText].
func (t *Tokenizer) ID(text string) (id int, ok bool) {
	n, ok := t.ids[text]
	return int(n), ok
}

// Token returns the text of an id. The text is not valid UTF-8 if the token is
// part of a character. Token returns false for an id without a token.
func (t *Tokenizer) Token(id int) (text string, ok bool) {
	if id < 0 || id >= len(t.texts) || t.texts[id] == "" {
		return "", false
	}
	return t.texts[id], true
}

// Special returns the ids of the special tokens, ascending.
func (t *Tokenizer) Special() []int {
	var ids []int
	for _, a := range t.added {
		if a.Special {
			ids = append(ids, a.ID)
		}
	}
	return ids
}
