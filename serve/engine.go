package serve

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/pkg/errors"
)

var (
	errFull   = errors.New("too many requests are waiting; try again later")
	errClosed = errors.New("the server is shutting down")
)

// engine lets jobs share the rows of a batch. One goroutine runs it.
type engine struct {
	tok   data.Tokenizer
	batch *xlstm.BatchGenerator
	rows  []*job // nil for a free row
	turn  int    // the row whose prompt is read next
	cache *cache
	count *counters

	mu      sync.Mutex
	queue   []*job
	most    int // jobs in the queue
	closed  bool
	arrived chan struct{} // has something when there are jobs, or the end
	stopped chan struct{} // closed when the goroutine has ended
	// What metrics tell.
	active, cacheBytes, cacheKept atomic.Int64
}

func newEngine(lm *xlstm.LM, cfg Config, count *counters) (*engine, error) {
	var opts []xlstm.BatchOption
	if !cfg.Exact {
		opts = append(opts, xlstm.FewerRows())
	}
	b, err := lm.Model().NewBatchGenerator(cfg.Rows, opts...)
	if err != nil {
		return nil, err
	}
	at, err := b.Position(0)
	if err != nil {
		b.Close()
		return nil, err
	}
	e := &engine{
		tok: lm.Tokenizer(), batch: b, rows: make([]*job, cfg.Rows), cache: newCache(cfg.CacheBytes, at.Bytes()), count: count,
		most: cfg.Queue, arrived: make(chan struct{}, 1), stopped: make(chan struct{}),
	}
	go e.run()
	return e, nil
}

// submit queues all jobs, or none.
func (e *engine) submit(jobs []*job) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		return errClosed
	case len(e.queue)+len(jobs) > e.most+e.free():
		return errFull
	}
	e.queue = append(e.queue, jobs...)
	e.wake()
	return nil
}

// free returns how many rows had no job when the engine last looked.
func (e *engine) free() int { return len(e.rows) - int(e.active.Load()) }

func (e *engine) wake() {
	select {
	case e.arrived <- struct{}{}:
	default:
	}
}

// waiting returns the number of jobs in the queue.
func (e *engine) waiting() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.queue)
}

// close ends the engine when there are no jobs any more, and refuses new ones.
func (e *engine) close() {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.wake()
}

// run answers jobs until it is closed.
func (e *engine) run() {
	defer close(e.stopped)
	defer e.batch.Close()
	for {
		if e.admit() == 0 {
			if e.ended() {
				return
			}
			<-e.arrived
			continue
		}
		e.readSome()
		if tokens, busy := e.draw(); busy {
			e.step(tokens)
		}
	}
}

// step continues the texts of all rows.
func (e *engine) step(tokens []int) {
	began := time.Now()
	if err := e.batch.Step(tokens); err != nil {
		e.failAll(err)
	}
	e.count.stepSeconds.add(time.Since(began).Seconds())
}

// ended reports whether there will be no more jobs.
func (e *engine) ended() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closed && len(e.queue) == 0
}

// admit gives free rows to waiting jobs and returns how many rows have one.
func (e *engine) admit() (active int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, j := range e.rows {
		for j == nil && len(e.queue) > 0 {
			next := e.queue[0]
			e.queue[0] = nil
			e.queue = e.queue[1:]
			if next.ctx.Err() == nil {
				j = next
				break
			}
			next.answer.Continues(next.ctx) // which notes why it ended
			next.finish(next.answer.Finish())
		}
		if e.rows[i] = j; j != nil {
			active++
		}
	}
	e.active.Store(int64(active))
	return active
}

// leave frees a row.
func (e *engine) leave(i int, err error) {
	j := e.rows[i]
	e.rows[i] = nil
	c, failed := j.answer.Finish()
	if err == nil {
		err = failed
	}
	j.finish(c, err)
}

func (e *engine) failAll(err error) {
	for i, j := range e.rows {
		if j != nil {
			e.leave(i, err)
		}
	}
}

