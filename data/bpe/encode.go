package bpe

import "slices"

// Encode returns the ids of a text. Added tokens that occur in the text, such
// as [EndOfText], become their ids.
//
// Where TryEncode would return an error, Encode treats the rest of the piece on
// which matching failed as one word.
func (t *Tokenizer) Encode(text string) []int {
	return t.AppendEncode(roomFor(text), text)
}

// TryEncode is like Encode, but returns an error if a regular expression of the
// file backtracks without end on the text. The patterns that [Train] uses never
// do.
func (t *Tokenizer) TryEncode(text string) ([]int, error) {
	return t.tryEncode(roomFor(text), text)
}

// AppendEncode appends the result of Encode to ids.
func (t *Tokenizer) AppendEncode(ids []int, text string) []int {
	ids, _ = t.tryEncode(ids, text)
	return ids
}

func (t *Tokenizer) tryEncode(ids []int, text string) ([]int, error) {
	e := t.encoder()
	t.split(text, &e.failed, func(piece string) {
		ids = e.encode(ids, piece)
	}, func(id int) {
		ids = append(ids, id)
	})
	return ids, t.release(e)
}

// EncodeOrdinary returns the ids of a text in which added tokens have no
// meaning: they are encoded like any other text. Use it, for example, for
// untrusted text that must not contain an end of text.
func (t *Tokenizer) EncodeOrdinary(text string) []int {
	e := t.encoder()
	ids := e.encode(roomFor(text), t.normalize(text, &e.failed))
	t.release(e)
	return ids
}

// EncodeWithSpecial is like Encode, and adds the special tokens that the file's
// post-processor puts around a text, such as one that begins a text.
func (t *Tokenizer) EncodeWithSpecial(text string) []int {
	ids := append(roomFor(text), t.before...)
	return append(t.AppendEncode(ids, text), t.after...)
}

// Around returns the special tokens that the file puts before and after a text.
func (t *Tokenizer) Around() (before, after []int) {
	return slices.Clone(t.before), slices.Clone(t.after)
}

// roomFor returns an empty slice that holds the ids of a usual text.
func roomFor(text string) []int { return make([]int, 0, len(text)/4+8) }

// split cuts a text at its added tokens. It calls plain with the parts between
// them in normal form, and token with their ids, in the order of the text.
func (t *Tokenizer) split(text string, failed *error, plain func(string), token func(id int)) {
	t.splitAdded(text, &t.asIs, func(part string) {
		t.splitAdded(t.normalize(part, failed), &t.normalized, plain, token)
	}, token)
}

// encoder encodes one text at a time.
type encoder struct {
	t      *Tokenizer
	cache  wordCache
	merger merger
	failed error // the first of the text
}

func (t *Tokenizer) encoder() *encoder {
	if e, ok := t.encoders.Get().(*encoder); ok {
		return e
	}
	return &encoder{t: t}
}

// release returns an encoder to the pool, and returns its error.
func (t *Tokenizer) release(e *encoder) error {
	err := e.failed
	e.failed = nil
	e.merger.forgetLongWord()
	t.encoders.Put(e)
	return err
}

// encode appends the ids of a text without added tokens.
func (e *encoder) encode(ids []int, piece string) []int {
	eachWord(piece, e.t.steps, &e.failed, func(word string) { ids = e.word(ids, word) })
	return ids
}

// word appends the ids of a word.
func (e *encoder) word(ids []int, word string) []int {
	slot := e.cache.slot(word)
	if slot.has(word) {
		for _, id := range slot.ids[:slot.count] {
			ids = append(ids, int(id))
		}
		return ids
	}
	if id, ok := e.t.words[word]; ok {
		return append(ids, int(id))
	}
	tokens := e.merger.merge(word, &e.t.bytes, &e.t.pairs)
	slot.put(word, tokens)
	for _, id := range tokens {
		ids = append(ids, int(id))
	}
	return ids
}
