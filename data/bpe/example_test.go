package bpe_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"slices"

	"github.com/gorgonia-xlstm/xlstm/data/bpe"
)

// Learn a vocabulary, keep it, and use it.
func Example() {
	texts := []string{"the cat sat on the mat", "the dog sat on the log"}
	tok, err := bpe.Train(context.Background(), slices.Values(texts), bpe.TrainConfig{
		VocabSize:     264,
		SpecialTokens: []string{bpe.EndOfText},
	})
	if err != nil {
		log.Fatal(err)
	}
	var file bytes.Buffer
	if err := tok.Save(&file); err != nil {
		log.Fatal(err)
	}

	back, err := bpe.Load(&file)
	if err != nil {
		log.Fatal(err)
	}
	ids := back.Encode("the hat<|endoftext|>")
	for _, id := range ids {
		token, _ := back.Token(id)
		fmt.Printf("%d %q\n", id, token)
	}
	fmt.Println(back.Decode(ids), back.Size())
	// Output:
	// 259 "the"
	// 221 " "
	// 72 "h"
	// 257 "at"
	// 0 "<|endoftext|>"
	// the hat<|endoftext|> 264
}
