package run

import (
	"context"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/data/bpe"
	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/pkg/errors"
)

// What a token can be; anything else is the path of a saved vocabulary.
const (
	tokensChars = "chars"
	tokensBytes = "bytes"
	tokensBPE   = "bpe"
)

// learnBytes is about how much of a large text subwords are learned from: more
// hardly changes which are frequent.
const learnBytes = 64 << 20

// isVocabularyFile reports whether a setting of -tokens is the path of a file.
func isVocabularyFile(tokens string) bool {
	return tokens != tokensChars && tokens != tokensBytes && tokens != tokensBPE
}

// newTokenizer makes the vocabulary from the text to train on, which comes in
// pieces, or reads it from a file.
func newTokenizer(ctx context.Context, s Settings, text iter.Seq[string], progress Progress) (data.Tokenizer, error) {
	switch s.Tokens {
	case tokensBytes:
		return data.Bytes{}, nil
	case tokensChars:
		return data.CharsOf(text, s.Rare)
	case tokensBPE:
		return learnSubwords(ctx, s.Vocab, text, progress)
	}
	f, _, err := files.Open(s.Tokens, bpe.MaxBytes)
	if err != nil {
		return nil, errors.Wrapf(err, "opening the vocabulary that %s names", s.name("tokens"))
	}
	defer f.Close()
	tok, err := data.LoadTokenizer(f)
	if err == nil {
		tok, err = data.WithSpecial(tok, s.Special...)
	}
	return tok, errors.Wrapf(err, "reading %s", s.Tokens)
}

// ownTokens returns the part of a configuration that names special tokens, with
// those of a vocabulary that was made of the text: what a file says is of another.
func ownTokens(s Settings, tok data.Tokenizer) *xlstm.LargeConfig {
	if s.Model.Large == nil || s.Model.Large.HuggingFace == nil || isVocabularyFile(s.Tokens) {
		return s.Model.Large
	}
	large := *s.Model.Large
	large.HuggingFace = new(xlstm.HuggingFaceConfig)
	if end, ok := data.TextEnd(tok); ok {
		large.HuggingFace.EOSTokenIDs = []int{end}
	}
	return &large
}

// learnSubwords learns a byte-level vocabulary. Ends of documents, also those that
// are written out in the text, are no part of words.
func learnSubwords(ctx context.Context, vocab int, text iter.Seq[string], progress Progress) (data.Tokenizer, error) {
	set, done := progress.begin("learning subwords", int64(vocab))
	defer done()
	documents := func(yield func(string) bool) {
		for piece := range text {
			for doc := range strings.SplitSeq(strings.ReplaceAll(piece, bpe.EndOfText, data.Separator), data.Separator) {
				if !yield(doc) {
					return
				}
			}
		}
	}
	tok, err := bpe.Train(ctx, documents, bpe.TrainConfig{
		// Of the patterns this one makes the fewest tokens of source code.
		VocabSize: vocab, SpecialTokens: []string{bpe.EndOfText}, Pattern: bpe.Llama3,
		Progress: func(tokens, _ int) { set(int64(tokens)) },
	})
	if err != nil {
		return nil, err // not a tokenizer that is nil
	}
	return tok, nil
}

// trainingPart returns the text without the characters at its end that are held
// out.
func trainingPart(whole string, val float64) iter.Seq[string] {
	at := len(whole)
	for range int(val * float64(utf8.RuneCountInString(whole))) {
		_, size := utf8.DecodeLastRuneInString(whole[:at])
		at -= size
	}
	return slices.Values([]string{whole[:at]})
}

// tokenizerOfFiles is newTokenizer for texts that may be larger than memory. The
// part to train on is told by bytes.
func tokenizerOfFiles(ctx context.Context, s Settings, texts *data.Files, progress Progress) (data.Tokenizer, error) {
	end := texts.Bytes - int64(s.Val*float64(texts.Bytes))
	every := 1 // of how many pieces one is taken
	if s.Tokens == tokensBPE {
		every += int(end / learnBytes)
	}
	var failed error
	tok, err := newTokenizer(ctx, s, func(yield func(string) bool) {
		read, i := int64(0), 0
		for p, err := range texts.Pieces(data.Bytes{}) {
			if failed = err; err != nil || read >= end {
				return
			}
			text := strings.ToValidUTF8(p.Text[:min(int64(len(p.Text)), end-read)], "") // without half a character
			if p.First && read > 0 {
				text = data.Separator + text
			}
			if i%every == 0 && !yield(text) {
				return
			}
			read, i = read+int64(len(p.Text)), i+1
		}
	}, progress)
	if failed != nil {
		return nil, failed
	}
	return tok, err
}
