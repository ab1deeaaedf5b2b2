package serve

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
	"time"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/internal/chat"
)

// Server is an http.Handler that answers with a language model. It must be
// closed after use.
type Server struct {
	lm      *xlstm.LM
	cfg     Config
	format  chat.Format
	exclude []int // ids without a token
	begun   time.Time
	engine  *engine
	count   *counters
	mux     *http.ServeMux
	life    context.Context // of the answers
	end     context.CancelCauseFunc
}

// New returns a server for a language model, which must not be closed before the
// server. The format of chats is that of the model's folder.
func New(lm *xlstm.LM, cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{lm: lm, cfg: cfg, exclude: lm.Request("").Sampler.Exclude, begun: time.Now(), count: newCounters(), mux: http.NewServeMux()}
	if lm.Dir() != "" {
		if s.format, err = chat.Open(lm.Dir()); err != nil {
			return nil, err
		}
	}
	if s.engine, err = newEngine(lm, cfg, s.count); err != nil {
		return nil, err
	}
	s.life, s.end = context.WithCancelCause(context.Background())
	s.mux.HandleFunc("GET /healthz", s.health)
	s.mux.HandleFunc("GET /metrics", s.metrics)
	s.mux.HandleFunc("GET /v1/models", s.models)
	s.mux.HandleFunc("GET /v1/models/{id...}", s.model)
	s.mux.HandleFunc("POST /v1/completions", s.completions)
	s.mux.HandleFunc("POST /v1/chat/completions", s.chats)
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, failure(http.StatusNotFound, "", "there is no %s %.200s here; see GET /v1/models, POST /v1/completions and POST /v1/chat/completions", r.Method, r.URL.Path))
	})
	return s, nil
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began, seen := time.Now(), &statusWriter{ResponseWriter: w, status: http.StatusOK}
	_, pattern := s.mux.Handler(r)
	if s.cfg.APIKey != "" && pattern != "GET /healthz" && !s.authorized(r) {
		fail(seen, failure(http.StatusUnauthorized, "invalid_api_key", "the API key is missing or wrong; send it as a bearer token in the header Authorization"))
	} else {
		r.Body = http.MaxBytesReader(seen, r.Body, s.cfg.MaxBody)
		s.mux.ServeHTTP(seen, r)
	}
	took := time.Since(began)
	s.count.request(pattern, seen.status, took)
	if s.cfg.Log != nil {
		s.cfg.Log.Info("request", "method", r.Method, "path", r.URL.Path, "status", seen.status, "seconds", took.Seconds(), "client", r.RemoteAddr)
	}
}

// authorized reports whether a request has the API key, in a time that does not
// depend on how much of it is right.
func (s *Server) authorized(r *http.Request) bool {
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(s.cfg.APIKey))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1 && ok
}

// statusWriter remembers the status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the writer.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// health says that the server is there, or that it is shutting down.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	s.engine.mu.Lock()
	closed := s.engine.closed
	s.engine.mu.Unlock()
	if closed {
		fail(w, errClosed)
		return
	}
	answer(w, http.StatusOK, map[string]string{"status": "ok"})
}

// modelInfo is a model as clients know it.
type modelInfo struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

func (s *Server) info() modelInfo { return modelInfo{s.cfg.Name, "model", s.begun.Unix(), "xlstm"} }

func (s *Server) models(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{"object": "list", "data": []modelInfo{s.info()}})
}

func (s *Server) model(w http.ResponseWriter, r *http.Request) {
	if err := s.checkModel(r.PathValue("id")); err != nil {
		fail(w, err)
		return
	}
	answer(w, http.StatusOK, s.info())
}

// checkModel returns an error for the name of another model.
func (s *Server) checkModel(name string) error {
	if name == s.cfg.Name {
		return nil
	}
	e := failure(http.StatusNotFound, "model_not_found", "there is no model %.100q here; there is %q", name, s.cfg.Name)
	e.Param = optional("model")
	return e
}

// Drain refuses further requests and waits for the answers that are being
// generated. If the context ends first, it interrupts them and returns its error.
func (s *Server) Drain(ctx context.Context) error {
	err := s.engine.drain(ctx)
	if err != nil {
		s.end(errClosed)
		<-s.engine.stopped
	}
	return err
}

// Close interrupts all answers and releases what the server holds, but not the
// language model.
func (s *Server) Close() error {
	s.end(errClosed)
	s.engine.close()
	<-s.engine.stopped
	return nil
}
