package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/pkg/errors"
)

// corpusSeed orders the default text, so that the seed of a run does not change
// what is held out.
const corpusSeed = 1

// headTokens is how many tokens of a text are counted for what is no more than a
// measure of comparison, so that a text on disk stays there.
const headTokens = 1 << 24

// corpus is a text as token ids, cut in two.
type corpus struct {
	source     string
	left       []data.Skipped // files that are no text, or were not written by people
	size       data.Size
	tokenizer  data.Tokenizer
	lengths    *data.Lengths
	train, val data.Tokens
	cache      *data.Cache // that holds the tokens; nil if they are in memory
}

// loadText reads the texts of a run. Without a tokenizer, one is made of the part
// to train on. What takes long is shown by progress.
func loadText(ctx context.Context, s settings, tok data.Tokenizer, progress Progress) (*corpus, error) {
	return loadFitting(ctx, fixed(s), tok, progress)
}

// loadFitting is loadText with settings that are fitted to the text.
func loadFitting(ctx context.Context, f *fitter, tok data.Tokenizer, progress Progress) (*corpus, error) {
	if f.s.Cache != "" {
		return loadCached(ctx, f, tok, progress)
	}
	docs, err := loadDocuments(ctx, *f.s)
	if err != nil {
		return nil, err
	}
	if tok == nil {
		text := docs.Text()
		f.vocabulary(len(text), utf8.RuneCountInString(text))
		if tok, err = newTokenizer(ctx, *f.s, trainingPart(text, f.s.Val), progress); err != nil {
			return nil, err
		}
	}
	if isVocabularyFile(f.s.Tokens) {
		if tok, err = withBeginning(tok, f.s.Model); err != nil {
			return nil, err
		}
	}
	// A text that fits into memory takes no time that would be worth an interrupt.
	ids, size, err := data.EncodeIDs(context.WithoutCancel(ctx), tok, docs.Pieces(tok))
	if err != nil {
		return nil, err
	}
	t := &corpus{source: docs.Source, left: docs.Skipped, size: size, tokenizer: tok}
	return t, t.divide(f, ids)
}

// loadCached is loadFitting for texts that may be larger than memory.
func loadCached(ctx context.Context, f *fitter, tok data.Tokenizer, progress Progress) (*corpus, error) {
	texts, err := data.Find(f.s.Data...)
	if err != nil {
		return nil, err
	}
	if tok == nil {
		f.vocabulary(int(texts.Bytes), int(texts.Bytes)) // to count characters is to read it all
		if tok, err = tokenizerOfFiles(ctx, *f.s, texts, progress); err != nil {
			return nil, err
		}
	}
	if isVocabularyFile(f.s.Tokens) {
		if tok, err = withBeginning(tok, f.s.Model); err != nil {
			return nil, err
		}
	}
	set, done := progress.begin("tokenising, in bytes", texts.Bytes)
	cache, err := data.CacheTokens(ctx, f.s.Cache, tok, texts, set)
	done()
	if err != nil {
		return nil, err
	}
	t := &corpus{source: texts.Source, left: texts.Skipped, size: cache.Size, tokenizer: tok, cache: cache}
	if err := t.divide(f, cache); err != nil {
		cache.Close()
		return nil, err
	}
	return t, nil
}

// loadTextOf reads the text of the run in a folder, with the vocabulary of its last
// checkpoint.
func loadTextOf(ctx context.Context, dir string, s settings, progress Progress) (*corpus, error) {
	tok, err := runTokenizer(dir, s.Model.VocabSize)
	if err != nil {
		return nil, err
	}
	t, err := loadText(ctx, s, tok, progress)
	if err != nil {
		return nil, err
	}
	if t.tokenizer.Size() != s.Model.VocabSize {
		t.close()
		return nil, errors.Errorf("the text gives a vocabulary of %s, the run in %s has %s; it was begun with another text", numbers.Commas(t.tokenizer.Size()), dir, numbers.Commas(s.Model.VocabSize))
	}
	return t, nil
}

// runTokenizer returns the vocabulary of a run's last checkpoint that has one for a
// model with so many tokens, nil if there is no checkpoint yet: the same text gives
// the same again.
func runTokenizer(dir string, vocab int) (data.Tokenizer, error) {
	found, err := checkpoints(dir, lastKind)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	for _, cp := range found {
		var tok data.Tokenizer
		tok, err = loadTokenizer(cp.dir)
		if err == nil && tok.Size() != vocab {
			err = errors.Errorf("the vocabulary in %s has %d tokens, the run %d; they do not belong together", cp.dir, tok.Size(), vocab)
		}
		if err == nil {
			return tok, nil
		}
	}
	return nil, err
}

