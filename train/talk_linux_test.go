package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"golang.org/x/sys/unix"
)

// terminal is a terminal with a program in it, as its user has it.
type terminal struct {
	t    *testing.T
	user *os.File
	mu   sync.Mutex
	seen strings.Builder
	at   int // behind what was waited for
}

// openTerminal returns a terminal, and the side of it that a program has.
func openTerminal(t *testing.T) (*terminal, *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("there are no terminals here: ", err)
	}
	t.Cleanup(func() { user.Close() })
	if err := unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(user.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		t.Fatal(err)
	}
	term := &terminal{t: t, user: user}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := user.Read(buf)
			term.mu.Lock()
			term.seen.Write(buf[:n])
			term.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return term, program
}

// types writes keys and waits until a text is seen, after what was waited for
// before.
func (u *terminal) types(keys, until string) {
	u.t.Helper()
	if _, err := io.WriteString(u.user, keys); err != nil {
		u.t.Fatal(err)
	}
	defer func() {
		if u.t.Failed() {
			u.mu.Lock()
			defer u.mu.Unlock()
			u.t.Logf("seen: %q", u.seen.String()[u.at:])
		}
	}()
	testutil.Await(u.t, fmt.Sprintf("after %q there is %q", keys, until), func() bool {
		u.mu.Lock()
		defer u.mu.Unlock()
		i := strings.Index(u.seen.String()[u.at:], until)
		if i >= 0 {
			u.at += i + len(until)
		}
		return i >= 0
	})
}

// TestTalkAtATerminal: lines can be edited and fetched again, Ctrl-C clears a line
// and stops an answer but not the program, which the user or a signal ends with
// the terminal as it was.
func TestTalkAtATerminal(t *testing.T) {
	for name, end := range map[string]func(u *terminal, p *os.Process){
		"Ctrl-D":  func(u *terminal, _ *os.Process) { u.types("\x04", "\n") },
		"/quit":   func(u *terminal, _ *os.Process) { u.types("/quit\r", "\n") },
		"SIGTERM": func(_ *terminal, p *os.Process) { p.Signal(syscall.SIGTERM) },
	} {
		t.Run(name, func(t *testing.T) {
			u, tty := openTerminal(t)
			defer tty.Close()
			before, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
			if err != nil {
				t.Fatal(err)
			}
			cmd, _ := child("sample", countdown, "-i", "-temperature", "0", "-max-tokens", "5")
			cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			u.types("", "> ")
			u.types("9 9 7\x1b[D\x1b[D\x7f8\x1b[C\x1b[C \r", "6 5 4\r\n[6 read, 5 tokens at ")
			u.types("", "> ")
			u.types("/reset\r", "> ")
			u.types("\x1b[A\x1b[A\r", "6 5 4\r\n[6 read") // the line before the last
			u.types("nonsense\x03", "> ")
			u.types("\r", "[0 read")
			state := filepath.Join(t.TempDir(), "state")
			u.types("/save "+state+"\r", "> ")
			u.types("/load "+state+"\r", "read before")
			end(u, cmd.Process)
			err = cmd.Wait()
			want := 0
			if name == "SIGTERM" {
				want = 143
			}
			if got := cmd.ProcessState.ExitCode(); got != want {
				t.Errorf("exit code %d, want %d: %v", got, want, err)
			}
			after, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
			if err != nil || *after != *before {
				t.Errorf("the terminal is not as it was: %v", err)
			}
		})
	}
}

// TestCtrlCStopsAnAnswer and not the program.
func TestCtrlCStopsAnAnswer(t *testing.T) {
	u, tty := openTerminal(t)
	defer tty.Close()
	cmd, _ := child("sample", countdown, "-i", "-max-tokens", "1000000000")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	u.types("", "> ")
	for range 2 {
		u.types("9 8 7 \r", "go. ")
		u.types("\x03", ", stopped]")
		u.types("", "> ")
	}
	u.types("\x04", "\n")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
