// Package serve answers requests of OpenAI's protocol with a language model:
// /v1/completions, /v1/chat/completions and /v1/models, with streaming by
// server-sent events, /healthz, and /metrics for Prometheus. A Server is an
// http.Handler:
//
//	lm, err := xlstm.Open("runs/small")
//	s, err := serve.New(lm, serve.Config{})
//	err = http.ListenAndServe("127.0.0.1:8080", s)
//
// Requests share batches: a text joins when a row of the batch is free, leaves at
// its end, and its row is free again at the next token; also when its client has
// gone. The states at which prompts can be shared are kept in a cache, so that a
// long common beginning is read once.
//
// The answer to a request with a seed does not depend on the cache and, if
// Config.Exact is set, not on the other requests either, to the bit.
package serve
