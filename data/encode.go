package data

import (
	"context"
	"iter"
	"runtime"
	"unicode/utf8"

	"github.com/gorgonia-xlstm/xlstm/data/bpe"
)

// pieceBytes is how much of a document is encoded at a time.
const pieceBytes = 1 << 20

// Piece is a document or a part of one. The tokens of the pieces, one after the
// other, are those of the document.
type Piece struct {
	Text  string
	First bool // of its document
}

// Size is how much text there is, document ends included.
type Size struct{ Bytes, Chars, Documents int }

// DocumentEnd returns the tokens that stand between two documents: the special
// token of package bpe that ends a text, or [Separator] where there is none.
func DocumentEnd(tok Tokenizer) []int {
	if tok, ok := tok.(*bpe.Tokenizer); ok {
		for _, id := range tok.Special() {
			if text, _ := tok.Token(id); endsText[text] {
				return []int{id}
			}
		}
	}
	return tok.Encode(Separator)
}

// endsText are the names that well-known vocabularies have for the end of a text.
var endsText = map[string]bool{bpe.EndOfText: true, "<|end_of_text|>": true, "</s>": true}

// Pieces returns the documents of a corpus, long ones in pieces that tok encodes
// as it does the whole.
func (c *Corpus) Pieces(tok Tokenizer) iter.Seq2[Piece, error] {
	return func(yield func(Piece, error) bool) {
		for _, d := range c.Documents {
			for first, rest := true, d.Text; rest != ""; first = false {
				n := cutPlace(tok, rest)
				if !yield(Piece{rest[:n], first}, nil) {
					return
				}
				rest = rest[n:]
			}
		}
	}
}

// cutPlace returns where a text can be cut after about pieceBytes bytes, and its
// length where it cannot.
func cutPlace(tok Tokenizer, text string) int {
	if len(text) <= pieceBytes {
		return len(text)
	}
	switch tok := tok.(type) {
	case *bpe.Tokenizer:
		return tok.Cut(text, pieceBytes)
	case *Chars, Bytes:
		n := pieceBytes
		for !utf8.RuneStart(text[n]) { // the text is valid UTF-8
			n--
		}
		return n
	}
	return len(text)
}

// Encode encodes documents with all processors and calls emit with the ids of
// piece after piece, in order, and with those of [DocumentEnd] between two
// documents. The tokenizer must bear use by several goroutines at once, as those
// of this package and of bpe do. Encode returns the first error of the pieces, of
// emit and of ctx. It holds a few pieces for every processor in memory.
func Encode(ctx context.Context, tok Tokenizer, pieces iter.Seq2[Piece, error], emit func(ids []int) error) (Size, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	workers := runtime.GOMAXPROCS(0)
	work, order := make(chan *encoding), make(chan *encoding, 2*workers)
	for range workers {
		go func() {
			for e := range work {
				e.ids <- tok.Encode(e.Text)
			}
		}()
	}
	go func() {
		defer close(order)
		defer close(work)
		for p, err := range pieces {
			e := &encoding{Piece: p, err: err, ids: make(chan []int, 1)}
			if !send(ctx, order, e) || err != nil || !send(ctx, work, e) {
				return
			}
		}
	}()
	return collect(ctx, order, DocumentEnd(tok), emit)
}

// encoding is a piece and, as soon as they are there, its ids.
type encoding struct {
	Piece
	err error
	ids chan []int
}

func send(ctx context.Context, to chan<- *encoding, e *encoding) bool {
	select {
	case to <- e:
		return true
	case <-ctx.Done():
		return false
	}
}

// collect hands the ids on in the order of the pieces.
func collect(ctx context.Context, order <-chan *encoding, end []int, emit func(ids []int) error) (size Size, err error) {
	for e := range order {
		if e.err != nil {
			return size, e.err
		}
		if e.First && size.Documents > 0 {
			if err := emit(end); err != nil {
				return size, err
			}
			size.Bytes, size.Chars = size.Bytes+len(Separator), size.Chars+len(Separator)
		}
		if e.First {
			size.Documents++
		}
		select {
		case ids := <-e.ids:
			if err := emit(ids); err != nil {
				return size, err
			}
		case <-ctx.Done():
			return size, ctx.Err()
		}
		size.Bytes, size.Chars = size.Bytes+len(e.Text), size.Chars+utf8.RuneCountInString(e.Text)
	}
	return size, ctx.Err()
}

// EncodeIDs is [Encode] into memory.
func EncodeIDs(ctx context.Context, tok Tokenizer, pieces iter.Seq2[Piece, error]) (IDs, Size, error) {
	var all IDs
	size, err := Encode(ctx, tok, pieces, func(ids []int) error {
		all = append(all, ids...)
		return nil
	})
	return all, size, err
}
