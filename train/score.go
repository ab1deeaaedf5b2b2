package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"unicode/utf8"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/pkg/errors"
)

// scorePiece is how many tokens are read between two looks at an interrupt.
const scorePiece = 4096

// scoreCommand prints the probability of every token of a text.
func scoreCommand(ctx context.Context, args []string, c console) error {
	f := newFlags("score", "Print the probability of every token of a text, given the tokens before it.", c,
		`score runs/small -text "func main() {"`, "score runs/small -data chapter.txt -json", "score runs/small -state book.state -text \"The end.\"")
	var text string
	f.Func("text", "the `TEXT` itself; - reads it from standard input", func(v string) (err error) {
		text, err = givenText("text", v, c.in)
		return err
	})
	var files []string
	f.Func("data", dataUsage, func(v string) error {
		files = append(files, v)
		return nil
	})
	state := f.String("state", "", "the text continues from this state, which sample -save-state wrote")
	asJSON := f.Bool("json", false, "print a line of JSON for every token, and one for the text")
	var on reading
	on.register(f)
	dir, err := parseWithFolder(f, args)
	if err != nil {
		return err
	}
	if (text == "") == (len(files) == 0) {
		return errors.New("score takes a text: give either -text or -data")
	}
	lm, closeDevice, err := on.load(dir, c.err)
	if err != nil {
		return err
	}
	defer closeDevice()
	model, tok := lm.Model(), lm.Tokenizer()
	docs := &data.Corpus{Documents: []data.Document{{Text: text}}}
	if len(files) > 0 {
		if docs, err = data.Load(data.DefaultMaxBytes, files...); err != nil {
			return err
		}
	}
	g, err := model.NewGenerator()
	if err != nil {
		return err
	}
	defer g.Close()
	if *state != "" {
		if err := g.LoadState(*state); err != nil {
			return err
		}
	}
	s := scoring{tok: tok, out: c.out, asJSON: *asJSON}
	return s.score(ctx, g, docs)
}

// scoring prints tokens and sums them up.
type scoring struct {
	tok    data.Tokenizer
	out    io.Writer
	asJSON bool
	sum    float64 // of the logarithms, in nats
	tokens int     // that have a probability
}

// scoredToken is a token as a line of JSON; the first token of a text has no
// probability.
type scoredToken struct {
	Token   int      `json:"token"`
	Text    string   `json:"text"`
	LogProb *float64 `json:"logprob"` // in nats
}

// scoredText is what the tokens make together.
type scoredText struct {
	Tokens      int     `json:"tokens"` // that have a probability
	LogProb     float64 `json:"logprob"`
	Nats        float64 `json:"nats_per_token"`
	BitsPerByte float64 `json:"bits_per_byte"`
}

// score prints the tokens of documents, which a generator reads, and before them
// those that begin a text, if it is at the start of one.
func (s *scoring) score(ctx context.Context, g *xlstm.Generator, docs *data.Corpus) error {
	ids, size, err := data.EncodeFurther(ctx, s.tok, docs.Pieces(s.tok))
	if err != nil {
		return err
	}
	if !s.asJSON {
		fmt.Fprintf(s.out, "%8s %10s  %s\n", "token", "nats", "text")
	}
	predicted := size.Bytes
	if g.Tokens() == 0 {
		whole := data.Begin(data.Beginning(s.tok), ids)
		if err := s.begin(g, whole[:len(whole)-len(ids)]); err != nil {
			return err
		}
		if len(whole) == len(ids) {
			predicted -= firstBytes(s.tok, docs.Documents[0].Text, ids)
		}
	}
	for at := 0; at < len(ids); at += scorePiece {
		if ctx.Err() != nil {
			return errors.New("interrupted while reading")
		}
		piece := ids[at:min(len(ids), at+scorePiece)]
		probs, err := g.LogProbs(piece...)
		for i, p := range probs {
			if err := s.token(piece[i], p); err != nil {
				return err
			}
		}
		if err != nil {
			return errors.Wrapf(err, "at %q", s.tok.Decode(piece[len(probs):len(probs)+1]))
		}
	}
	if s.tokens == 0 {
		return errors.New("the text is one token, and nothing comes before it that could predict it; give a longer one")
	}
	return s.total(predicted)
}

// begin prints the tokens that begin a text, which nothing predicts.
func (s *scoring) begin(g *xlstm.Generator, ids []int) error {
	for _, id := range ids {
		if err := s.token(id, math.NaN()); err != nil {
			return err
		}
	}
	return g.Read(ids...)
}

func (s *scoring) token(id int, logProb float64) (err error) {
	known := !math.IsNaN(logProb)
	if known {
		s.sum += logProb
		s.tokens++
	}
	text := s.tok.Decode([]int{id})
	switch {
	case s.asJSON && known:
		err = printJSON(s.out, scoredToken{id, text, &logProb})
	case s.asJSON:
		err = printJSON(s.out, scoredToken{id, text, nil})
	case known:
		_, err = fmt.Fprintf(s.out, "%8d %10.4f  %q\n", id, logProb, text)
	default:
		_, err = fmt.Fprintf(s.out, "%8d %10s  %q\n", id, "–", text)
	}
	return err
}

// total prints what the tokens make together, which stand for so many bytes.
func (s *scoring) total(bytes int) error {
	t := scoredText{s.tokens, s.sum, -s.sum / float64(s.tokens), data.BitsPerByte(-s.sum, bytes)}
	if s.asJSON {
		return printJSON(s.out, t)
	}
	_, err := fmt.Fprintf(s.out, "%s: %.4f nats, %.4f nats of loss per token, %.4f bits per byte\n", numbers.Count(t.Tokens, "token"), t.LogProb, t.Nats, t.BitsPerByte)
	return err
}

// firstBytes returns how many bytes of a text its first token stands for. One for
// unknown characters does not show what it stands for.
func firstBytes(tok data.Tokenizer, text string, ids []int) int {
	if _, ok := tok.(*data.Chars); ok {
		_, n := utf8.DecodeRuneInString(text)
		return n
	}
	return min(len(tok.Decode(ids[:1])), len(text))
}