// divide cuts the tokens of the text in two.
func (t *corpus) divide(f *fitter, tokens data.Tokens) (err error) {
	if err := f.shape(tokens.Len()); err != nil {
		return err
	}
	t.lengths = data.NewLengths(t.tokenizer, tokens, t.size.Bytes)
	t.train, t.val, err = data.SplitTokens(tokens, f.s.Val, f.s.Length+1)
	return err
}

// close gives back what holds the tokens.
func (t *corpus) close() error {
	if t.cache == nil {
		return nil
	}
	return t.cache.Close()
}

func loadDocuments(ctx context.Context, s settings) (*data.Corpus, error) {
	if len(s.Data) > 0 {
		docs, err := data.Load(data.DefaultMaxBytes, s.Data...)
		return docs, explainRead(err)
	}
	docs, err := data.GoSource(ctx, s.MaxBytes, corpusSeed)
	return docs, errors.Wrap(err, "reading the default text (name another with -data)")
}

// explainRead says what to do about texts that could not be read.
func explainRead(err error) error {
	if large := (*data.TooLargeError)(nil); errors.As(err, &large) {
		return errors.Errorf("the text is larger than the %s that are kept in memory (%s goes beyond): name fewer files, or give a folder for its tokens with -cache, which takes a text of any size",
			numbers.Human(float64(large.Limit), "B"), large.Path)
	}
	return errors.Wrap(err, "reading the text")
}

// unknown returns the share of tokens that stand for characters which the
// vocabulary does not know. Only a vocabulary of characters lacks any.
func unknown(tok data.Tokenizer, tokens data.Tokens) float64 {
	if _, ok := tok.(*data.Chars); !ok || tokens.Len() == 0 {
		return 0
	}
	n := 0
	ids := data.Head(tokens, headTokens)
	for _, id := range ids {
		if id == data.UnknownChar {
			n++
		}
	}
	return float64(n) / float64(len(ids))
}

// reasons counts the files that were left out by the reason.
func reasons(left []data.Skipped) string {
	counts := map[string]int{}
	for _, f := range left {
		counts[f.Reason]++
	}
	var list []string
	for _, reason := range slices.Sorted(maps.Keys(counts)) {
		list = append(list, numbers.Commas(counts[reason])+" "+reason)
	}
	return strings.Join(list, ", ")
}

// describe tells of the text in two lines or more.
func (t *corpus) describe() []string {
	text := fmt.Sprintf("%s: %s, %s", t.source, numbers.Count(t.size.Documents, "document"), numbers.Count(t.size.Chars, "character"))
	if len(t.left) > 0 {
		text += fmt.Sprintf("; %s left out (%s)", numbers.Count(len(t.left), "file"), reasons(t.left))
	}
	lines := []string{text, fmt.Sprintf("%s to train on, %s held out, vocabulary %s, %.2f bytes per token",
		numbers.Count(t.train.Len(), "token"), numbers.Commas(t.val.Len()), numbers.Commas(t.tokenizer.Size()), float64(t.size.Bytes)/float64(t.train.Len()+t.val.Len()))}
	if t.cache != nil {
		lines = append(lines, "the tokens are in "+t.cache.Path)
	}
	if u := unknown(t.tokenizer, t.train); u >= 0.001 {
		lines = append(lines, numbers.Percent(u)+" of the characters are too rare for the vocabulary and count as one; see -rare and -tokens bytes")
	}
	return lines
}

// leftOut returns the files that were left out, and why.
func (t *corpus) leftOut() []data.Skipped { return t.left }

// heldOut returns the part that is held out, and how long its tokens are.
func (t *corpus) heldOut() (data.Tokens, *data.Lengths) { return t.val, t.lengths }

// fitModel gives a model's configuration the vocabulary of the text.
func (t *corpus) fitModel(s *settings) {
	s.Model.VocabSize = t.tokenizer.Size()
	s.Model.Large = ownTokens(*s, t.tokenizer)
}

// excluded returns the ids that a model must not write: it may have more than
// there are tokens.
func excluded(tok data.Tokenizer, model *xlstm.Model) []int {
	return data.WithoutToken(tok, model.Config().VocabSize)
}

// someLine returns a line of the held-out part to begin a sample with: the first
// function of a Go source, else the first line that says something.
func (t *corpus) someLine() string {
	lines := strings.SplitAfter(t.tokenizer.Decode(data.Head(t.val, 1<<16)), "\n")
	for _, wanted := range []func(string) bool{
		func(l string) bool { return strings.HasPrefix(l, "func ") },
		func(l string) bool { return len(strings.TrimSpace(l)) >= 8 },
	} {
		// The first line may begin in the middle.
		for _, l := range lines[min(1, len(lines)-1):] {
			if wanted(l) {
				return l
			}
		}
	}
	return lines[0]
}
