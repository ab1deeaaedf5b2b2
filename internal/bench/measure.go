package bench

import (
	"context"
	"math"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/machine"
	"github.com/gorgonia-xlstm/xlstm/internal/peak"
)

// FewestSteps is the minimum number of timed steps, however long they take,
// because the median of fewer steps is meaningless.
const FewestSteps = 3

// Measurement is the result of measuring a workload. Rates and times are
// medians over the timed steps; quartiles are the first and the third.
type Measurement struct {
	Name             string      `json:"name"`
	Batch            int         `json:"batch,omitempty"`
	Length           int         `json:"length,omitempty"`
	TokPerS          float64     `json:"tok_per_s,omitempty"`
	TokPerSQuartiles *[2]float64 `json:"tok_per_s_quartiles,omitempty"`
	StepMS           float64     `json:"step_ms,omitempty"`
	StepMSQuartiles  *[2]float64 `json:"step_ms_quartiles,omitempty"`
	Seconds          float64     `json:"seconds,omitempty"` // to a first step
	SecondsQuartiles *[2]float64 `json:"seconds_quartiles,omitempty"`
	Steps            int         `json:"steps"`
	WarmUp           int         `json:"warm_up_steps"`
	GFLOPS           float64     `json:"gflops,omitempty"`
	// GemmGFLOPS is the best rate of large matrix products measured immediately
	// afterwards on the same number of cores, and ShareOfGemmPeak is GFLOPS as
	// a share of it.
	GemmGFLOPS      float64 `json:"gemm_gflops,omitempty"`
	ShareOfGemmPeak float64 `json:"share_of_gemm_peak,omitempty"`
	// FMAGFLOPS is the rate of multiply-adds in registers, measured in the same way,
	// and ShareOfFMAPeak is GFLOPS as a share of it.
	FMAGFLOPS      float64  `json:"fma_gflops,omitempty"`
	ShareOfFMAPeak float64  `json:"share_of_fma_peak,omitempty"`
	PeakRSSMB      float64  `json:"peak_rss_mb,omitempty"`
	OtherCores     *float64 `json:"other_cores,omitempty"` // that other processes kept busy
	Threads        int      `json:"threads"`
	Go             string   `json:"go"`
	System         string   `json:"system"`
	CPU            string   `json:"cpu,omitempty"`
	// Device is the device's name, Precision that of its products, and DeviceMB
	// its memory in use, in megabytes.
	Device    string  `json:"device,omitempty"`
	Precision string  `json:"precision,omitempty"`
	DeviceMB  float64 `json:"device_mb,omitempty"`
}

// describe begins the Measurement of a workload with what is known of it, of the
// machine and of the process so far.
func (b Bench) describe(w Workload) Measurement {
	m := Measurement{
		Name: w.Name, Batch: w.Batch, Length: w.Length, PeakRSSMB: rounded(machine.PeakMemory() / 1e6),
		Threads: runtime.GOMAXPROCS(0), Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, CPU: machine.CPUName(),
	}
	if b.Device == nil {
		return m
	}
	m.Device, m.Precision = b.Device.Name(), b.Precision
	if d, ok := b.Device.(device.Sized); ok {
		if free, total, err := d.Memory(); err == nil {
			m.DeviceMB = rounded(float64(total-free) / 1e6)
		}
	}
	return m
}

