package neon

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// encodings is what GNU's assembler for ARMv8.0 made of an instruction of every
// form: a word and the instruction on each line.
//
//	go test -run Encodings -update
//
// writes it anew where aarch64-linux-gnu-as is installed.
const encodings = "testdata/encodings.txt"

// TestEncodings: every form is encoded as GNU's assembler does it, with different
// numbers in the places of all registers.
func TestEncodings(t *testing.T) {
	if *update {
		updateEncodings(t)
	}
	data, err := os.ReadFile(encodings)
	if err != nil {
		t.Fatal(err)
	}
	missing := map[string]bool{}
	for text := range forms {
		missing[text] = true
	}
	for line := range strings.Lines(string(data)) {
		want, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		word, err := Encode(text)
		if err != nil {
			t.Error(err)
		}
		if got := fmt.Sprintf("%08x", word); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
		delete(missing, register.ReplaceAllString(text, "${1}%"))
	}
	for text := range missing {
		t.Errorf("%s is not in %s", text, encodings)
	}
}

// examples are instructions of all forms, each with two sets of registers.
func examples() []string {
	var all []string
	for text, f := range forms {
		for _, registers := range [][]any{{30, 21, 11}, {1, 10, 20}} {
			all = append(all, fmt.Sprintf(strings.ReplaceAll(text, "%", "%d"), registers[:len(f.bits)]...))
		}
	}
	slices.Sort(all)
	return all
}

func updateEncodings(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	source, object, raw := filepath.Join(dir, "a.s"), filepath.Join(dir, "a.o"), filepath.Join(dir, "a.bin")
	if err := os.WriteFile(source, []byte(strings.Join(examples(), "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{
		{"aarch64-linux-gnu-as", "-march=armv8-a", "-o", object, source},
		{"aarch64-linux-gnu-objcopy", "-O", "binary", "-j", ".text", object, raw},
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command[0], err, out)
		}
	}
	code, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	for i, text := range examples() {
		word := code[4*i:]
		fmt.Fprintf(&lines, "%02x%02x%02x%02x %s\n", word[3], word[2], word[1], word[0], text)
	}
	if err := os.WriteFile(encodings, []byte(lines.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestEncodeRefuses what is not known, and registers that do not exist.
func TestEncodeRefuses(t *testing.T) {
	for _, text := range []string{"fmla v0.8h, v1.8h, v2.8h", "fadd v0.4s, v1.4s, v32.4s", "", "bfdot v0.4s, v1.8h, v2.8h"} {
		if word, err := Encode(text); err == nil {
			t.Errorf("%q is encoded as %08x", text, word)
		}
	}
}
