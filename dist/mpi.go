//go:build mpi && linux && (amd64 || arm64)

package dist

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"
	"unsafe"

	"github.com/gorgonia-xlstm/xlstm/internal/dynlib"
	"github.com/gorgonia-xlstm/xlstm/internal/osthread"
	"github.com/pkg/errors"
)

// mpi is a Group over MPI's world. MPI is initialised for one thread, which
// makes all calls.
type mpi struct {
	lib        dynlib.Library
	abi        abi
	calls      functions
	thread     *osthread.Thread
	rank, size int
	ctx        context.Context
	cfg        Config
	warn       func(string)
	warned     sync.Once
	broken     error // of a call that did not return, or failed
	late       bool  // reports whether it did not return
}

// functions are the addresses of the functions of MPI in use.
type functions struct {
	InitThread    uintptr `sym:"MPI_Init_thread"`
	SetErrhandler uintptr `sym:"MPI_Comm_set_errhandler"`
	ErrorString   uintptr `sym:"MPI_Error_string"`
	CommRank      uintptr `sym:"MPI_Comm_rank"`
	CommSize      uintptr `sym:"MPI_Comm_size"`
	Allreduce     uintptr `sym:"MPI_Allreduce"`
	Bcast         uintptr `sym:"MPI_Bcast"`
	Barrier       uintptr `sym:"MPI_Barrier"`
	Finalize      uintptr `sym:"MPI_Finalize"`
}

// largest is the largest number of elements in one call, far below the limit of
// MPI's counts, which are C ints.
const largest = 1 << 28

// hasMPI reports whether this program can use MPI.
const hasMPI = true

func open(ctx context.Context, cfg Config, l launcher, warn func(string)) (Group, error) {
	lib, err := openLibrary(l)
	if err != nil {
		return nil, errors.Wrapf(err, "dist: %s started this process as rank %d of %d, but MPI cannot be loaded", l.name, l.rank, l.size)
	}
	m := &mpi{lib: lib, thread: osthread.New(), rank: l.rank, size: l.size, ctx: ctx, cfg: cfg, warn: warn}
	if m.abi, err = abiOf(lib); err != nil {
		return nil, errors.Wrap(err, "dist")
	}
	if err := lib.Bind(&m.calls); err != nil {
		return nil, errors.Wrap(err, "dist")
	}
	if err := m.do("connecting to them", cfg.StartTimeout, m.start); err != nil {
		return nil, err
	}
	if m.size != l.size || m.rank != l.rank {
		return nil, errors.Errorf("dist: %s started rank %d of %d, but %s made it rank %d of %d: the launcher and the library belong to different MPIs; set %s to the launcher's library", l.name, l.rank, l.size, lib.Path, m.rank, m.size, libraryVariable)
	}
	// Open MPI connects ranks only when these need each other.
	if err := m.do("connecting to them", cfg.StartTimeout, m.meet); err != nil {
		return nil, err
	}
	return m, nil
}

// start initialises MPI, on the thread of all calls.
func (m *mpi) start() error {
	c := m.calls
	n := make([]int32, 3)
	if err := m.check("MPI_Init_thread", dynlib.Call(c.InitThread, 0, 0, m.abi.funneled, uintptr(unsafe.Pointer(&n[0])))); err != nil {
		return err
	}
	if uintptr(n[0]) < m.abi.funneled {
		return errors.New("MPI allows calls from the main thread of a process only; it needs MPI_THREAD_FUNNELED")
	}
	if err := m.check("MPI_Comm_set_errhandler", dynlib.Call(c.SetErrhandler, m.abi.world, m.abi.errorsReturn)); err != nil {
		return err
	}
	if err := m.check("MPI_Comm_rank", dynlib.Call(c.CommRank, m.abi.world, uintptr(unsafe.Pointer(&n[1])))); err != nil {
		return err
	}
	err := m.check("MPI_Comm_size", dynlib.Call(c.CommSize, m.abi.world, uintptr(unsafe.Pointer(&n[2]))))
	m.rank, m.size = int(n[1]), int(n[2])
	return err
}

