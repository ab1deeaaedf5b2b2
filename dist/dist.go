// Package dist connects the processes of a data-parallel training job.
//
// A job consists of ranks, which are processes on one or several machines. All
// of them run the same program on different parts of the data, and add up their
// gradients. The calls of a Group are collective: every rank makes the same
// calls in the same order, and a call returns when all ranks it needs have made
// it.
//
// MPI starts the ranks and connects them: build with -tags mpi, and start the
// program with mpirun or srun. The MPI library is loaded when the program
// starts; it is not linked, and no cgo is needed.
//
// Where GPUs add up the gradients themselves, ranks only exchange a few numbers
// and need no MPI. If the environment has MASTER_ADDR, the ranks connect to rank
// 0 at that address over TCP, under the port MASTER_PORT, 29500 by default. Their
// number and their ranks come from the environment too: from RANK and
// WORLD_SIZE, as torchrun sets them, or from the variables of Slurm, Open MPI or
// PMI.
package dist

import (
	"context"
	"time"

	"github.com/pkg/errors"
)

// Group is the ranks of a job. Its methods must not be called concurrently.
// After an error the group can only be left, by ending the process.
type Group interface {
	// Rank is the number of this process, from 0 to Size-1.
	Rank() int
	Size() int
	// SumAll replaces x, a []float32 or []float64 of the same length on all
	// ranks, by the sum over the ranks. The result is the same on every rank.
	SumAll(x any) error
	// Broadcast copies b of rank root to b, of the same length, of all others.
	Broadcast(b []byte, root int) error
	// Barrier returns when all ranks have called it.
	Barrier() error
	// Close leaves the group, once all ranks do. A process that ends because of
	// an error must exit without Close, which ends the whole job.
	Close() error
}

// Config configures Open.
type Config struct {
	// StartTimeout limits the time that Open waits for the other ranks, and
	// Timeout the time of any later call. 0 means a minute and ten minutes: a
	// call must wait while another rank writes a checkpoint.
	StartTimeout, Timeout time.Duration
	// Lost, unless it is nil, receives an error when another rank has ended or
	// cannot be reached, also while this process makes no calls, because it waits
	// for a GPU for example. It is called once at most, from another goroutine,
	// and only for ranks without MPI, whose launcher would end the job.
	Lost func(error)
}

// Open connects this process to the other ranks of its job, which the launcher
// describes in the environment. A process without a launcher, or that is the only
// rank, is Alone. If the context is done while a call waits for other
// ranks, warn receives a sentence, because the launcher ends a job with a signal
// when a rank is lost.
func Open(ctx context.Context, cfg Config, warn func(sentence string)) (Group, error) {
	if cfg.StartTimeout == 0 {
		cfg.StartTimeout = time.Minute
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Minute
	}
	l, err := findLauncher()
	switch {
	case err != nil:
		return nil, err
	case l.size == 1:
		return Alone(), nil
	case l.mpi && hasMPI || l.master == "":
		return open(ctx, cfg, l, warn)
	}
	return openTCP(ctx, cfg, l)
}

// Alone returns a group of one rank, whose calls do nothing.
func Alone() Group { return alone{} }

type alone struct{}

func (alone) Rank() int { return 0 }

func (alone) Size() int { return 1 }

func (alone) SumAll(x any) error { return check(x) }

func (alone) Broadcast(b []byte, root int) error {
	if root != 0 {
		return errors.Errorf("dist: there is no rank %d among 1", root)
	}
	return nil
}

func (alone) Barrier() error { return nil }

func (alone) Close() error { return nil }

// check returns an error if x is of a type that cannot be added up.
func check(x any) error {
	switch x.(type) {
	case []float32, []float64:
		return nil
	}
	return errors.Errorf("dist: a %T cannot be added up; it must be a []float32 or a []float64", x)
}
