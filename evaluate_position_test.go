package xlstm

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/data"
)

// TestLossByPosition is, whatever the pieces and batches, what a program says of
// the whole sequences, and covers every position of every sequence once.
func TestLossByPosition(t *testing.T) {
	cfg := DefaultConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.SLSTMAt = 11, 16, 2, Blocks(1)
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	const sequences, length = 3, 50
	ids := make([]int, sequences*length+5)
	for i := range ids {
		ids[i] = i * i % 11
	}
	apart := (len(ids) - 1) / sequences
	p, err := m.Compile(ProgramConfig{Batch: 1, Steps: length, Loss: true})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	want := [][3]float64{{0, 16}, {16, 32}, {32, 50}} // from, to, nats
	for s := range sequences {
		text := ids[s*apart:][:length+1]
		for i, w := range want {
			targets := make([]int, length)
			for k := range targets {
				targets[k] = data.Ignore
			}
			copy(targets[int(w[0]):int(w[1])], text[1+int(w[0]):])
			if err := p.Run(Input{Tokens: text[:length], Targets: targets}); err != nil {
				t.Fatal(err)
			}
			loss, err := p.Loss()
			if err != nil {
				t.Fatal(err)
			}
			want[i][2] += loss / sequences
		}
	}
	for _, shape := range [][2]int{{1, 50}, {3, 50}, {2, 7}, {8, 16}, {2, 1}} {
		got, err := m.LossByPosition(context.Background(), data.IDs(ids), PositionConfig{Sequences: sequences, Length: length, Batch: shape[0], Piece: shape[1]})
		if err != nil {
			t.Fatal(err)
		}
		for i, w := range want {
			if len(got) != len(want) || got[i].From != int(w[0]) || got[i].To != int(w[1]) || got[i].Targets != sequences*int(w[1]-w[0]) || math.Abs(got[i].Nats-w[2]) > 1e-5 {
				t.Fatalf("%v at once: %v, want %v", shape, got, want)
			}
		}
	}
	for _, bad := range []PositionConfig{{}, {Sequences: 1, Length: 200, Batch: 1, Piece: 8}, {Sequences: 4, Length: 50, Batch: 1, Piece: 8}} {
		if _, err := m.LossByPosition(context.Background(), data.IDs(ids), bad); err == nil {
			t.Errorf("%v is accepted", bad)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := m.LossByPosition(ctx, data.IDs(ids), PositionConfig{Sequences: 1, Length: 50, Batch: 1, Piece: 8}); err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("interrupted: %v", err)
	}
}

// TestLossByPositionResets at the starts of documents, also at those that begin a
// piece: what is before does not matter then.
func TestLossByPositionResets(t *testing.T) {
	cfg := DefaultConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.SLSTMAt = 11, 16, 2, Blocks(1)
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	const between, length = 10, 64
	loss := func(first int, mark func(data.Batch) data.Batch) float64 {
		ids := make([]int, length+1)
		for i := range ids {
			ids[i] = i * i % 10
		}
		ids[0], ids[15], ids[31] = first, between, between // documents begin at 16 and 32
		by, err := m.LossByPosition(context.Background(), data.IDs(ids), PositionConfig{Sequences: 1, Length: length, Batch: 1, Piece: 32, Mark: mark})
		if err != nil {
			t.Fatal(err)
		}
		return by[2].Nats // from 32 on, where a piece begins
	}
	mark := func(b data.Batch) data.Batch { return b.MarkStarts(between) }
	if loss(1, mark) != loss(5, mark) {
		t.Error("a token before the document matters")
	}
	if loss(1, nil) == loss(5, nil) {
		t.Error("without marks, a token before does not matter")
	}
}
