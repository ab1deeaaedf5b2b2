package bpe

import (
	"context"
	"slices"
	"testing"
)

func BenchmarkEncode(b *testing.B) {
	text := goSource(b, 4<<20)
	for _, p := range []Pattern{GPT2, Llama3} {
		tok := mustTrain(b, TrainConfig{VocabSize: 8192, Pattern: p}, text)
		b.Run(p.String(), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			var ids []int
			for b.Loop() {
				ids = tok.AppendEncode(ids[:0], text)
			}
		})
		b.Run(p.String()+"/parallel", func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				tok.EncodeParallel(text, 0)
			}
		})
	}
}

// Every word is new, so that the cache is of no use.
func BenchmarkEncodeOdd(b *testing.B) {
	tok := mustLoad(b, readFile(b, "trained.json"))
	text := oddRunes(1 << 20)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		tok.Encode(text)
	}
}

func BenchmarkEncodeLongWord(b *testing.B) {
	tok := mustLoad(b, readFile(b, "trained.json"))
	word := make([]byte, 1<<20)
	for i := range word {
		word[i] = 'a' + byte(i*i%26)
	}
	b.SetBytes(int64(len(word)))
	for b.Loop() {
		tok.Encode(string(word))
	}
}

func BenchmarkDecode(b *testing.B) {
	tok := mustLoad(b, readFile(b, "trained.json"))
	text := goSource(b, 1<<20)
	ids := tok.Encode(text)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		tok.Decode(ids)
	}
}

func BenchmarkTrain(b *testing.B) {
	text := goSource(b, 4<<20)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := Train(context.Background(), slices.Values([]string{text}), TrainConfig{VocabSize: 8192}); err != nil {
			b.Fatal(err)
		}
	}
}
