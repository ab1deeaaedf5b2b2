package data_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/gorgonia-xlstm/xlstm/data"
)

// From text to batches, and to the loss that a model has to beat.
func Example() {
	text := strings.Repeat("the cat sat on the mat. ", 50)
	tok, err := data.NewChars(text, 10)
	if err != nil {
		log.Fatal(err)
	}
	const rows, length = 4, 16
	train, val, err := data.Split(tok.Encode(text), 0.1, length+1)
	if err != nil {
		log.Fatal(err)
	}
	windows, err := data.NewRandomWindows(train, rows, length, 1)
	if err != nil {
		log.Fatal(err)
	}
	batch := windows.Next()
	fmt.Printf("%d×%d of %d ids, %d to train on, %d to validate on\n", batch.B, batch.T, tok.Size(), len(train), len(val))

	loss, err := data.BigramLoss(train, val, tok.Size())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("bigrams: %.2f nats per character, perplexity %.2f\n", loss, data.Perplexity(loss))
	// Output:
	// 4×16 of 12 ids, 1080 to train on, 120 to validate on
	// bigrams: 0.61 nats per character, perplexity 1.84
}

func ExampleNewChars() {
	tok, err := data.NewChars("banana bread", 2)
	if err != nil {
		log.Fatal(err)
	}
	ids := tok.Encode("a band")
	fmt.Println(ids, tok.Size())
	fmt.Println(tok.Decode(ids))
	// Output:
	// [1 0 2 1 3 0] 4
	// a�ban�
}

func ExampleSaveTokenizer() {
	tok, err := data.NewChars("banana", 1)
	if err != nil {
		log.Fatal(err)
	}
	var file bytes.Buffer
	if err := data.SaveTokenizer(&file, tok); err != nil {
		log.Fatal(err)
	}
	fmt.Print(file.String())

	back, err := data.LoadTokenizer(&file)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(back.Decode([]int{2, 1, 3}))
	// Output:
	// {"kind":"chars","tokenizer":{"chars":"abn"}}
	// ban
}

func ExampleLoad() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for name, text := range map[string]string{"b.txt": "beta", "a.txt": "alpha", "c.bin": "\x00"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			log.Fatal(err)
		}
	}
	corpus, err := data.Load(1000, dir)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%q, %s is %s\n", corpus.Text(), filepath.Base(corpus.Skipped[0].Name), corpus.Skipped[0].Reason)
	// Output:
	// "alpha\x1ebeta", c.bin is binary
}

func ExampleGoSource() {
	corpus, err := data.GoSource(context.Background(), 100_000, 1)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(corpus.Text()) <= 100_000)
	// Output:
	// true
}

func ExampleStreams() {
	streams, err := data.NewStreams([]int{0, 1, 2, 3, 4, 10, 11, 12, 13, 14}, 2, 2)
	if err != nil {
		log.Fatal(err)
	}
	for range 3 {
		batch := streams.Next()
		fmt.Println(batch.Inputs, batch.Targets, batch.Fresh)
	}
	// Output:
	// [0 1 10 11] [1 2 11 12] true
	// [2 3 12 13] [3 4 13 14] false
	// [0 1 10 11] [1 2 11 12] true
}

func ExampleWindows() {
	windows, err := data.NewWindows([]int{1, 2, 3, 4, 5, 6, 7, 8}, 2, 3, 0)
	if err != nil {
		log.Fatal(err)
	}
	for batch := range windows.All() {
		fmt.Println(batch.Inputs, batch.Targets)
	}
	fmt.Println(windows.Targets(), "targets")
	// Output:
	// [1 2 3 4 5 6] [2 3 4 5 6 7]
	// [7 0 0 0 0 0] [8 -1 -1 -1 -1 -1]
	// 7 targets
}

// Losses of different tokenizers meet in the bits that a byte takes.
func ExampleBitsPerByte() {
	text := "naïve café"
	const nats = 25.0 // the loss summed over all targets
	fmt.Printf("%.3f bits per byte\n", data.BitsPerByte(nats, len(text)))
	fmt.Printf("%.3f bits per character\n", data.BitsPerChar(nats, utf8.RuneCountInString(text)))
	// Output:
	// 3.006 bits per byte
	// 3.607 bits per character
}
