package data

import (
	"fmt"
	"testing"
)

// TestStartsAreBehindTheTokenBetween: in every batch of every Batcher, and
// first in a row where the stream continues, also after its position was
// restored.
func TestStartsAreBehindTheTokenBetween(t *testing.T) {
	tokens := []int{7, 1, 2, 0, 3, 4, 5, 0, 0, 6, 1, 2, 3, 0, 4, 5, 0, 1, 2, 3, 4, 0, 5, 6, 1}
	streams, err := NewStreams(tokens, 2, 4) // of 12 tokens, two batches
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"[false false false false false false true false]", // 7 1 2 0 and 3 0 4 5
		"[true false false false false true false false]",  // 3 4 5 0 and 0 1 2 3
	}
	for i := range 5 {
		position := streams.State()
		b := streams.Next().MarkStarts(0)
		if got := fmt.Sprint(b.Starts); b.Fresh != (i%2 == 0) || got != want[i%2] {
			t.Errorf("batch %d, inputs %v: starts %s, want %s", i, b.Inputs, got, want[i%2])
		}
		if err := streams.SetState(position); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(streams.Next().MarkStarts(0).Starts); got != want[i%2] {
			t.Errorf("batch %d again: starts %s, want %s", i, got, want[i%2])
		}
	}
	windows, err := NewRandomWindows(tokens, 2, 6, 1)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		b := windows.Next().MarkStarts(0)
		for i, start := range b.Starts {
			if start != (i%b.T > 0 && b.Inputs[i-1] == 0) {
				t.Fatalf("inputs %v have starts %v", b.Inputs, b.Starts)
			}
		}
	}
}
