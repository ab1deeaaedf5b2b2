package report

import (
	_ "embed"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"html/template"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/gorgonia-xlstm/xlstm/trace"
	"github.com/pkg/errors"
)

//go:embed memory.html
var memoryHTML string

var memoryTemplate = template.Must(template.New("memory").Parse(memoryHTML))

// memoryPage is what the page is made of. Its arrays are in base64,
// little-endian: a page of numbers as text would be several times as large.
type memoryPage struct {
	About     string         `json:"about"`
	Deviation string         `json:"deviation"`
	Tokens    []string       `json:"tokens"`   // as they are shown, "" for one that ends within a character
	Partial   map[int]string `json:"partial"`  // the bytes of those
	Surprise  string         `json:"surprise"` // float32
	From      int            `json:"from"`
	To        int            `json:"to"`
	Blocks    []pageBlock    `json:"blocks"`
	// Series are the quantities of every kind of block.
	Series map[string][]pageSeries `json:"series"`
}

// pageSeries is a quantity over time of every head of a kind of block.
type pageSeries struct {
	Key    string `json:"key"`
	Symbol string `json:"symbol"`
	About  string `json:"about"`
}

type pageBlock struct {
	Kind  string     `json:"kind"`
	Heads []pageHead `json:"heads"`
}

type pageHead struct {
	Series map[string]pageSpread `json:"series"`
	Matrix *pageMatrix           `json:"matrix,omitempty"`
}

// pageSpread is a series of float32; Min and Max are empty where there is one
// value.
type pageSpread struct {
	Mean string `json:"mean"`
	Min  string `json:"min,omitempty"`
	Max  string `json:"max,omitempty"`
}

// pageMatrix is a lower triangle, row by row, as int16 in the row's own unit.
type pageMatrix struct {
	Weights string `json:"weights"`
	Units   string `json:"units"`   // float32, for each row
	Earlier string `json:"earlier"` // float32, for each row
}

// The kinds of blocks as the page names them.
const (
	mlstmKind      = "mLSTM"
	slstmKind      = "sLSTM"
	lstmKind       = "LSTM"
	simplifiedKind = "simplified"
)

var mlstmSeries = []pageSeries{
	{"log_forget", "log σ(f̃)", "forget gate: how much of the memory a step keeps; 0 is all of it, −0.7 half (nats)"},
	{"input", "i′", "input gate, stabilised: how much a token writes, between 0 and 1"},
	{"forget", "f′", "forget gate, stabilised: what remains of the stored numbers, between 0 and 1"},
	{"input_pre", "ĩ", "input gate, pre-activation"},
	{"forget_pre", "f̃", "forget gate, pre-activation"},
	{"m", "m", "stabiliser: the memory is exp(m) times what is stored"},
	{"c_norm", "‖C‖", "norm of the stored memory"},
	{"n_norm", "‖n‖", "norm of the stored normaliser"},
	{"qn", "q·n", "match of the query with all that is stored, signed"},
	{"normalizer", "max(|q·n|, e⁻ᵐ)", "what the retrieved is divided by"},
	{"h_norm", "‖h‖", "norm of the output"},
}

var slstmSeries = []pageSeries{
	{"log_forget", "log σ(f̃)", "forget gate: how much of the memory a step keeps; 0 is all of it, −0.7 half (nats)"},
	{"input", "i′", "input gate, stabilised: how much a token writes, between 0 and 1"},
	{"forget", "f′", "forget gate, stabilised: what remains of the stored numbers, between 0 and 1"},
	{"output", "o", "output gate, between 0 and 1"},
	{"content", "c/n", "what the cells remember, between −1 and 1"},
	{"n", "n", "normaliser"},
	{"m", "m", "stabiliser: the memory is exp(m) times what is stored"},
	{"h", "h", "output"},
}

var lstmSeries = []pageSeries{
	{"log_forget", "log f", "forget gate: how much of the memory a step keeps; 0 is all of it, −0.7 half (nats)"},
	{"input", "i", "input gate: how much a token writes; above 1 in the simplified cell alone"},
	{"forget", "f", "forget gate, between 0 and 1"},
	{"output", "o", "output gate, between 0 and 1"},
	{"c", "c", "the memory"},
	{"h", "h", "output"},
}

// WriteMemory writes a trace as a self-contained page. The same trace gives the
// same page.
func WriteMemory(w io.Writer, model *xlstm.Model, tok data.Tokenizer, memory *trace.Trace) error {
	cfg := model.Config()
	p := memoryPage{
		About: fmt.Sprintf("%s of width %d, %s parameters, %s", numbers.Count(cfg.NumBlocks, "block"), cfg.EmbeddingDim, numbers.Commas(model.NumParams()), numbers.Count(len(memory.Tokens), "token")),
		From:  memory.From, To: memory.To, Surprise: base64Floats(memory.Surprise),
		Series: map[string][]pageSeries{mlstmKind: mlstmSeries, slstmKind: slstmSeries, lstmKind: lstmSeries, simplifiedKind: lstmSeries},
	}
	pieces := make([]string, len(memory.Tokens))
	for i, t := range memory.Tokens {
		pieces[i] = tok.Decode([]int{t})
	}
	p.Tokens, p.Partial = shownTokens(pieces)
	var worst float64
	for _, block := range memory.Blocks {
		worst = math.Max(worst, block.Deviation)
		p.Blocks = append(p.Blocks, newPageBlock(block))
	}
	p.Deviation = strconv.FormatFloat(worst, 'g', 2, 64)
	return errors.Wrap(memoryTemplate.Execute(w, p), "writing the page")
}

