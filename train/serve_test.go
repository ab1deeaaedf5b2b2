package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

const countdown = "../testdata/countdown"

// TestServeCommand: it says where it is, answers, and when it is asked to stop it
// answers what it has begun and ends without an error.
func TestServeCommand(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	r, w := io.Pipe()
	var errs strings.Builder
	ended := make(chan error, 1)
	go func() {
		err := dispatch(ctx, []string{"serve", countdown, "-addr", "0.0.0.0:0", "-api-key-file", key, "-rows", "2", "-name", "it", "-state-cache", "1"},
			console{in: strings.NewReader(""), out: w, err: &errs, name: "xlstm"})
		w.CloseWithError(err)
		ended <- err
	}()
	line := make([]byte, 200)
	n, err := r.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	at := regexp.MustCompile(`^it, .* parameters, is at http://.*:(\d+)/v1\n$`).FindSubmatch(line[:n])
	if at == nil {
		t.Fatalf("%q", line[:n])
	}
	answer := func(prompt string, tokens string) (string, error) {
		req, err := http.NewRequest("POST", "http://127.0.0.1:"+string(at[1])+"/v1/completions", strings.NewReader(`{"model":"it","prompt":"`+prompt+`","temperature":0,"max_tokens":`+tokens+`}`))
		if err != nil {
			return "", err
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer secret")
		a, err := http.DefaultClient.Do(req)
		if err != nil {
			return "", err
		}
		defer a.Body.Close()
		var got struct{ Choices []struct{ Text string } }
		if err := json.NewDecoder(a.Body).Decode(&got); err != nil || len(got.Choices) == 0 {
			return "", err
		}
		return got.Choices[0].Text, nil
	}
	if text, err := answer("9 8 7 ", "5"); err != nil || text != "6 5 4" {
		t.Errorf("%q, %v", text, err)
	}
	long := make(chan string)
	go func() {
		text, err := answer("9", "4000")
		if err != nil {
			text = err.Error()
		}
		long <- text
	}()
	testutil.Await(t, "the answer is under way", func() bool {
		req, err := http.NewRequest("GET", "http://127.0.0.1:"+string(at[1])+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer secret")
		a, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		page, err := io.ReadAll(a.Body)
		return err == nil && strings.Contains(string(page), "\nxlstm_rows_active 1\n")
	})
	stop()
	if text := <-long; len(text) != 4000 {
		t.Errorf("what was under way when the program was to stop: %d characters, %.100q", len(text), text)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if said := errs.String(); !strings.Contains(said, "status=200") || !strings.Contains(said, "Stopping") || strings.Contains(said, "interrupted") {
		t.Errorf("%s", said)
	}
}

// TestServeRefuses what it cannot do or should not.
func TestServeRefuses(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte(" \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ args, want string }{
		{"-addr :8080", "others can reach -addr :8080: give them a key"},
		{"-addr 0.0.0.0:0", "give them a key"},
		{"-addr example.org:80", "give them a key"},
		{"-addr 8080", `-addr is "8080"; it must be a host and a port`},
		{"-addr :0 -api-key-file " + empty, "has no API key"},
		{"-addr :0 -api-key-file " + empty + "x", "reading the API key"},
		{"-rows 0", "-rows is 0; it must be at least 1"},
		{"-timeout -1s", "-timeout is -1s"},
		{"-timeout soon", "-timeout is \"soon\"; it must be a time such as 30s"},
		{"-state-cache -1", "-state-cache -1"},
		{"-addr 127.0.0.1:99999", "listening"},
	} {
		_, _, err := runHere(t.Context(), append([]string{"serve", countdown}, strings.Fields(c.args)...)...)
		testutil.WantError(t, err, c.want)
	}
	_, _, err := runHere(t.Context(), "serve")
	testutil.WantError(t, err, "serve needs a folder")
	_, _, err = runHere(t.Context(), "serve", "nowhere")
	testutil.WantError(t, err, "nowhere")
}
