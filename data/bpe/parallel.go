package bpe

import (
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

// chunkBytes is how much text a goroutine takes at a time: enough that starting
// on it costs nothing, and little enough that all are busy until the end.
const chunkBytes = 256 << 10

// EncodeParallel returns the same ids as Encode and uses up to workers
// goroutines, or as many as there are processors if workers is 0 or less. The
// text is only split where a word always ends, before a space that follows a
// character other than white space; a text without such positions is encoded by
// one goroutine, as is any text if the tokenizer does not split into words.
func (t *Tokenizer) EncodeParallel(text string, workers int) []int {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	return t.encodeParallel(text, workers, chunkBytes)
}

// encodeParallel is EncodeParallel with another size of chunks.
func (t *Tokenizer) encodeParallel(text string, workers, chunk int) []int {
	if workers == 1 || len(text) <= chunk || !knowsSpaces(t.steps) {
		return t.Encode(text)
	}
	jobs := t.jobs(text, chunk)
	var taken atomic.Int64
	var wait sync.WaitGroup
	for range min(workers, len(jobs)) {
		wait.Add(1)
		go func() {
			defer wait.Done()
			e := t.encoder()
			for i := taken.Add(1) - 1; i < int64(len(jobs)); i = taken.Add(1) - 1 {
				jobs[i].encode(e)
			}
			t.release(e)
		}()
	}
	wait.Wait()
	return gather(jobs)
}

// job is a part of a text to encode: pieces, and the added tokens between them.
type job struct {
	parts []part
	bytes int
	ids   []int
}

// part is a piece without added tokens, or an added token if piece is empty.
type part struct {
	piece string
	id    int
}

// jobs cuts a text into jobs of about chunk bytes.
func (t *Tokenizer) jobs(text string, chunk int) []job {
	jobs := []job{{}}
	add := func(p part) {
		last := &jobs[len(jobs)-1]
		if last.bytes >= chunk {
			jobs = append(jobs, job{})
			last = &jobs[len(jobs)-1]
		}
		last.parts = append(last.parts, p)
		last.bytes += len(p.piece) + 1
	}
	var failed error // as in Encode
	t.split(text, &failed, func(piece string) {
		for len(piece) > 0 {
			n := safeCut(piece, chunk)
			add(part{piece: piece[:n]})
			piece = piece[n:]
		}
	}, func(id int) { add(part{id: id}) })
	return jobs
}

// safeCut returns the first place from byte n of s on where a space follows a
// character other than white space, and the length of s if there is none.
//
// No pattern has a word with a space after the first character but among white
// space. What comes before such a place does not look over it, as no word ends
// with a look-ahead after a character that is no white space.
func safeCut(s string, n int) int {
	for n < len(s) {
		at := strings.IndexByte(s[n:], ' ')
		if at < 0 {
			break
		}
		n += at
		r, _ := utf8.DecodeLastRuneInString(s[:n])
		if n > 0 && searchClass(r) != space {
			return n
		}
		n++
	}
	return len(s)
}

func (j *job) encode(e *encoder) {
	j.ids = make([]int, 0, j.bytes/4+8)
	for _, p := range j.parts {
		if p.piece == "" {
			j.ids = append(j.ids, p.id)
		} else {
			j.ids = e.encode(j.ids, p.piece)
		}
	}
}

// gather returns the ids of all jobs in their order.
func gather(jobs []job) []int {
	n := 0
	for i := range jobs {
		n += len(jobs[i].ids)
	}
	ids := make([]int, 0, n)
	for i := range jobs {
		ids = append(ids, jobs[i].ids...)
		jobs[i].ids = nil // half the memory at the end
	}
	return ids
}
