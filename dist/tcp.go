package dist

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"time"

	"github.com/pkg/errors"
)

// tcp is a Group over connections of rank 0 with every other rank. It is made for
// small exchanges: everything passes through rank 0.
type tcp struct {
	rank, size int
	peers      []net.Conn // by rank on rank 0, where its own is nil; on others that of rank 0
	watch      watch
	timeout    time.Duration
	broken     error
}

// greeting begins a connection to rank 0: a mark, the rank, the number of ranks,
// and what the connection is for.
type greeting struct {
	Mark            [8]byte
	Rank, Size, Use uint32
}

// Uses of a connection.
const (
	forCalls = iota
	forWatch
	uses
)

var mark = [8]byte{'x', 'l', 's', 't', 'm', 0, 0, 2}

func openTCP(ctx context.Context, cfg Config, l launcher) (Group, error) {
	g := &tcp{rank: l.rank, size: l.size, timeout: cfg.Timeout}
	deadline := time.Now().Add(cfg.StartTimeout)
	var conns [uses][]net.Conn
	var err error
	if g.rank == 0 {
		conns, err = g.accept(ctx, l.master, deadline)
	} else {
		for use := 0; use < uses && err == nil; use++ {
			conns[use], err = g.connect(ctx, l.master, use, deadline)
		}
	}
	g.peers, g.watch = conns[forCalls], watch{rank: g.rank, size: g.size, peers: conns[forWatch]}
	if err != nil {
		hangUp(slices.Concat(conns[:]...))
		return nil, errors.Wrapf(err, "dist: rank %d of %d, connecting within %v", g.rank, g.size, cfg.StartTimeout)
	}
	g.watch.begin(func() { hangUp(g.peers) }, cfg.Lost)
	return g, nil
}

// accept waits for the other ranks. Connections of anything else are closed.
func (g *tcp) accept(ctx context.Context, at string, deadline time.Time) (conns [uses][]net.Conn, err error) {
	_, port, err := net.SplitHostPort(at)
	if err != nil {
		return conns, errors.Wrapf(err, "MASTER_ADDR and MASTER_PORT make %s", at)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("", port))
	if err != nil {
		return conns, err
	}
	defer listener.Close()
	if err := listener.(*net.TCPListener).SetDeadline(deadline); err != nil {
		return conns, err
	}
	for use := range conns {
		conns[use] = make([]net.Conn, g.size)
	}
	for missing := uses * (g.size - 1); missing > 0; {
		c, err := listener.Accept()
		if err != nil {
			return conns, errors.Wrapf(err, "%d of the other ranks have not come to %s", (missing+uses-1)/uses, listener.Addr())
		}
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		var hello greeting
		if err := binary.Read(c, binary.LittleEndian, &hello); err != nil || hello.Mark != mark || hello.Use >= uses {
			c.Close()
			continue
		}
		r, of := int(hello.Rank), conns[hello.Use]
		if int(hello.Size) != g.size || r < 1 || r >= g.size || of[r] != nil {
			c.Close()
			return conns, errors.Errorf("a process at %v calls itself rank %d of %d", c.RemoteAddr(), r, hello.Size)
		}
		of[r] = c
		missing--
	}
	return conns, nil
}

// connect connects to rank 0, which may start later.
func (g *tcp) connect(ctx context.Context, at string, use int, deadline time.Time) ([]net.Conn, error) {
	dialer := net.Dialer{Deadline: deadline}
	for {
		c, err := dialer.DialContext(ctx, "tcp", at)
		if err == nil {
			c.SetWriteDeadline(deadline)
			return []net.Conn{c}, binary.Write(c, binary.LittleEndian, greeting{mark, uint32(g.rank), uint32(g.size), uint32(use)})
		}
		if ctx.Err() != nil || time.Now().After(deadline.Add(-100*time.Millisecond)) {
			return nil, errors.Wrap(err, "rank 0 cannot be reached")
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (g *tcp) Rank() int { return g.rank }

func (g *tcp) Size() int { return g.size }

// SumAll adds up on rank 0, in the order of the ranks.
func (g *tcp) SumAll(x any) error {
	switch x := x.(type) {
	case []float32:
		return sumOver(g, x)
	case []float64:
		return sumOver(g, x)
	}
	return check(x)
}

func sumOver[F float32 | float64](g *tcp, x []F) error {
	return g.do("adding up", func() error {
		if g.rank > 0 {
			if err := binary.Write(g.peers[0], binary.LittleEndian, x); err != nil {
				return err
			}
			return binary.Read(g.peers[0], binary.LittleEndian, x)
		}
		part := make([]F, len(x))
		for _, c := range g.peers[1:] {
			if err := binary.Read(c, binary.LittleEndian, part); err != nil {
				return err
			}
			for i, v := range part {
				x[i] += v
			}
		}
		for _, c := range g.peers[1:] {
			if err := binary.Write(c, binary.LittleEndian, x); err != nil {
				return err
			}
		}
		return nil
	})
}

func (g *tcp) Broadcast(b []byte, root int) error {
	if root < 0 || root >= g.size {
		return errors.Errorf("dist: there is no rank %d among %d", root, g.size)
	}
	return g.do("exchanging data", func() error {
		if g.rank > 0 {
			if g.rank == root {
				_, err := g.peers[0].Write(b)
				return err
			}
			_, err := io.ReadFull(g.peers[0], b)
			return err
		}
		if root > 0 {
			if _, err := io.ReadFull(g.peers[root], b); err != nil {
				return err
			}
		}
		for r, c := range g.peers {
			if r == 0 || r == root {
				continue
			}
			if _, err := c.Write(b); err != nil {
				return err
			}
		}
		return nil
	})
}

func (g *tcp) Barrier() error { return g.SumAll([]float64{0}) }

// do calls f, which may take the group's time.
func (g *tcp) do(what string, f func() error) error {
	if g.broken != nil {
		return g.broken
	}
	for _, c := range g.peers {
		if c != nil {
			c.SetDeadline(time.Now().Add(g.timeout))
		}
	}
	if err := f(); err != nil {
		if g.broken = errors.Wrap(g.watch.cause(), what); g.broken == nil {
			g.broken = errors.Wrapf(err, "dist: rank %d of %d, %s: another rank is stuck", g.rank, g.size, what)
		}
		hangUp(g.peers) // so that the others end as well
	}
	return g.broken
}

func (g *tcp) Close() error {
	if err := g.Barrier(); err != nil {
		return err
	}
	g.watch.leave()
	hangUp(g.peers)
	return nil
}

func hangUp(conns []net.Conn) {
	for _, c := range conns {
		if c != nil {
			c.Close()
		}
	}
}