// measure times the steps of a task.
func (b Bench) measure(ctx context.Context, w Workload, task *Task) (Measurement, error) {
	if w.OneThread {
		runtime.GOMAXPROCS(1)
	}
	before, known := machine.ReadLoad()
	timed, err := timeSteps(ctx, b.Seconds, stopwatch(task.Step))
	if err != nil {
		return Measurement{}, err
	}
	m := b.describe(w)
	if known {
		m.OtherCores = before.Others()
	}
	m.Steps, m.WarmUp = len(timed.times), timed.warmUp
	low, median, high := timed.quantile(0.25), timed.quantile(0.5), timed.quantile(0.75)
	m.StepMS, m.StepMSQuartiles = rounded(1e3*median), &[2]float64{rounded(1e3 * low), rounded(1e3 * high)}
	if n := float64(w.Tokens()); n > 0 {
		m.TokPerS, m.TokPerSQuartiles = rounded(n/median), &[2]float64{rounded(n / high), rounded(n / low)}
	}
	rate := task.FLOPs / median / 1e9
	if m.GFLOPS = rounded(rate); b.Device != nil {
		return m, nil
	}
	if fma := fmaPeak(b.Seconds / 20); fma > 0 {
		m.FMAGFLOPS, m.ShareOfFMAPeak = rounded(fma), rounded(rate/fma)
	}
	products, err := gemmPeak(ctx, b.Seconds/20)
	m.GemmGFLOPS, m.ShareOfGemmPeak = rounded(products), rounded(rate/products)
	return m, err
}

// fmaPeak returns the best rate of multiply-adds in registers, in GFLOP/s, on as many
// cores as this process may use; 0 where products have no assembly.
func fmaPeak(seconds float64) (best float64) {
	const each = 1 << 22 // a millisecond or less
	rates := make([]float64, runtime.GOMAXPROCS(0))
	var all sync.WaitGroup
	for i := range rates {
		all.Go(func() {
			for began := time.Now(); time.Since(began).Seconds() < seconds; {
				start := time.Now()
				done := peak.Loop(each)
				rates[i] = max(rates[i], 2*float64(done)/float64(time.Since(start).Nanoseconds()))
			}
		})
	}
	all.Wait()
	for _, rate := range rates {
		best += rate
	}
	return best
}

// gemmPeak returns the best rate of products of matrices, in GFLOP/s: of the
// sizes that are measured too, on as many cores as this process may use.
func gemmPeak(ctx context.Context, seconds float64) (best float64, err error) {
	products := Products()
	for _, w := range products {
		task, err := w.Prepare()
		if err != nil {
			return 0, err
		}
		timed, err := timeSteps(ctx, seconds/float64(len(products)), stopwatch(task.Step))
		if err != nil {
			return 0, err
		}
		best = max(best, task.FLOPs/timed.quantile(0)/1e9)
	}
	return best, nil
}

// stopwatch makes a step return how long it took.
func stopwatch(step func() error) func() (time.Duration, error) {
	return func() (time.Duration, error) {
		began := time.Now()
		err := step()
		return time.Since(began), err
	}
}

// timings are how long steps took, in ascending order.
type timings struct {
	warmUp int // steps before those
	times  []time.Duration
}

// timeSteps takes steps for the given time, and before that as many as fill a
// tenth of it, at least one, to warm up.
func timeSteps(ctx context.Context, seconds float64, step func() (time.Duration, error)) (timings, error) {
	var t timings
	began := time.Now()
	for t.warmUp == 0 || time.Since(began).Seconds() < seconds/10 {
		if _, err := step(); err != nil {
			return t, err
		}
		t.warmUp++
	}
	began = time.Now()
	for len(t.times) < FewestSteps || time.Since(began).Seconds() < seconds {
		took, err := step()
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return t, err
		}
		t.times = append(t.times, took)
	}
	slices.Sort(t.times)
	return t, nil
}

// quantile returns the time below which the share q of the steps lies, in
// seconds; between two steps it is interpolated.
func (t timings) quantile(q float64) float64 {
	at := q * float64(len(t.times)-1)
	low := int(at)
	high := min(low+1, len(t.times)-1)
	between := at - math.Floor(at)
	return (1-between)*t.times[low].Seconds() + between*t.times[high].Seconds()
}

// rounded keeps four digits, which is more than a Measurement has.
func rounded(x float64) float64 {
	y, _ := strconv.ParseFloat(strconv.FormatFloat(x, 'g', 4, 64), 64)
	return y
}
