package run

import (
	"encoding/json"
	"testing"
)

// TestControlCharactersBecomeVisible: those of 7 and of 8 bits, and broken UTF-8,
// whose bytes terminals take for those of 8 bits.
func TestControlCharactersBecomeVisible(t *testing.T) {
	for text, want := range map[string]string{
		"plain é\n\tnext": "plain é\n\tnext",
		"\x1b[2J\r\a\x00": "␛[2J␍␇␀",
		"\x7f":            "␡",
		"a\u009b2Jb":      "a\ufffd2Jb",
		"a\x9b2J":         "a\ufffd2J",
		"half of \xc3":    "half of \ufffd",
	} {
		if got := Visible(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
	const text = "é\u009b\x7f\x1b"
	raw, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	var back string
	escaped := EscapeControls(string(raw))
	if err := json.Unmarshal([]byte(escaped), &back); err != nil || back != text || escaped != `"é\u009b\u007f\u001b"` {
		t.Errorf("JSON of %q becomes %s, which is %q, %v", text, escaped, back, err)
	}
}
