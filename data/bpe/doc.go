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
//  2. What lies between is brought to the normal form NFC if the file asks for it.
//  3. A [Pattern] cuts it into words. A word keeps the space before it.
//  4. A word begins as its bytes. The two neighbours that stand first in the
//     list of merges become one token, the leftmost first, until no two
//     neighbours are in the list.
//
// # Nothing is lost
//
// Every byte is a token of its own, so that any text can be encoded, and Decode
// gives it back byte for byte. A byte that is not part of valid UTF-8 counts as
// one character that is no letter, no number and no space, like a punctuation
// mark. A file that lacks one of the 256 bytes is refused.
//
// Three settings of a file give up the identity on purpose: the normal form
// NFC, the space that is put before a text (add_prefix_space), and added tokens
// that swallow the spaces around them (lstrip, rstrip).
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
