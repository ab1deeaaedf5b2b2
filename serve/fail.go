package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/pkg/errors"
)

// statusGone is what a request without a client any more is counted as.
const statusGone = 499

// apiError is an error as clients of OpenAI's protocol know it.
type apiError struct {
	status  int
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`
}

func (e *apiError) Error() string { return e.Message }

// failure makes an error of a status.
func failure(status int, code, format string, args ...any) *apiError {
	kind := "invalid_request_error"
	switch {
	case status == http.StatusTooManyRequests:
		kind = "rate_limit_error"
	case status >= 500:
		kind = "server_error"
	}
	return &apiError{status: status, Message: fmt.Sprintf(format, args...), Type: kind, Code: optional(code)}
}

// invalid makes an error about a field of a request.
func invalid(field, format string, args ...any) *apiError {
	e := failure(http.StatusBadRequest, "", format, args...)
	e.Param = optional(field)
	return e
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// asAPI returns an error as clients get it.
func asAPI(err error) *apiError {
	var known *apiError
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, errFull):
		return failure(http.StatusTooManyRequests, "queue_full", "%v", err)
	case errors.Is(err, errClosed):
		return failure(http.StatusServiceUnavailable, "shutting_down", "%v", err)
	case errors.Is(err, context.Canceled):
		return failure(statusGone, "", "the client has gone")
	case errors.Is(err, context.DeadlineExceeded):
		return failure(http.StatusGatewayTimeout, "timeout", "the answer took too long and was given up; ask for fewer tokens")
	}
	return failure(http.StatusInternalServerError, "", "%v", err)
}

// fail answers with an error.
func fail(w http.ResponseWriter, err error) {
	e := asAPI(err)
	if e.status == http.StatusTooManyRequests || e.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	if e.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	answer(w, e.status, map[string]any{"error": e})
}

// answer answers with JSON.
func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // a client that has gone gets nothing
}

// ended returns the error of an answer that was interrupted, nil for others.
func ended(ctx context.Context, c *xlstm.Completion) error {
	if c.End != xlstm.EndEarly {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return context.Canceled
}
