package dist

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"
)

// TestRankZeroTellsOfALossBeforeItFails: a call that fails on rank 0 may end its
// process, and the others would take rank 0 for the rank that was lost.
func TestRankZeroTellsOfALossBeforeItFails(t *testing.T) {
	one, here1 := net.Pipe() // a write to a pipe ends when the other end has read it
	two, here2 := net.Pipe()
	defer one.Close()
	w := watch{size: 3, peers: []net.Conn{nil, here1, here2}}
	w.begin(func() {}, nil)
	two.Close()
	select {
	case <-w.lost:
		t.Fatal("calls of rank 0 fail before rank 1 has read why")
	case <-time.After(heartbeat / 4):
	}
	var n note
	for n == alive {
		if err := binary.Read(one, binary.LittleEndian, &n); err != nil {
			t.Fatal(err)
		}
	}
	if n != 2 {
		t.Errorf("rank 1 was told %d", n)
	}
	if err := w.cause(); err == nil {
		t.Error("rank 0 does not know the cause")
	}
	go io.Copy(io.Discard, one)
	w.leave()
}
