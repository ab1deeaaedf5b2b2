// Package bpe turns text into subword tokens by byte pair encoding on bytes,
// the way of GPT-2 and of most models after it.
//
// A [Tokenizer] is read from the file tokenizer.json of Hugging Face's
// tokenizers library with [Load], or learned from a corpus with [Train]; its
// Save writes the same format. Ids, cuts and merges are those of that library.
//
// # The way of a text
//
//  1. Added tokens, such as [EndOfText], are found in the text and cut out.
//  2. What lies between is normalised, if the file asks for it: to a normal form of
//     Unicode, to lower case, and so on.
//  3. A [Pattern], or any regex of the file, cuts it into words. A word keeps the
//     space before it.
//  4. A word begins as its bytes. The two neighbours that stand first in the
//     list of merges become one token, the leftmost first, until no two
//     neighbours are in the list.
//
// # Nothing is lost
//
// Every byte is a token of its own, so that any text can be encoded, and Decode
// gives it back byte for byte. A byte that is not part of valid UTF-8 counts as
// one character that is no letter, no number and no space, like a punctuation
// mark.
//
// Some vocabularies, such as that of GPT-NeoX, lack tokens for the bytes that valid
// UTF-8 never has: C0, C1 and F5 to FF. Such a byte becomes the file's unknown
// token (unk_token), or without one what U+FFFD, the replacement character, becomes.
// A file that lacks any other byte, and has no unknown token, is refused.
//
// Settings of a file give up the identity on purpose: normalizers, splits that
// remove what they find, the space that is put before a text (add_prefix_space),
// and added tokens that swallow the spaces around them (lstrip, rstrip).
//
// # Files of others
//
// [Load] reads every byte-level BPE tokenizer.json: with the normalizers NFC, NFD,
// NFKC, NFKD, Lowercase, Prepend, Replace, Strip and StripAccents; the
// pre-tokenizers Split, Digits, Punctuation, Whitespace, WhitespaceSplit and
// CharDelimiterSplit before ByteLevel; the post-processors TemplateProcessing,
// RobertaProcessing and BertProcessing; and sequences of all these. Ids always
// become the bytes that they stand for, also where the decoder is null. What the
// file says of truncation and padding is kept, but all of a text is encoded, as
// transformers do.
//
// The patterns of GPT-2, Llama 3 and Qwen 2 are matched by hand, in linear time.
// Any other regex, in the syntax of the library (Oniguruma's for Ruby), is matched
// by an engine with backtracking. It is slower, and there are patterns on which
// such an engine works without end; then TryEncode returns an error. One rule of
// the syntax is not followed: without regard to case, ss does not match ß.
//
// Decode gives an added token as it stands in the file. The library reads it
// letter by letter as bytes where it can, and so makes the bytes 3C E9 3E of an
// added "<é>", which are no text. An added token that takes the very place of
// such bytes in the vocabulary is refused.
//
// # Unicode
//
// Letters (\p{L}), numbers (\p{N}) and white space (\s, the property
// White_Space) are those of the Unicode version of package unicode. Characters
// that were assigned later count as punctuation.
//
// # Concurrency
//
// A Tokenizer does not change: its methods may be called from any number of
// goroutines. Words that were encoded lately are remembered in a cache of fixed
// size, one for each goroutine that encodes at the same time.
package bpe
