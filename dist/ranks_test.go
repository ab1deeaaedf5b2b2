package dist_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorgonia-xlstm/xlstm/dist"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// roleVariable tells a rank of a test what to do.
const roleVariable = "XLSTM_DIST_TEST"

// TestMain lets this program be a rank of its own tests.
func TestMain(m *testing.M) {
	role := roles[os.Getenv(roleVariable)]
	if role == nil {
		os.Exit(m.Run())
	}
	if err := beRank(role); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n", err)
		os.Exit(1)
	}
}

func beRank(role func(g dist.Group) error) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	lost := func(err error) {
		if os.Getenv(roleVariable) == "elsewhere" {
			fmt.Fprintf(os.Stderr, "told that %v\n", err)
			os.Exit(1)
		}
	}
	g, err := dist.Open(ctx, dist.Config{StartTimeout: 30 * time.Second, Timeout: 5 * time.Second, Lost: lost}, func(s string) { fmt.Fprintln(os.Stderr, s) })
	if err != nil {
		return err
	}
	if err := role(g); err != nil {
		return err
	}
	return g.Close()
}

var roles = map[string]func(g dist.Group) error{
	"calls":     makeCalls,
	"disagree":  func(g dist.Group) error { return disagree(g) },
	"stuck":     stuck,
	"die":       die,
	"elsewhere": elsewhere,
}

// makeCalls makes every call of a group and checks its result.
func makeCalls(g dist.Group) error {
	rank, size := float64(g.Rank()), float64(g.Size())
	single, double := make([]float32, 100_003), make([]float64, 77)
	for i := range single {
		single[i] = float32(g.Rank() + i%10)
	}
	for i := range double {
		double[i] = rank / 3
	}
	if err := g.SumAll(single); err != nil {
		return err
	}
	if err := g.SumAll(double); err != nil {
		return err
	}
	total := size * (size - 1) / 2
	for i, v := range single {
		if want := total + size*float64(i%10); float64(v) != want {
			return fmt.Errorf("rank %d: element %d is %g, want %g", g.Rank(), i, v, want)
		}
	}
	if d := double[76] - total/3; d < -1e-12 || d > 1e-12 {
		return fmt.Errorf("rank %d: %g, want %g", g.Rank(), double[76], total/3)
	}
	for root := range g.Size() {
		b, err := dist.Share(g, []byte(fmt.Sprint("from ", g.Rank())), root)
		if err != nil || string(b) != fmt.Sprint("from ", root) {
			return fmt.Errorf("rank %d got %q of rank %d: %v", g.Rank(), b, root, err)
		}
	}
	if err := g.Broadcast(nil, g.Size()); err == nil {
		return fmt.Errorf("a broadcast from rank %d of %d succeeded", g.Size(), g.Size())
	}
	if err := dist.Agree(g, []dist.Fact{{Name: "version", Value: "1"}}); err != nil {
		return err
	}
	fmt.Printf("rank %d of %d is content\n", g.Rank(), g.Size())
	return g.Barrier()
}

// disagree must fail on all ranks, because the last one has another text.
func disagree(g dist.Group) error {
	text := "a"
	if g.Rank() == g.Size()-1 {
		text = "b"
	}
	err := dist.Agree(g, []dist.Fact{{Name: "seed", Value: "1"}, {Name: "text", Value: text}})
	if err != nil {
		return fmt.Errorf("refused on %d: %w", g.Rank(), err)
	}
	return nil
}

// stuck lets the last rank sleep while the others wait for it.
func stuck(g dist.Group) error {
	if g.Rank() == g.Size()-1 {
		time.Sleep(9 * time.Second)
		return nil
	}
	return g.Barrier()
}

// elsewhere kills the last rank while the others wait for something else, which
// does not come.
func elsewhere(g dist.Group) error {
	if g.Rank() == g.Size()-1 {
		return die(g)
	}
	time.Sleep(time.Minute)
	return nil
}

// die kills the last rank while the others wait for it.
func die(g dist.Group) error {
	if g.Rank() == g.Size()-1 {
		time.Sleep(time.Second)
		p, err := os.FindProcess(os.Getpid())
		if err != nil {
			return err
		}
		return p.Kill()
	}
	return g.Barrier()
}

// eachLauncher calls f for every way to start ranks.
func eachLauncher(t *testing.T, f func(t *testing.T, l testutil.RankLauncher)) {
	for _, l := range testutil.RankLaunchers(hasMPI) {
		t.Run(l.String(), func(t *testing.T) { f(t, l) })
	}
}

// run starts ranks in a role and returns what they and the launcher wrote.
func run(t *testing.T, l testutil.RankLauncher, ranks int, role string) (string, error) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	job := l.Start(t, ranks, []string{roleVariable + "=" + role}, func(int) []string { return []string{exe} })
	err = job.Wait()
	return job.Out.String(), err
}

func TestRanksMakeAllCalls(t *testing.T) {
	eachLauncher(t, func(t *testing.T, l testutil.RankLauncher) {
		for _, ranks := range []int{2, 4} {
			out, err := run(t, l, ranks, "calls")
			if err != nil || strings.Count(out, "is content") != ranks {
				t.Errorf("%d ranks: %v\n%s", ranks, err, out)
			}
		}
	})
}

func TestRanksThatDisagreeAllSayWhy(t *testing.T) {
	eachLauncher(t, func(t *testing.T, l testutil.RankLauncher) {
		out, err := run(t, l, 3, "disagree")
		if err == nil || !strings.Contains(out, "rank 2 differs from rank 0: text is b instead of a") {
			t.Errorf("%v\n%s", err, out)
		}
	})
}

func TestWaitingForARankThatIsStuckEnds(t *testing.T) {
	eachLauncher(t, func(t *testing.T, l testutil.RankLauncher) {
		start := time.Now()
		out, err := run(t, l, 2, "stuck")
		if err == nil || !strings.Contains(out, "rank 0 of 2") {
			t.Errorf("%v\n%s", err, out)
		}
		if took := time.Since(start); took > 15*time.Second {
			t.Errorf("the job ended after %v", took)
		}
	})
}

func TestTheDeathOfARankEndsTheJob(t *testing.T) {
	eachLauncher(t, func(t *testing.T, l testutil.RankLauncher) {
		start := time.Now()
		out, err := run(t, l, 3, "die")
		if err == nil {
			t.Error("the job succeeded without a rank")
		}
		if took := time.Since(start); took > 15*time.Second {
			t.Errorf("the job ended after %v", took)
		}
		t.Log(out)
		if l.MPIRun == "" && strings.Count(out, "rank 2 has ended") != 2 {
			t.Error("the other ranks do not say why they end")
		}
	})
}

// TestALostRankIsNoticedWithoutCalls: a rank that waits for its GPU makes none.
func TestALostRankIsNoticedWithoutCalls(t *testing.T) {
	start := time.Now()
	out, err := run(t, testutil.RankLauncher{}, 3, "elsewhere")
	if err == nil || strings.Count(out, "told that") != 2 || strings.Count(out, "rank 2 has ended") != 2 {
		t.Errorf("%v\n%s", err, out)
	}
	if took := time.Since(start); took > 8*time.Second {
		t.Errorf("the job ended after %v", took)
	}
	t.Log(out)
}