// do calls f on MPI's thread and waits for it for the given time.
func (m *mpi) do(what string, limit time.Duration, f func() error) error {
	if m.broken != nil {
		return m.broken
	}
	done := make(chan error, 1)
	if err := m.thread.Start(f, done); err != nil {
		return errors.Wrap(err, "dist")
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	stopped := m.ctx.Done()
	for {
		select {
		case err := <-done:
			m.broken = errors.Wrapf(err, "dist: rank %d of %d, %s", m.rank, m.size, what)
			return m.broken
		case <-timer.C:
			m.late = true
			m.broken = errors.Errorf("dist: rank %d of %d has waited %v for the other ranks, %s; one of them has ended, cannot be reached or is stuck", m.rank, m.size, limit, what)
			return m.broken
		case <-stopped:
			stopped = nil
			lost := time.AfterFunc(patience, func() { m.lost(what) })
			defer lost.Stop()
		}
	}
}

// patience is how long a call may take after the launcher's signal before a rank
// is reported as lost: launchers kill the processes a second after the signal.
const patience = 300 * time.Millisecond

// lost warns that a call does not return after a signal.
func (m *mpi) lost(what string) {
	m.warned.Do(func() {
		m.warn(fmt.Sprintf("Rank %d of %d was told to stop while it waited for the other ranks, %s; one of them has probably ended.", m.rank, m.size, what))
	})
}

// check returns an error with MPI's description if code is not 0.
func (m *mpi) check(what string, code int32) error {
	if code == 0 {
		return nil
	}
	text, n := make([]byte, 1024), make([]int32, 1)
	if dynlib.Call(m.calls.ErrorString, uintptr(code), uintptr(unsafe.Pointer(&text[0])), uintptr(unsafe.Pointer(&n[0]))) != 0 {
		return errors.Errorf("%s returned %d", what, code)
	}
	return errors.Errorf("%s: %s", what, bytes.TrimSpace(text[:n[0]]))
}

func (m *mpi) Rank() int { return m.rank }

func (m *mpi) Size() int { return m.size }

func (m *mpi) SumAll(x any) error {
	switch x := x.(type) {
	case []float32:
		return sumAll(m, x, m.abi.float)
	case []float64:
		return sumAll(m, x, m.abi.double)
	}
	return check(x)
}

func sumAll[F float32 | float64](m *mpi, x []F, dtype uintptr) error {
	return m.do("adding up gradients", m.cfg.Timeout, func() error {
		for len(x) > 0 {
			n := min(len(x), largest)
			code := dynlib.Call(m.calls.Allreduce, m.abi.inPlace, uintptr(unsafe.Pointer(&x[0])), uintptr(n), dtype, m.abi.sum, m.abi.world)
			if err := m.check("MPI_Allreduce", code); err != nil {
				return err
			}
			x = x[n:]
		}
		return nil
	})
}

func (m *mpi) Broadcast(b []byte, root int) error {
	if root < 0 || root >= m.size {
		return errors.Errorf("dist: there is no rank %d among %d", root, m.size)
	}
	return m.do("exchanging data", m.cfg.Timeout, func() error {
		for len(b) > 0 {
			n := min(len(b), largest)
			code := dynlib.Call(m.calls.Bcast, uintptr(unsafe.Pointer(&b[0])), uintptr(n), m.abi.byte, uintptr(root), m.abi.world)
			if err := m.check("MPI_Bcast", code); err != nil {
				return err
			}
			b = b[n:]
		}
		return nil
	})
}

func (m *mpi) Barrier() error {
	return m.do("meeting them", m.cfg.Timeout, m.meet)
}

func (m *mpi) meet() error {
	return m.check("MPI_Barrier", dynlib.Call(m.calls.Barrier, m.abi.world))
}

// leaving is how long Close waits for MPI_Finalize once all ranks have come to it.
// That of MPICH 4.0 with UCX over TCP does not always return.
const leaving = 10 * time.Second

func (m *mpi) Close() error {
	if err := m.Barrier(); err != nil {
		return err
	}
	err := m.do("leaving the job", leaving, func() error {
		if err := m.check("MPI_Finalize", dynlib.Call(m.calls.Finalize)); err != nil {
			return err
		}
		return m.lib.Close() // MPICH 5 tells the launcher only then that it has ended
	})
	if m.late {
		m.warn(err.Error())
		return nil // everything is done, and the end of the process ends the rest
	}
	if err == nil {
		m.thread.Close()
	}
	return err
}