// readSome reads a chunk of one of the prompts that are not read yet, in turn, on
// all cores: beside a step of the other texts it would take no less time.
func (e *engine) readSome() {
	for range e.rows {
		i := e.turn
		e.turn = (e.turn + 1) % len(e.rows)
		j := e.rows[i]
		if j == nil || j.began && j.read == len(j.answer.Prompt()) || !j.ready() {
			continue
		}
		if j.ctx.Err() != nil {
			j.answer.Continues(j.ctx)
			e.leave(i, nil)
			continue
		}
		if err := e.read(i, j); err != nil {
			e.leave(i, err)
		}
		return
	}
}

// read begins a prompt where the cache knows it, and reads its next chunk.
func (e *engine) read(i int, j *job) error {
	if !j.began {
		if err := e.begin(i, j); err != nil {
			return err
		}
	}
	rest := j.answer.Prompt()[j.read:]
	if len(rest) > 0 {
		rest = rest[:min(chunk, len(rest))]
		if err := e.batch.Read(i, rest...); err != nil {
			return err
		}
		j.read += len(rest)
		e.count.promptTokens.add(float64(len(rest)))
		if err := e.keep(i, j); err != nil {
			return err
		}
	}
	if j.read == len(j.answer.Prompt()) {
		j.promptRead()
	}
	return nil
}

// begin sets a row to the longest beginning of the prompt that is known.
func (e *engine) begin(i int, j *job) error {
	j.began = true
	at := e.cache.find(j.cuts, j.whole)
	if at == nil {
		return e.batch.Begin(i, nil)
	}
	j.read = at.Tokens()
	j.mu.Lock()
	j.cached = j.read
	j.mu.Unlock()
	e.count.cachedTokens.add(float64(j.read))
	return e.batch.Resume(i, at)
}

// keep puts the position of a row into the cache, if it is one to keep there.
func (e *engine) keep(i int, j *job) error {
	k := j.whole
	if j.read%chunk == 0 {
		if cut := j.read/chunk - 1; e.cache.wants(cut, len(j.cuts)) {
			k = j.cuts[cut]
		} else if j.read < len(j.answer.Prompt()) {
			return nil
		}
	}
	if e.cache.most <= 0 {
		return nil
	}
	at, err := e.batch.Position(i)
	if err != nil {
		return err
	}
	e.cache.put(k, at)
	e.cacheBytes.Store(e.cache.bytes)
	e.cacheKept.Store(int64(e.cache.order.Len()))
	return nil
}

// draw returns the next token of each row, −1 if it has none to read, and whether
// any has.
func (e *engine) draw() (tokens []int, busy bool) {
	answers := make([]*xlstm.Answer, len(e.rows))
	for i, j := range e.rows {
		if j == nil || !j.began || j.read < len(j.answer.Prompt()) {
			continue
		}
		if !j.answer.Continues(j.ctx) {
			e.leave(i, nil)
			continue
		}
		answers[i] = j.answer
	}
	tokens, errs := e.batch.Draw(answers)
	for i, token := range tokens {
		if token < 0 {
			continue
		}
		if err := e.take(i, token, errs[i]); err != nil || !answers[i].Continues(e.rows[i].ctx) {
			e.leave(i, err)
			tokens[i] = -1
			continue
		}
		busy = true
	}
	return tokens, busy
}

// take continues a row's answer with a token, with what is to be told of it.
func (e *engine) take(i, token int, err error) error {
	if err != nil {
		return err
	}
	j := e.rows[i]
	if j.tops >= 0 {
		logits, err := e.batch.Logits(i)
		if err != nil {
			return err
		}
		j.held = append(j.held, infoOf(token, j.starts, logits, j.tops))
		j.starts += len(e.tok.Decode([]int{token}))
	}
	e.count.generatedTokens.add(1)
	return j.answer.Take(token)
}

// drain waits until all jobs have ended, or the context has, and closes.
func (e *engine) drain(ctx context.Context) error {
	e.close()
	select {
	case <-e.stopped:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
