//go:build unix

package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestPipeInPlaceOfAnyFileOfARun: opening one waits for ever, and so does reading
// a device without an end. It is what damage to the file is: an error, a fallback
// with a sentence, or no matter.
func TestPipeInPlaceOfAnyFileOfARun(t *testing.T) {
	stopped, _ := stoppedRun(t)
	want := expectations(t, stopped)
	err := fs.WalkDir(os.DirFS(stopped), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		for what, put := range map[string]func(path string) error{
			"a pipe for " + name:    func(path string) error { return syscall.Mkfifo(path, 0o600) },
			"/dev/zero for " + name: func(path string) error { return os.Symlink("/dev/zero", path) },
		} {
			dir := filepath.Join(t.TempDir(), filepath.Base(stopped))
			copyFolder(t, dir, stopped)
			path := filepath.Join(dir, filepath.FromSlash(name))
			if err := os.Remove(path); err != nil {
				return err
			}
			if err := put(path); err != nil {
				t.Skip(err)
			}
			want.read(t, dir, what)
			want.resume(t, dir, what)
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestPipesThatFlagsNameAreNotRead: a text, a vocabulary, settings, a model, a
// state and prompts.
func TestPipesThatFlagsNameAreNotRead(t *testing.T) {
	dir, text := filepath.Join(t.TempDir(), "run"), sampleText(t)
	mustRun(t, small(text, dir, "-steps", "4")...)
	pipe := filepath.Join(filepath.Dir(write(t, "config.json", `{"vocab_size": 3, "mlstm_block": {}}`)), "pipe.json")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skip(err)
	}
	for _, args := range [][]string{
		{"train", "-data", pipe}, {"train", "-data", pipe, "-cache", t.TempDir()}, {"train", "-data", text, "-tokens", pipe},
		{"train", "-config", pipe}, {"inspect", "-model", pipe}, {"evaluate", dir, "-data", pipe},
		{"score", dir, "-data", pipe}, {"score", dir, "-text", "a", "-state", pipe}, {"sample", dir, "-read", pipe},
		{"sample", dir, "-state", pipe}, {"sample", dir, "-prompts", pipe}, {"sample", pipe}, {"memory", dir, "-data", pipe},
	} {
		if args[0] == "train" {
			args = append(args, "-out", filepath.Join(t.TempDir(), "new"), "-steps", "1")
		}
		wantComplaint(t, args, pipe, "a pipe, a device")
	}
}
