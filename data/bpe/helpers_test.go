package bpe

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func mustTrain(t testing.TB, config TrainConfig, texts ...string) *Tokenizer {
	t.Helper()
	tok, err := Train(context.Background(), slices.Values(texts), config)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// readFile returns a file of testdata.
func readFile(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// file is a tokenizer.json with parts that a test replaces.
type file map[string]any

// changed returns a file, as text, with some of its parts replaced. A key such as
// "model.dropout" is that of a part.
func (f file) changed(t testing.TB, changes file) string {
	t.Helper()
	whole := maps.Clone(f)
	for key, value := range changes {
		if name, field, ok := strings.Cut(key, "."); ok {
			part := maps.Clone(whole[name].(map[string]any))
			part[field] = value
			whole[name] = part
		} else {
			whole[key] = value
		}
	}
	text, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// parseFile reads a tokenizer.json to change it.
func parseFile(t testing.TB, text string) file {
	t.Helper()
	f := file{}
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func mustLoad(t testing.TB, text string) *Tokenizer {
	t.Helper()
	tok, err := Load(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// saved returns what Save writes.
func saved(t testing.TB, tok *Tokenizer) string {
	t.Helper()
	var text bytes.Buffer
	if err := tok.Save(&text); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// oddText has what patterns and Unicode stumble over, valid UTF-8 and not.
const oddText = "it's we'LL 'ſ \t\ttabs \u00a0nbsp\u00a0 \r\n\r\n  lines\n \n x\v\f\u0085\u2028y\u3000" +
	"e\u0301 Å \u200b\u200d 1234½Ⅷ٣ 世界 😀👨‍👩‍👧 ǅʰﬁ क्ष \U0001d7d8\U00020000 !?!\n\n… _a_ $x <|endoftext|>" +
	"\xff\x00\xc3 \xe4\xb8 a\xed\xa0\x80 \x1c\x1e   end   "