// shownTokens returns what a page shows of tokens. A character that several tokens
// make together stands at the one that completes it; the others show nothing, and
// partial has their bytes as \xe5. Bytes that are no UTF-8 are shown in this way
// where they are.
func shownTokens(pieces []string) (shown []string, partial map[int]string) {
	shown, partial = make([]string, len(pieces)), make(map[int]string)
	text := strings.Join(pieces, "")
	token, end := -1, 0 // the token that holds the byte before end, and where it ends
	for at := 0; at < len(text); {
		r, n := utf8.DecodeRuneInString(text[at:])
		for ; end < at+n; end += len(pieces[token]) {
			token++
		}
		if r == utf8.RuneError && n == 1 {
			shown[token] += fmt.Sprintf(`\x%02x`, text[at])
		} else {
			shown[token] += text[at : at+n]
		}
		at += n
	}
	for i, s := range shown {
		if s != "" {
			continue
		}
		partial[i] = ""
		for _, b := range []byte(pieces[i]) {
			partial[i] += fmt.Sprintf(`\x%02x`, b)
		}
	}
	return shown, partial
}

func newPageBlock(block trace.Block) (b pageBlock) {
	add := func(kind string, h pageHead) { b.Kind, b.Heads = kind, append(b.Heads, h) }
	for _, h := range block.MLSTM {
		add(mlstmKind, pageHead{Series: mlstmPageSeries(h), Matrix: newPageMatrix(h)})
	}
	for _, h := range block.SLSTM {
		add(slstmKind, pageHead{Series: slstmPageSeries(h)})
	}
	for _, h := range block.LSTM {
		add(lstmKind, pageHead{Series: lstmPageSeries(h)})
	}
	for _, h := range block.Simplified {
		add(simplifiedKind, pageHead{Series: lstmPageSeries(h)})
	}
	return b
}

func mlstmPageSeries(h trace.MLSTM) map[string]pageSpread {
	series := make(map[string]pageSpread)
	for key, x := range map[string][]float64{
		"log_forget": h.LogForget, "input": h.Input, "forget": h.Forget, "input_pre": h.InputPre, "forget_pre": h.ForgetPre, "m": h.M,
		"c_norm": h.CNorm, "n_norm": h.NNorm, "qn": h.QN, "normalizer": h.Normalizer, "h_norm": h.HNorm,
	} {
		series[key] = pageSpread{Mean: base64Floats(x)}
	}
	return series
}

func slstmPageSeries(h trace.SLSTM) map[string]pageSpread {
	return pageSpreads(map[string]trace.Spread{
		"log_forget": h.LogForget, "input": h.Input, "forget": h.Forget, "output": h.Output,
		"content": h.Content, "n": h.N, "m": h.M, "h": h.H,
	})
}

func lstmPageSeries(h trace.LSTM) map[string]pageSpread {
	return pageSpreads(map[string]trace.Spread{
		"log_forget": h.LogForget, "input": h.Input, "forget": h.Forget, "output": h.Output, "c": h.C, "h": h.H,
	})
}

func pageSpreads(all map[string]trace.Spread) map[string]pageSpread {
	series := make(map[string]pageSpread)
	for key, x := range all {
		series[key] = pageSpread{base64Floats(x.Mean), base64Floats(x.Min), base64Floats(x.Max)}
	}
	return series
}

// newPageMatrix returns nil for a head without a matrix.
func newPageMatrix(h trace.MLSTM) *pageMatrix {
	if len(h.Retrieval) == 0 {
		return nil
	}
	var data []byte
	var units []float64
	for _, row := range h.Retrieval {
		var top float64
		for _, w := range row {
			top = math.Max(top, math.Abs(w))
		}
		unit := top / math.MaxInt16
		units = append(units, unit)
		for _, w := range row {
			n := 0.0
			if unit > 0 {
				n = math.Round(w / unit)
			}
			data = binary.LittleEndian.AppendUint16(data, uint16(int16(n)))
		}
	}
	return &pageMatrix{base64.StdEncoding.EncodeToString(data), base64Floats(units), base64Floats(h.Earlier)}
}

// base64Floats returns numbers as float32.
func base64Floats(x []float64) string {
	data := make([]byte, 0, 4*len(x))
	for _, v := range x {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(v)))
	}
	return base64.StdEncoding.EncodeToString(data)
}
