package dist

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"time"

	"github.com/pkg/errors"
)

// tcp is a Group over connections of rank 0 with every other rank. It is made for
// small exchanges: everything passes through rank 0.
type tcp struct {
	rank, size int
	peers      []net.Conn // by rank on rank 0, where its own is nil; on others that of rank 0
	timeout    time.Duration
	broken     error
}

// greeting begins a connection to rank 0: a mark, the rank and the number of
// ranks.
type greeting struct {
	Mark       [8]byte
	Rank, Size uint32
}

var mark = [8]byte{'x', 'l', 's', 't', 'm', 0, 0, 1}

func openTCP(ctx context.Context, cfg Config, l launcher) (Group, error) {
	g := &tcp{rank: l.rank, size: l.size, timeout: cfg.Timeout}
	deadline := time.Now().Add(cfg.StartTimeout)
	var err error
	if g.rank == 0 {
		err = g.accept(ctx, l.master, deadline)
	} else {
		err = g.connect(ctx, l.master, deadline)
	}
	if err != nil {
		g.hangUp()
		return nil, errors.Wrapf(err, "dist: rank %d of %d, connecting within %v", g.rank, g.size, cfg.StartTimeout)
	}
	return g, nil
}

// accept waits for the other ranks. Connections of anything else are closed.
func (g *tcp) accept(ctx context.Context, at string, deadline time.Time) error {
	_, port, err := net.SplitHostPort(at)
	if err != nil {
		return errors.Wrapf(err, "MASTER_ADDR and MASTER_PORT make %s", at)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("", port))
	if err != nil {
		return err
	}
	defer listener.Close()
	if err := listener.(*net.TCPListener).SetDeadline(deadline); err != nil {
		return err
	}
	g.peers = make([]net.Conn, g.size)
	for missing := g.size - 1; missing > 0; {
		c, err := listener.Accept()
		if err != nil {
			return errors.Wrapf(err, "%d of the other ranks have not come to %s", missing, listener.Addr())
		}
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		var hello greeting
		if err := binary.Read(c, binary.LittleEndian, &hello); err != nil || hello.Mark != mark {
			c.Close()
			continue
		}
		r := int(hello.Rank)
		if int(hello.Size) != g.size || r < 1 || r >= g.size || g.peers[r] != nil {
			c.Close()
			return errors.Errorf("a process at %v calls itself rank %d of %d", c.RemoteAddr(), r, hello.Size)
		}
		g.peers[r] = c
		missing--
	}
	return nil
}

// connect connects to rank 0, which may start later.
func (g *tcp) connect(ctx context.Context, at string, deadline time.Time) error {
	dialer := net.Dialer{Deadline: deadline}
	for {
		c, err := dialer.DialContext(ctx, "tcp", at)
		if err == nil {
			g.peers = []net.Conn{c}
			c.SetWriteDeadline(deadline)
			return binary.Write(c, binary.LittleEndian, greeting{mark, uint32(g.rank), uint32(g.size)})
		}
		if ctx.Err() != nil || time.Now().After(deadline.Add(-100*time.Millisecond)) {
			return errors.Wrap(err, "rank 0 cannot be reached")
		}
		time.Sleep(100 * time.Millisecond)
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
		g.broken = errors.Wrapf(err, "dist: rank %d of %d, %s: another rank has ended, cannot be reached or is stuck", g.rank, g.size, what)
		g.hangUp() // so that the others end as well
	}
	return g.broken
}

func (g *tcp) Close() error {
	err := g.Barrier()
	g.hangUp()
	return err
}

func (g *tcp) hangUp() {
	for _, c := range g.peers {
		if c != nil {
			c.Close()
		}
	}
}
