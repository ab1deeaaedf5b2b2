package serve

import (
	"log/slog"
	"time"

	"github.com/pkg/errors"
)

// Config configures a Server. Zero values mean the defaults.
type Config struct {
	// Name is the model's name for clients; the default is "xlstm".
	Name string
	// Rows is the number of texts that are generated at once; the default is 16.
	Rows int
	// Exact makes the answer to a request with a seed independent of the other
	// requests, to the bit: all rows are then computed at every token, which is
	// slower for few requests. By default logits depend, to rounding, on how many
	// texts are generated at the time.
	Exact bool
	// Queue is the number of texts that may wait for a row; further requests are
	// refused with status 429. The default is 256.
	Queue int
	// MaxTokens and MaxPrompt bound the tokens of an answer and of a prompt; the
	// defaults are 4096 and 32768. MaxTokens is also the default of a chat.
	MaxTokens, MaxPrompt int
	// MaxBody bounds the body of a request, in bytes; the default is 4 MiB.
	MaxBody int64
	// Timeout bounds the time from a request to the end of its answer, waiting
	// included; the default is 10 minutes.
	Timeout time.Duration
	// CacheBytes bounds the memory for states at which prompts can be shared; the
	// default is 256 MiB, and a negative number means no cache.
	CacheBytes int64
	// APIKey is what clients must send as a bearer token, except for /healthz;
	// empty for no key.
	APIKey string
	// Log gets a line for every request; nil for none.
	Log *slog.Logger
}

// withDefaults returns the configuration with defaults in the place of zeros.
func (c Config) withDefaults() (Config, error) {
	for _, f := range []struct {
		name      string
		value     *int
		otherwise int
	}{{"Rows", &c.Rows, 16}, {"Queue", &c.Queue, 256}, {"MaxTokens", &c.MaxTokens, 4096}, {"MaxPrompt", &c.MaxPrompt, 32768}} {
		if *f.value < 0 {
			return c, errors.Errorf("serve: %s is %d; it must be positive, or 0 for %d", f.name, *f.value, f.otherwise)
		}
		if *f.value == 0 {
			*f.value = f.otherwise
		}
	}
	if c.MaxBody < 0 || c.Timeout < 0 {
		return c, errors.Errorf("serve: MaxBody is %d and Timeout %v; neither may be negative", c.MaxBody, c.Timeout)
	}
	if c.Name == "" {
		c.Name = "xlstm"
	}
	if c.MaxBody == 0 {
		c.MaxBody = 4 << 20
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Minute
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = 256 << 20
	}
	return c, nil
}
