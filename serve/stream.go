package serve

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/pkg/errors"
)

// writeTimeout is how long a client may take for one event of a stream. A slow
// one does not hold its row back: what it has not read yet waits for it.
const writeTimeout = 30 * time.Second

func sinceArrival(j *job) time.Duration { return time.Since(j.arrived) }

// stream writes server-sent events.
type stream struct {
	w http.ResponseWriter
	c *http.ResponseController
}

func newStream(w http.ResponseWriter) *stream {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // of proxies that would wait for more
	w.WriteHeader(http.StatusOK)
	return &stream{w, http.NewResponseController(w)}
}

// send writes an event.
func (s *stream) send(v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return errors.Wrap(err, "writing an event")
	}
	return s.data(raw)
}

func (s *stream) data(raw []byte) error {
	// A writer that has no deadlines, as in tests, does without.
	_ = s.c.SetWriteDeadline(time.Now().Add(writeTimeout))
	for _, piece := range [][]byte{[]byte("data: "), raw, []byte("\n\n")} {
		if _, err := s.w.Write(piece); err != nil {
			return errors.Wrap(err, "writing an event")
		}
	}
	return errors.Wrap(s.c.Flush(), "writing an event")
}

// close ends the stream: with an error, if there was one, or as complete.
func (s *stream) close(err error) {
	if err != nil {
		_ = s.send(map[string]any{"error": asAPI(err)}) // a client that has gone gets nothing
		return
	}
	_ = s.data([]byte("[DONE]"))
}
