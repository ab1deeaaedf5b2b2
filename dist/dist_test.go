package dist_test

import (
	"context"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/dist"
)

// noLauncher removes what a launcher may have put into the environment.
func noLauncher(t *testing.T) {
	for _, v := range []string{"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "RANK", "SLURM_PROCID", "MASTER_ADDR"} {
		t.Setenv(v, "")
	}
}

func TestAProcessWithoutLauncherIsAlone(t *testing.T) {
	noLauncher(t)
	g, err := dist.Open(context.Background(), dist.Config{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	x := []float32{1, 2}
	if err := g.SumAll(x); err != nil || x[0] != 1 || x[1] != 2 || g.Size() != 1 || g.Rank() != 0 {
		t.Errorf("rank %d of %d, sum %v, %v", g.Rank(), g.Size(), x, err)
	}
	if err := g.SumAll([]int{1}); err == nil || !strings.Contains(err.Error(), "[]int") {
		t.Errorf("a sum of ints: %v", err)
	}
	if err := g.Broadcast(nil, 1); err == nil {
		t.Error("a broadcast from rank 1 of 1 succeeded")
	}
	if b, err := dist.Share(g, []byte("a"), 0); err != nil || string(b) != "a" {
		t.Errorf("shared %q, %v", b, err)
	}
	if err := dist.Agree(g, []dist.Fact{{"a", "b"}}); err != nil {
		t.Error(err)
	}
}

func TestAnEnvironmentThatIsNoRankIsRefused(t *testing.T) {
	for _, env := range [][2]string{{"4", "4"}, {"-1", "4"}, {"a", "4"}, {"0", "0"}} {
		noLauncher(t)
		t.Setenv("PMI_RANK", env[0])
		t.Setenv("PMI_SIZE", env[1])
		if _, err := dist.Open(context.Background(), dist.Config{}, nil); err == nil || !strings.Contains(err.Error(), "PMI_RANK") {
			t.Errorf("rank %s of %s: %v", env[0], env[1], err)
		}
	}
}
