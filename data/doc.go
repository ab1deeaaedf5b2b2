// Package data turns text into batches of token ids for training and evaluating
// language models. It does not depend on any model: its results are plain
// slices of token ids.
//
// There are five steps from text to batches.
//
//  1. Read a corpus: [Load] reads files, folders and patterns; [GoSource] reads
//     the source of the Go standard library, which every Go installation
//     includes.
//  2. Choose a [Tokenizer]: [Chars] has one id for each character of a corpus,
//     [Bytes] one for each of the 256 bytes, and package bpe one for each
//     frequent part of a word. [SaveTokenizer] and [LoadTokenizer] save and
//     load it with the model.
//  3. Encode the text and [Split] the tokens; the last part is for validation.
//     [CacheTokens] does this for a text that is larger than memory.
//  4. Train on batches from a [Batcher]: [RandomWindows] draws windows
//     anywhere in the text, and [Streams] reads the text in order, for models
//     that carry their state from one batch to the next.
//  5. Validate on [Windows], which count every target exactly once, and compare
//     the loss with [UnigramLoss] and [BigramLoss]. A model whose loss is not
//     below BigramLoss has learned no more than the frequencies of pairs.
//
// [TaskBatches] needs no text: its batches are sequences of a synthetic [Task],
// a formal [Language], associative [Recall] or the recall of a [Needle].
//
// # Batches
//
// A [Batch] holds B rows of T tokens, row after row. The target of an input is
// the token that follows it in the text, so T targets need T+1 tokens. A target
// of [Ignore] is padding: it counts neither in the loss nor in the number of
// targets by which the loss is divided.
//
// # Units
//
// Losses are in nats per token unless stated otherwise. Losses per token of
// different tokenizers cannot be compared; [BitsPerByte] and [BitsPerChar] can.
//
// # Determinism
//
// Results do not depend on the number of processors, on map order or on the
// clock. The same input and seed give the same documents, ids and batches on
// every machine. The position of a [Batcher] can be saved and restored, and the
// batches that follow are the same as without the interruption. The text of
// [GoSource] is that of the Go release it finds; [Corpus.Source] names it.
//
// # Errors
//
// Functions return errors for bad input and do not panic. An error states in
// one sentence what was wrong, where, and what to do.
package data
