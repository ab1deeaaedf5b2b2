package dist

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/pkg/errors"
)

// How often a rank tells the others that it lives, and after which silence it
// counts as lost. The connections of a process that has ended are closed at once;
// silence is that of a machine or of a cable.
const (
	heartbeat = time.Second
	silence   = 10 * time.Second
)

// note is what ranks tell one another between calls.
type note int32

const (
	alive   note = 0
	goodbye note = -1 // the rank leaves the group
	// Larger numbers are ranks that rank 0 has lost.
)

// watch notices that another rank has ended, also while this process makes no
// calls: it may be waiting for a GPU that waits for that of the other rank. It has
// connections of its own, of rank 0 with every other rank.
type watch struct {
	rank, size int
	peers      []net.Conn // as those of tcp
	cut        func()     // ends the calls of the group
	tell       func(error)
	writing    sync.Mutex
	stop       chan struct{}
	once       sync.Once
	lost       chan struct{} // closed when err is set
	err        error
}

// begin starts to watch. tell, unless it is nil, receives the loss of a rank, once.
func (w *watch) begin(cut func(), tell func(error)) {
	w.cut, w.tell = cut, tell
	w.stop, w.lost = make(chan struct{}), make(chan struct{})
	for rank, c := range w.peers {
		if c != nil {
			go w.listen(c, rank)
		}
	}
	go w.live()
}

// live tells the others that this rank lives.
func (w *watch) live() {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-beat.C:
			w.send(alive)
		case <-w.stop:
			return
		}
	}
}

// send sends a note to all peers. One that cannot be reached is noticed by listen.
func (w *watch) send(n note) {
	w.writing.Lock()
	defer w.writing.Unlock()
	for _, c := range w.peers {
		if c != nil {
			c.SetWriteDeadline(time.Now().Add(heartbeat))
			binary.Write(c, binary.LittleEndian, n)
		}
	}
}

// listen waits for the end of a rank.
func (w *watch) listen(c net.Conn, rank int) {
	for {
		c.SetReadDeadline(time.Now().Add(silence))
		var n note
		err := binary.Read(c, binary.LittleEndian, &n)
		switch {
		case err != nil:
			w.lose(rank, reason(err))
			return
		case n == goodbye:
			return
		case n > 0:
			w.lose(int(n), errors.New("rank 0 has noticed it"))
			return
		}
	}
}

// reason says what an error of a connection means.
func reason(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errors.Errorf("nothing was heard from it for %v", silence)
	case errors.Is(err, io.EOF):
		return errors.New("its connection was closed")
	}
	return err
}

// lose ends this rank's part in the group, because another one has ended.
func (w *watch) lose(rank int, why error) {
	select {
	case <-w.stop: // this rank has left the group
		return
	default:
	}
	w.once.Do(func() {
		w.err = errors.Wrapf(why, "dist: rank %d of %d: rank %d has ended or cannot be reached", w.rank, w.size, rank)
		if w.rank == 0 {
			w.send(note(rank)) // before a call here fails, and with it perhaps the process
		}
		close(w.lost)
		w.cut()
		if w.tell != nil {
			w.tell(w.err)
		}
	})
}

// cause returns the loss that made a call fail, nil if there is none. Both are
// noticed at nearly the same time, in any order; rank 0 tells the others before
// it is through with a loss.
func (w *watch) cause() error {
	select {
	case <-w.lost:
		return w.err
	case <-time.After(2 * heartbeat):
		return nil
	}
}

// leave says goodbye and ends the watch.
func (w *watch) leave() {
	close(w.stop)
	w.send(goodbye)
	hangUp(w.peers)
}
