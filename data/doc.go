// Package data turns text into batches of integers for training and judging
// language models. It knows nothing of any model: what comes out are plain
// slices of token ids.
//
// The way from text to batches has five steps.
//
//  1. Read a corpus: [Load] reads files, folders and patterns; [GoSource]
//     reads the Go standard library's own source, which every machine with a
//     Go installation has.
//  2. Choose a [Tokenizer]: [Chars] has one id for each character of a corpus,
//     [Bytes] one for each of the 256 bytes, and package bpe one for each of
//     the frequent parts of words. [SaveTokenizer] and [LoadTokenizer] keep it
//     with the model.
//  3. Encode the text and [Split] the tokens; the last part is for validation.
//     [CacheTokens] does so for a text that is larger than memory.
//  4. Train on batches from a [Batcher]: [RandomWindows] draws windows
//     anywhere in the text, and [Streams] reads the text in order, for models
//     that carry their state from one batch to the next.
//  5. Validate on [Windows], which count every target exactly once, and compare
//     the loss with [UnigramLoss] and [BigramLoss]. A model that does not beat
//     the bigrams has learned nothing but the frequencies of pairs.
//
// # Batches
//
// A [Batch] holds B rows of T tokens, row after row. The target of an input is
// the token that follows it in the text, so T targets need T+1 tokens. A target
// of [Ignore] is padding: it must not count in the loss or in the number of
// targets the loss is divided by.
//
// # Units
//
// A loss is in nats per token unless it is said otherwise. Losses per token of
// different tokenizers cannot be compared; [BitsPerByte] and [BitsPerChar] can.
//
// # Determinism
//
// Nothing here depends on the number of processors, on map order or on the
// clock. The same input and seed give the same documents, ids and batches on
// every machine. The position of a [Batcher] can be saved and restored, and the
// batches that follow are the same as without the interruption. The text of
// [GoSource] is that of the Go release it finds; [Corpus.Source] names it.
//
// # Errors
//
// Functions return errors for bad input and do not panic. An error says in one
// sentence what was wrong, where, and what to do.
package data
