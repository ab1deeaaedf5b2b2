package run

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/gorgonia-xlstm/xlstm/internal/rundir"
	"github.com/pkg/errors"
)

// corpusSeed orders the default text, so that the seed of a run does not change
// what is held out.
const corpusSeed = 1

// headTokens is how many tokens of a text are counted for what is no more than a
// measure of comparison, so that a text on disk stays there.
const headTokens = 1 << 24

// Corpus is a text as token ids, split into two parts.
type Corpus struct {
	Source         string         // a description of the origin
	Left           []data.Skipped // files that are not text or are generated
	Size           data.Size
	Tokenizer      data.Tokenizer
	Lengths        *data.Lengths // the amounts of text that tokens stand for
	Train, HeldOut data.Tokens   // to train on, and held out
	cache          *data.Cache   // that holds the tokens; nil if they are in memory
	name           func(setting string) string
}

// LoadText reads the texts of a run. Without a tokenizer, one is made from the
// training part. progress shows long operations.
func LoadText(ctx context.Context, s Settings, tok data.Tokenizer, progress Progress) (*Corpus, error) {
	return LoadFitting(ctx, fixed(s), tok, progress)
}

// LoadFitting is like LoadText, with settings that are fitted to the text.
func LoadFitting(ctx context.Context, f *Fitter, tok data.Tokenizer, progress Progress) (*Corpus, error) {
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
		if tok, err = f.s.Model.WithBeginning(tok); err != nil {
			return nil, err
		}
	}
	// A text that fits into memory takes no time that would be worth an interrupt.
	ids, size, err := data.EncodeIDs(context.WithoutCancel(ctx), tok, docs.Pieces(tok))
	if err != nil {
		return nil, err
	}
	t := &Corpus{Source: docs.Source, Left: docs.Skipped, Size: size, Tokenizer: tok}
	return t, t.divide(f, ids)
}

// loadCached is loadFitting for texts that may be larger than memory.
func loadCached(ctx context.Context, f *Fitter, tok data.Tokenizer, progress Progress) (*Corpus, error) {
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
		if tok, err = f.s.Model.WithBeginning(tok); err != nil {
			return nil, err
		}
	}
	set, done := progress.begin("tokenising, in bytes", texts.Bytes)
	cache, err := data.CacheTokens(ctx, f.s.Cache, tok, texts, set)
	done()
	if err != nil {
		return nil, err
	}
	t := &Corpus{Source: texts.Source, Left: texts.Skipped, Size: cache.Size, Tokenizer: tok, cache: cache}
	if err := t.divide(f, cache); err != nil {
		cache.Close()
		return nil, err
	}
	return t, nil
}

// ResumeText reads the text of the run in a folder, with the vocabulary of its last
// checkpoint.
func ResumeText(ctx context.Context, dir string, s Settings, progress Progress) (*Corpus, error) {
	tok, err := s.runTokenizer(dir)
	if err != nil {
		return nil, err
	}
	t, err := LoadText(ctx, s, tok, progress)
	if err != nil {
		return nil, err
	}
	if !s.fits(t.Tokenizer) {
		t.Close()
		return nil, errors.Errorf("the text gives a vocabulary of %s, the run in %s has %s; it was begun with another text", numbers.Commas(t.Tokenizer.Size()), dir, numbers.Commas(s.Model.VocabSize))
	}
	return t, nil
}

// runTokenizer returns the vocabulary of a run's last checkpoint that has one for a
// model with so many tokens, nil if there is no checkpoint yet: the same text gives
// the same again.
func (s Settings) runTokenizer(dir string) (data.Tokenizer, error) {
	found, err := rundir.Checkpoints(dir, rundir.LastKind)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	for _, cp := range found {
		var tok data.Tokenizer
		tok, err = data.ReadTokenizer(cp.Dir)
		if err == nil && !s.fits(tok) {
			err = errors.Errorf("the vocabulary in %s has %d tokens, the run %d; they do not belong together", cp.Dir, tok.Size(), s.Model.VocabSize)
		}
		if err == nil {
			return tok, nil
		}
	}
	return nil, err
}

// divide cuts the tokens of the text in two.
func (t *Corpus) divide(f *Fitter, tokens data.Tokens) (err error) {
	t.name = f.s.name
	if err := f.shape(tokens.Len()); err != nil {
		return err
	}
	t.Lengths = data.NewLengths(t.Tokenizer, tokens, t.Size.Bytes)
	t.Train, t.HeldOut, err = data.SplitTokens(tokens, f.s.Val, f.s.Length+1)
	return err
}

// Close releases the tokens.
func (t *Corpus) Close() error {
	if t.cache == nil {
		return nil
	}
	return t.cache.Close()
}

func loadDocuments(ctx context.Context, s Settings) (*data.Corpus, error) {
	if len(s.Data) > 0 {
		docs, err := data.Load(data.DefaultMaxBytes, s.Data...)
		return docs, explainRead(err, s)
	}
	docs, err := data.GoSource(ctx, s.MaxBytes, corpusSeed)
	return docs, errors.Wrapf(err, "reading the default text (name another with %s)", s.name("data"))
}

// explainRead says what to do about texts that could not be read.
func explainRead(err error, s Settings) error {
	if large := (*data.TooLargeError)(nil); errors.As(err, &large) {
		return errors.Errorf("the text is larger than the %s that are kept in memory (%s goes beyond): name fewer files, or give a folder for its tokens with %s, which takes a text of any size",
			numbers.Human(float64(large.Limit), "B"), large.Path, s.name("cache"))
	}
	return errors.Wrap(err, "reading the text")
}

// UnknownShare returns the share of tokens that stand for characters outside
// the vocabulary. Only a vocabulary of characters has such tokens.
func UnknownShare(tok data.Tokenizer, tokens data.Tokens) float64 {
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

// Describe returns a description of the text in two or more lines.
func (t *Corpus) Describe() []string {
	text := fmt.Sprintf("%s: %s, %s", t.Source, numbers.Count(t.Size.Documents, "document"), numbers.Count(t.Size.Chars, "character"))
	if len(t.Left) > 0 {
		text += fmt.Sprintf("; %s left out (%s)", numbers.Count(len(t.Left), "file"), reasons(t.Left))
	}
	lines := []string{text, fmt.Sprintf("%s to train on, %s held out, vocabulary %s, %.2f bytes per token",
		numbers.Count(t.Train.Len(), "token"), numbers.Commas(t.HeldOut.Len()), numbers.Commas(t.Tokenizer.Size()), float64(t.Size.Bytes)/float64(t.Train.Len()+t.HeldOut.Len()))}
	if t.cache != nil {
		lines = append(lines, "the tokens are in "+t.cache.Path)
	}
	if u := UnknownShare(t.Tokenizer, t.Train); u >= 0.001 {
		lines = append(lines, numbers.Percent(u)+" of the characters are too rare for the vocabulary and count as one; see "+t.name("rare")+" and "+t.name("tokens")+" bytes")
	}
	return lines
}

// FitModel sets the vocabulary of the model's configuration to that of the
// text.
func (t *Corpus) FitModel(s *Settings) {
	if s.From == "" || s.Model.VocabSize < t.Tokenizer.Size() {
		s.Model.VocabSize = t.Tokenizer.Size()
	}
	s.Model.Large = ownTokens(*s, t.Tokenizer)
}

// someLine returns a line of the held-out part to begin a sample with: the first
// function of a Go source, else the first line that says something.
func (t *Corpus) someLine() string {
	lines := strings.SplitAfter(t.Tokenizer.Decode(data.Head(t.HeldOut, 1<<16)), "\n")
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
