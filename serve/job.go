package serve

import (
	"context"
	"sync"
	"time"

	"github.com/gorgonia-xlstm/xlstm"
)

// job is a text that is asked for. The engine writes it and a handler reads what
// there is of it.
type job struct {
	ctx     context.Context
	answer  *xlstm.Answer
	after   *job // whose prompt, the same, must have been read first; nil for none
	tops    int  // likeliest tokens to tell of each token, −1 for not even its own probability
	arrived time.Time

	// Of the engine alone.
	cuts   []key
	whole  key
	began  bool // to read its prompt
	read   int  // tokens of the prompt
	starts int  // where in the text the next token begins
	shown  int  // bytes of the text that were told
	held   []tokenInfo

	mu      sync.Mutex
	news    chan struct{} // has something when there is news
	text    string        // not collected yet
	infos   []tokenInfo
	cached  int // tokens of the prompt that were in the cache
	hasRead bool
	done    *xlstm.Completion // nil while the text is written
	err     error             // that it ended with
}

// tokenInfo is what is told of a token.
type tokenInfo struct {
	id      int
	start   int // in the text, in bytes
	logProb float64
	tops    []topToken
}

// topToken is one of the likeliest tokens.
type topToken struct {
	id      int
	logProb float64
}

func newJob(ctx context.Context, answer *xlstm.Answer, tops int) *job {
	j := &job{ctx: ctx, answer: answer, tops: tops, arrived: time.Now(), news: make(chan struct{}, 1)}
	j.cuts, j.whole = keysOf(answer.Prompt())
	answer.OnText(j.tell)
	return j
}

// tell takes text that is certain, with the tokens that begin in it.
func (j *job) tell(text string) error {
	j.shown += len(text)
	n := 0
	for n < len(j.held) && j.held[n].start < j.shown {
		n++
	}
	j.mu.Lock()
	j.text += text
	j.infos = append(j.infos, j.held[:n]...)
	j.mu.Unlock()
	j.held = j.held[n:]
	j.notify()
	return nil
}

func (j *job) notify() {
	select {
	case j.news <- struct{}{}:
	default:
	}
}

// finish ends the job.
func (j *job) finish(c xlstm.Completion, err error) {
	j.mu.Lock()
	j.done, j.err = &c, err
	j.mu.Unlock()
	j.notify()
}

// promptRead tells that the whole prompt has been read.
func (j *job) promptRead() {
	j.mu.Lock()
	j.hasRead = true
	j.mu.Unlock()
}

// ready reports whether the prompt's reading may begin.
func (j *job) ready() bool {
	if j.after == nil {
		return true
	}
	j.after.mu.Lock()
	defer j.after.mu.Unlock()
	return j.after.hasRead || j.after.done != nil
}

// collected is what became of a job since the last time.
type collected struct {
	text  string
	infos []tokenInfo
	done  *xlstm.Completion
	err   error
}

// collect waits for news and returns it.
func (j *job) collect() collected {
	<-j.news
	j.mu.Lock()
	defer j.mu.Unlock()
	c := collected{j.text, j.infos, j.done, j.err}
	j.text, j.infos = "", nil
	return c
}
