// Package bpe turns text into subword tokens by byte-level byte pair encoding,
// as GPT-2 and most later models do.
//
// A [Tokenizer] is read from the file tokenizer.json of Hugging Face's
// tokenizers library with [Load], or learned from a corpus with [Train]; its
// Save writes the same format. Ids, word boundaries and merges are the same as
// those of that library.
//
// # How a text is encoded
//
//  1. Added tokens, such as [EndOfText], are found in the text and separated
//     from it.
//  2. The text between them is normalised if the file requires it: to a Unicode
//     normal form, to lower case, and so on.
//  3. A [Pattern], or any regular expression in the file, splits this text into
//     words. A word includes the space before it.
//  4. A word starts as a sequence of bytes. The pair of neighbours that comes
//     first in the list of merges becomes one token, from left to right, until
//     no pair of neighbours is in the list.
//
// # Lossless encoding
//
// There is a token for every byte, so that any text can be encoded, and Decode
// returns the same bytes. A byte that is not part of valid UTF-8 counts as one
// character that is not a letter, number or space, like a punctuation mark.
//
// Some vocabularies, such as that of GPT-NeoX, have no tokens for the bytes
// that never occur in valid UTF-8: C0, C1 and F5 to FF. Such a byte becomes the
// file's unknown token (unk_token) or, if there is none, the tokens of U+FFFD,
// the replacement character. A file that lacks any other byte and has no
// unknown token is an error.
//
// Some settings of a file change the text on purpose: normalizers, splits that
// remove their matches, the space added before a text (add_prefix_space), and
// added tokens that absorb the spaces around them (lstrip, rstrip).
//
// # Supported files
//
// [Load] reads every byte-level BPE tokenizer.json: with the normalizers NFC,
// NFD, NFKC, NFKD, Lowercase, Prepend, Replace, Strip and StripAccents; the
// pre-tokenizers Split, Digits, Punctuation, Whitespace, WhitespaceSplit and
// CharDelimiterSplit before ByteLevel; the post-processors TemplateProcessing,
// RobertaProcessing and BertProcessing; and sequences of all these. Ids always
// decode to their bytes, even if the decoder is null. Truncation and padding
// settings are preserved, but a text is always encoded completely, as
// transformers does.
//
// The patterns of GPT-2, Llama 3 and Qwen 2 have hand-written matchers that
// take linear time. Any other regular expression, in the syntax of the library
// (Oniguruma's for Ruby), is matched by a backtracking engine. It is slower,
// and may backtrack without end on some patterns; then TryEncode returns an
// error. One rule of the syntax is not implemented: in case-insensitive
// matching, ss does not match ß.
//
// Decode returns the text of an added token as written in the file. The library
// interprets each letter as a byte where it can, so that an added "<é>" becomes
// the bytes 3C E9 3E, which are not valid UTF-8. An added token with the same
// spelling as such bytes in the vocabulary is an error.
//
// # Unicode
//
// Letters (\p{L}), numbers (\p{N}) and white space (\s, the property
// White_Space) are those of the Unicode version of package unicode. Characters
// assigned in later versions count as punctuation.
//
// # Concurrency
//
// A Tokenizer is immutable, and its methods may be called concurrently.
// Recently encoded words are kept in caches of fixed size, one for each
// goroutine that is encoding.
package bpe
