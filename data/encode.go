package data

import (
	"context"
	"iter"
	"runtime"
	"slices"
	"unicode/utf8"

	"github.com/gorgonia-xlstm/xlstm/data/bpe"
)

// pieceBytes is how much of a document is encoded at a time.
const pieceBytes = 1 << 20

// Piece is a document or a part of one. The tokens of the pieces, concatenated,
// are those of the document.
type Piece struct {
	Text  string
	First bool // of its document
}

// Size is an amount of text, including the ends of documents.
type Size struct{ Bytes, Chars, Documents int }

// Pieces returns the documents of a corpus. Long documents are split into
// pieces that give the same tokens with tok as the whole document.
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

// Encode encodes documents on all processors and calls emit with the ids of the
// pieces, in order. The ids of [Beginning] precede each document and those of
// [DocumentEnd] separate documents; if both are the same, they appear once. The
// tokenizer must be safe for concurrent use, as those of this package and of
// bpe are. Encode returns the first error of the pieces, of emit or of ctx. It
// holds a few pieces per processor in memory.
func Encode(ctx context.Context, tok Tokenizer, pieces iter.Seq2[Piece, error], emit func(ids []int) error) (Size, error) {
	return encode(ctx, tok, pieces, marksOf(tok), emit)
}

func encode(ctx context.Context, tok Tokenizer, pieces iter.Seq2[Piece, error], m marks, emit func(ids []int) error) (Size, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	workers := runtime.GOMAXPROCS(0)
	work, order := make(chan *encoding), make(chan *encoding, 2*workers)
	for range workers {
		go func() {
			for e := range work {
				ids, err := TryEncode(tok, e.Text)
				e.ids <- encoded{ids, err}
			}
		}()
	}
	go func() {
		defer close(order)
		defer close(work)
		for p, err := range pieces {
			e := &encoding{Piece: p, err: err, ids: make(chan encoded, 1)}
			if !send(ctx, order, e) || err != nil || !send(ctx, work, e) {
				return
			}
		}
	}()
	return collect(ctx, order, m, emit)
}

// encoding is a piece and, as soon as they are there, its ids.
type encoding struct {
	Piece
	err error
	ids chan encoded
}

// encoded has the ids of a piece, or the error instead of them.
type encoded struct {
	ids []int
	err error
}

// marks are what stands before and between documents.
type marks struct {
	begin, between []int
	further        bool // the first document continues a text
}

func marksOf(tok Tokenizer) marks {
	m := marks{begin: Beginning(tok), between: DocumentEnd(tok)}
	if !slices.Equal(m.begin, m.between) {
		m.between = slices.Concat(m.between, m.begin)
	}
	return m
}

// before returns what stands before a document with these ids, the first of all
// or another.
func (m marks) before(ids []int, first bool) []int {
	all := m.between
	switch {
	case first && m.further:
		return nil
	case first:
		all = m.begin
	}
	if begins(ids, m.begin) { // written out
		return all[:len(all)-len(m.begin)]
	}
	return all
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
func collect(ctx context.Context, order <-chan *encoding, m marks, emit func(ids []int) error) (size Size, err error) {
	for e := range order {
		if e.err != nil {
			return size, e.err
		}
		var piece encoded
		select {
		case piece = <-e.ids:
		case <-ctx.Done():
			return size, ctx.Err()
		}
		if piece.err != nil {
			return size, piece.err
		}
		if e.First {
			if size.Documents > 0 {
				size.Bytes, size.Chars = size.Bytes+len(Separator), size.Chars+len(Separator)
			}
			if before := m.before(piece.ids, size.Documents == 0); len(before) > 0 {
				if err := emit(before); err != nil {
					return size, err
				}
			}
			size.Documents++
		}
		if err := emit(piece.ids); err != nil {
			return size, err
		}
		size.Bytes, size.Chars = size.Bytes+len(e.Text), size.Chars+utf8.RuneCountInString(e.Text)
	}
	return size, ctx.Err()
}

// EncodeIDs is like [Encode], and returns the ids in memory.
func EncodeIDs(ctx context.Context, tok Tokenizer, pieces iter.Seq2[Piece, error]) (IDs, Size, error) {
	return encodeIDs(ctx, tok, pieces, marksOf(tok))
}

// EncodeFurther is like [EncodeIDs], except that the first document continues a
// text and is therefore not preceded by Beginning.
func EncodeFurther(ctx context.Context, tok Tokenizer, pieces iter.Seq2[Piece, error]) (IDs, Size, error) {
	m := marksOf(tok)
	m.further = true
	return encodeIDs(ctx, tok, pieces, m)
}

func encodeIDs(ctx context.Context, tok Tokenizer, pieces iter.Seq2[Piece, error], m marks) (IDs, Size, error) {
	var all IDs
	size, err := encode(ctx, tok, pieces, m, func(ids []int) error {
		all = append(all, ids...)
		return nil
	})
	return all, size, err
}
