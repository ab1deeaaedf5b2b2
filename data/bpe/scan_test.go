package bpe

import (
	"strings"
	"testing"

	"github.com/dlclark/regexp2"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// wordsOf returns the words of a text by one step.
func wordsOf(text string, steps ...step) []string {
	words := []string{}
	eachWord(text, steps, nil, func(word string) { words = append(words, word) })
	return words
}

// bar cuts a text at its bars: what is expected of a pattern, one word after the
// other.
func bar(text string) []string {
	if text == "" {
		return []string{}
	}
	return strings.Split(text, "|")
}

func TestGPT2Words(t *testing.T) {
	for _, want := range []string{
		"",
		"Hello| world",
		"Hello|  | world",         // the last space is the word's
		"a|   ",                   // but for the end of a text
		" ",                       //
		"  ",                      //
		" | a",                    //
		"a|\n",                    //
		"a|\n|b",                  // a lone line end before a word stays alone
		"a|\n\n|\n|b",             // only a space joins the word after it
		"a|\r|\n|b",               // CRLF is two spaces: all but the last, then the last
		"a|\r\n",                  //
		"x|\t|y",                  //
		"x|\t\t|\t|y",             //
		"x|\t| y",                 // tab, then a space that the word takes
		"x| |\t|y",                // the tab is the last: it does not join
		"x|\u00a0|y",              // a no-break space is white space, but no space
		"x| |\u00a0|y",            //
		"x|\u3000\u3000|\u3000|y", //
		"it|'s",                   //
		"'s|un",                   // in the middle of a word as well
		"we|'ll| they|'d| I|'m| don|'t| you|'re| I|'ve",
		"IT|'|S", // upper case is no contraction
		"x| '|s", // nor is one after a space
		"''|s",   // the second is in the run of marks
		"'|run",  // 'r is none
		"abc|123|def",
		" abc| 123| !?|x",
		"½|x|Ⅷ٣",          // numbers of any kind
		"e|\u0301|x",      // a combining mark is no letter
		"क|्|ष",           // nor is a virama
		" 😀👨\u200d👩|x| 😀", // emoji and joiners are other characters
		"世界| 世界",          //
		"\u200b|a",        // zero width space is no white space
		"\x1c\x1e|a",      // nor are separators of ASCII
		"a|\xff\xfe|b",    // bytes outside UTF-8 are other characters
		" \xff!|b",        //
		"\xe4\xb8|b",      // a character cut short
	} {
		testutil.Equal(t, want, wordsOf(strings.ReplaceAll(want, "|", ""), stepGPT2), bar(want))
	}
}

func TestLlama3Words(t *testing.T) {
	for _, want := range []string{
		"",
		"Hello| world",
		"Hello| | world",
		"fmt|.Println|(\"|hi|\")\n",
		"IT|'S|'ll|'LL|x",
		"x|'ſ|t", // long s is a lower case of S
		"'hello", // a mark before letters is theirs
		"\tx",
		"a|\n|x", // but not the end of a line
		"a|\n\n|\t|\tx",
		"a|\r\n|x",
		"a|  \n \n|  | x", // up to the last end of a line
		"123|456|7|a",
		"½Ⅷ٣|4",
		" |123",
		"!!\r\n\n| x",
		" ;\n|x",
		"a|  ",
		"x|\u00a0y",
		"e|\u0301x",
		"\xffx|\xff\xff\n|\xffx",
	} {
		testutil.Equal(t, want, wordsOf(strings.ReplaceAll(want, "|", ""), stepLlama3), bar(want))
	}
	testutil.Equal(t, "digits of Qwen 2", wordsOf("a123", stepQwen2), []string{"a", "1", "2", "3"})
}

func TestDigitWords(t *testing.T) {
	testutil.Equal(t, "runs", wordsOf("a 12½x", stepDigits), []string{"a ", "12½", "x"})
	testutil.Equal(t, "each", wordsOf("a 12½x", stepEachDigit), []string{"a ", "1", "2", "½", "x"})
	testutil.Equal(t, "runs, then words", wordsOf("a 12b", stepDigits, stepGPT2), []string{"a", " ", "12", "b"})
}

func TestSpaceFirst(t *testing.T) {
	testutil.Equal(t, "word", wordsOf("a b", stepSpaceFirst, stepGPT2), []string{" a", " b"})
	testutil.Equal(t, "space", wordsOf(" a", stepSpaceFirst, stepGPT2), []string{" a"})
	testutil.Equal(t, "nothing", wordsOf("", stepSpaceFirst, stepGPT2), []string{})
	testutil.Equal(t, "each piece", wordsOf("a1", stepDigits, stepSpaceFirst), []string{" a", " 1"})
}

// engines are backtracking engines for the patterns.
var engines = map[step]*regexp2.Regexp{
	stepGPT2:   regexp2.MustCompile(gpt2Regex, regexp2.None),
	stepLlama3: regexp2.MustCompile(llamaRegex, regexp2.None),
	stepQwen2:  regexp2.MustCompile(qwenRegex, regexp2.None),
}

// engineWords returns the matches of a pattern in a text of valid UTF-8.
func engineWords(t testing.TB, text string, st step) []string {
	t.Helper()
	words := []string{}
	m, err := engines[st].FindStringMatch(text)
	for ; err == nil && m != nil; m, err = engines[st].FindNextMatch(m) {
		words = append(words, m.String())
	}
	if err != nil {
		t.Fatal(err)
	}
	return words
}

func FuzzWordsAreThoseOfABacktrackingEngine(f *testing.F) {
	for _, text := range []string{oddText, "a  b\n\n c\t\td 'S's''t  ", "\r\n \r\n!\r\n\n  1234 12", "'\u017f'Re\u00a0\u00a0x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		// The engine reads bytes outside UTF-8 as U+FFFD, of the same class.
		text = strings.ToValidUTF8(text, "\uFFFD")
		// It does not know that the long s is an S.
		text = strings.ReplaceAll(text, "ſ", "s")
		for st := range engines {
			testutil.Equal(t, text, wordsOf(text, st), engineWords(t, text, st))
		}
	})
}

func TestClasses(t *testing.T) {
	for r := rune(0); r < 0x11000; r++ {
		if r >= 0xd800 && r < 0xe000 {
			continue // no characters
		}
		if got, _ := firstClass(string(r)); got != searchClass(r) {
			t.Fatalf("class of %U: got %d, want %d", r, got, searchClass(r))
		}
	}
}

func TestAlphabet(t *testing.T) {
	testutil.Equal(t, "spelling", spell(" a\n\x00\xad\xff"), "ĠaĊĀŃÿ")
	seen := map[rune]bool{}
	for b := range 256 {
		text := string([]byte{byte(b)})
		testutil.Equal(t, "there and back", unspell(spell(text)), text)
		seen[charOfByte[b]] = true
	}
	testutil.Equal(t, "different characters", len(seen), 256)
	testutil.Equal(t, "outside the alphabet", unspell("世a"), "世a")
}
