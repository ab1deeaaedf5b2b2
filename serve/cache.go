package serve

import (
	"container/list"
	"crypto/sha256"
	"encoding/binary"

	"github.com/gorgonia-xlstm/xlstm"
)

// chunk is how many tokens of a prompt are read between two tokens of the texts
// that are being generated. Prompts are cut at its multiples, whatever is in the
// cache, so that what is computed does not depend on it.
const chunk = 64

// key identifies the beginning of a prompt.
type key [sha256.Size]byte

// keysOf returns the keys of the beginnings of a prompt that end at multiples of
// a chunk, and of the whole prompt.
func keysOf(prompt []int) (cuts []key, whole key) {
	var last key
	for at := 0; at < len(prompt); at += chunk {
		piece := prompt[at:min(at+chunk, len(prompt))]
		buf := append(make([]byte, 0, len(last)+8*len(piece)), last[:]...)
		for _, t := range piece {
			buf = binary.LittleEndian.AppendUint64(buf, uint64(t))
		}
		last = sha256.Sum256(buf)
		if len(piece) == chunk {
			cuts = append(cuts, last)
		}
	}
	return cuts, last
}

// cache keeps positions in prompts, of which those that were used last stay.
type cache struct {
	most, bytes int64
	spacing     int // every so many cuts one is kept
	byKey       map[key]*list.Element
	order       *list.List // of kept positions, the one that was used last first
}

// kept is a position in the cache.
type kept struct {
	key key
	at  *xlstm.Position
}

// newCache returns a cache of at most so many bytes, for positions that take size
// bytes. Large positions are kept at fewer places, so that a few prompts fit.
func newCache(most, size int64) *cache {
	const prompts, length = 4, 4096 // that should fit
	spacing := 1
	for most/max(size, 1) < prompts*length/int64(chunk*spacing) && spacing < length/chunk {
		spacing *= 2
	}
	return &cache{most: most, spacing: spacing, byKey: make(map[key]*list.Element), order: list.New()}
}

// find returns the position behind the longest beginning of a prompt that is in
// the cache, nil if there is none.
func (c *cache) find(cuts []key, whole key) *xlstm.Position {
	if at := c.get(whole); at != nil {
		return at
	}
	for i := len(cuts) - 1; i >= 0; i-- {
		if at := c.get(cuts[i]); at != nil {
			return at
		}
	}
	return nil
}

func (c *cache) get(k key) *xlstm.Position {
	e := c.byKey[k]
	if e == nil {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(kept).at
}

// wants reports whether the position behind cut number i of n, counted from 0, is
// one to keep: evenly spread ones and the last.
func (c *cache) wants(i, n int) bool {
	return c.most > 0 && ((i+1)%c.spacing == 0 || i == n-1)
}

// put keeps a position, and lets go of others until it fits.
func (c *cache) put(k key, at *xlstm.Position) {
	size := at.Bytes()
	if size > c.most || c.byKey[k] != nil {
		return
	}
	for c.bytes+size > c.most {
		last := c.order.Back()
		c.order.Remove(last)
		delete(c.byKey, last.Value.(kept).key)
		c.bytes -= last.Value.(kept).at.Bytes()
	}
	c.byKey[k] = c.order.PushFront(kept{k, at})
	c.bytes += size
}
