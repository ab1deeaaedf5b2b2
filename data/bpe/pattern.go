package bpe

// Pattern selects how a text is split into words.
type Pattern int

// The patterns that [Train] can use.
const (
	// GPT2 separates letters, numbers and punctuation, and keeps a space with
	// the word after it: "the 12 cats!" is "the", " 12", " cats", "!".
	GPT2 Pattern = iota

	// Llama3 splits numbers after every third digit, keeps one punctuation mark
	// with the letters after it, as in ".Println", and ends of lines with the
	// punctuation before them. GPT-4 (cl100k) uses the same pattern.
	Llama3

	// Qwen2 is like Llama3, but each digit is a separate word.
	Qwen2
)

// The patterns as the files have them.
const (
	gpt2Regex  = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
	llamaRegex = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	qwenRegex  = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

// String returns the name of the pattern.
func (p Pattern) String() string {
	switch p {
	case GPT2:
		return "GPT2"
	case Llama3:
		return "Llama3"
	case Qwen2:
		return "Qwen2"
	}
	return "unknown pattern"
}

// A step cuts every piece of a text into smaller ones, or changes it.
type step struct {
	kind  stepKind
	split *split // of kindSplit
}

type stepKind uint8

const (
	kindGPT2 stepKind = iota
	kindLlama3
	kindQwen2
	kindDigits
	kindEachDigit
	kindSpaceFirst
	kindSplit
)

// The steps that are written by hand.
var (
	stepGPT2       = step{kind: kindGPT2}
	stepLlama3     = step{kind: kindLlama3}
	stepQwen2      = step{kind: kindQwen2}
	stepDigits     = step{kind: kindDigits}     // runs of numbers, and what is between
	stepEachDigit  = step{kind: kindEachDigit}  // numbers one by one, and what is between
	stepSpaceFirst = step{kind: kindSpaceFirst} // puts a space before a piece that does not begin with one
)

// next returns the length of the first part of a piece that is not empty.
func (st step) next(piece string) int {
	switch st.kind {
	case kindGPT2:
		return gpt2Word(piece)
	case kindLlama3:
		return llamaWord(piece, 3)
	case kindQwen2:
		return llamaWord(piece, 1)
	case kindDigits:
		return digitRun(piece)
	case kindEachDigit:
		return eachDigit(piece)
	}
	return len(piece)
}

// eachWord calls f with the words of a piece, in their order. If a pattern
// fails, the rest of its piece is one part and the error is stored in failed,
// which is nil for steps that cannot fail.
func eachWord(piece string, steps []step, failed *error, f func(word string)) {
	if piece == "" {
		return
	}
	if len(steps) == 0 {
		f(piece)
		return
	}
	switch steps[0].kind {
	case kindSpaceFirst:
		if piece[0] != ' ' {
			piece = " " + piece
		}
		eachWord(piece, steps[1:], failed, f)
		return
	case kindSplit:
		err := steps[0].split.cut(piece, func(part string) { eachWord(part, steps[1:], failed, f) })
		if err != nil && *failed == nil {
			*failed = err
		}
		return
	}
	for len(piece) > 0 {
		n := steps[0].next(piece)
		if len(steps) == 1 {
			f(piece[:n])
		} else {
			eachWord(piece[:n], steps[1:], failed, f)
		}
		piece = piece[n:]
	}
}

// knowsSpaces reports whether the steps always end a word where a space follows
// a character other than a space, so that a text can be split there.
func knowsSpaces(steps []step) bool {
	for _, st := range steps {
		switch st.kind {
		case kindGPT2, kindLlama3, kindQwen2:
			return true
		case kindSplit:
			return false // what it cuts may depend on what stands on the other side
		}
	}
	return false
}
