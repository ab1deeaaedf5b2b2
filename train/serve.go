package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/gorgonia-xlstm/xlstm/serve"
	"github.com/pkg/errors"
)

// keyVariable is the environment variable with the API key.
const keyVariable = "XLSTM_API_KEY"

// serving are the settings of the serve command.
type serving struct {
	addr, keyFile string
	cacheMiB      int
	drain         time.Duration
	quiet         bool
	serve.Config
}

// register makes the command's flags.
func (s *serving) register(f *flags) {
	f.StringVar(&s.addr, "addr", "127.0.0.1:8080", "the address to listen on; port 0 takes a free one")
	f.StringVar(&s.keyFile, "api-key-file", "", "a file with the key that clients must send (default: that in the environment variable "+keyVariable+"); needed on addresses that others can reach")
	f.StringVar(&s.Name, "name", "", "the model's name for clients (default: the folder's)")
	f.IntVar(&s.Rows, "rows", 16, "texts that are generated at once")
	f.BoolVar(&s.Exact, "exact", false, "make answers with a seed independent of other requests, to the bit, which is slower for few requests")
	f.IntVar(&s.Queue, "queue", 256, "texts that may wait for a row; further requests are refused")
	f.IntVar(&s.MaxTokens, "max-tokens", 4096, "maximum number of tokens to generate")
	f.IntVar(&s.MaxPrompt, "max-prompt", 32768, "maximum number of tokens of a prompt")
	f.DurationVar(&s.Timeout, "timeout", 10*time.Minute, "longest time for an answer")
	f.DurationVar(&s.drain, "drain", 30*time.Second, "longest time for the answers under way when the program is asked to stop")
	f.IntVar(&s.cacheMiB, "state-cache", 256, "MiB for states after prompts, which are read once if they begin alike; 0 for none")
	f.BoolVar(&s.quiet, "quiet", false, "print no line for every request")
}

// serveCommand answers requests until the program is asked to stop.
func serveCommand(ctx context.Context, args []string, c console) error {
	f := newFlags("serve", "Answer requests over HTTP in OpenAI's protocol, with the best model of a run or with the model of a folder.", c,
		"serve runs/small", "serve runs/small -addr 127.0.0.1:0 -rows 1", "serve runs/small -addr :8080 -api-key-file key.txt")
	var s serving
	s.register(f)
	var on reading
	on.register(f)
	dir, err := parseWithFolder(f, args)
	if err != nil {
		return err
	}
	if err := s.complete(dir); err != nil {
		return err
	}
	lm, closeDevice, err := on.load(dir, c.err)
	if err != nil {
		return err
	}
	defer closeDevice()
	defer lm.Close()
	if !s.quiet {
		s.Log = slog.New(slog.NewTextHandler(c.err, nil))
	}
	server, err := serve.New(lm, s.Config)
	if err != nil {
		return err
	}
	defer server.Close()
	listener, err := net.Listen("tcp", s.addr)
	if err != nil {
		return errors.Wrap(err, "listening (choose another address with -addr)")
	}
	fmt.Fprintf(c.out, "%s, %s, is at http://%s/v1\n", s.Name, numbers.Count(lm.Model().NumParams(), "parameter"), listener.Addr())
	return s.run(ctx, server, listener, c)
}

// complete checks the settings, and takes the name and the key from where they
// are.
func (s *serving) complete(dir string) error {
	for _, one := range []struct {
		name string
		n    int
	}{{"rows", s.Rows}, {"queue", s.Queue}, {"max-tokens", s.MaxTokens}, {"max-prompt", s.MaxPrompt}} {
		if one.n < 1 {
			return errors.Errorf("-%s is %d; it must be at least 1", one.name, one.n)
		}
	}
	if s.Timeout <= 0 || s.drain < 0 || s.cacheMiB < 0 {
		return errors.Errorf("-timeout is %v, -drain %v and -state-cache %d; they must be positive, or 0 for the last two", s.Timeout, s.drain, s.cacheMiB)
	}
	if s.CacheBytes = int64(s.cacheMiB) << 20; s.cacheMiB == 0 {
		s.CacheBytes = -1
	}
	if s.Name == "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return errors.Wrapf(err, "finding %s", dir)
		}
		s.Name = filepath.Base(abs)
	}
	s.APIKey = os.Getenv(keyVariable)
	if s.keyFile != "" {
		key, err := files.Read(s.keyFile, 1<<16)
		if err != nil {
			return errors.Wrap(err, "reading the API key")
		}
		if s.APIKey = strings.TrimSpace(string(key)); s.APIKey == "" {
			return errors.Errorf("%s has no API key; it must be a line of text", s.keyFile)
		}
	}
	if local, err := isLoopback(s.addr); err != nil {
		return err
	} else if !local && s.APIKey == "" {
		return errors.Errorf("others can reach -addr %s: give them a key with -api-key-file or %s, or listen on 127.0.0.1", s.addr, keyVariable)
	}
	return nil
}

// isLoopback reports whether only programs of this machine can reach an address.
func isLoopback(addr string) (bool, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false, errors.Errorf("-addr is %q; it must be a host and a port, such as 127.0.0.1:8080", addr)
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback(), nil
}

// run serves until the context ends, and then lets the answers under way come to
// their end.
func (s *serving) run(ctx context.Context, server *serve.Server, listener net.Listener, c console) error {
	h := &http.Server{
		Handler: server, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(slog.NewTextHandler(c.err, nil), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- h.Serve(listener) }()
	select {
	case err := <-failed:
		return errors.Wrap(err, "serving")
	case <-ctx.Done():
	}
	fmt.Fprintln(c.err, "Stopping: no new requests; waiting for the answers under way.")
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.drain)
	defer cancel()
	if err := server.Drain(end); err != nil {
		fmt.Fprintf(c.err, "Some answers were not complete after %v and were interrupted.\n", s.drain)
	}
	// What was interrupted is told to its clients.
	last, cancelLast := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancelLast()
	if err := h.Shutdown(last); err != nil {
		return errors.Wrap(h.Close(), "closing the connections")
	}
	return nil
}
