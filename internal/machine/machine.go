// Package machine reads information about the machine and this process from
// /proc on Linux. On other systems the information is not available.
package machine

import (
	"bytes"
	"math"
	"os"
	"strconv"
	"strings"
	"time"
)

// procLine returns the fields of the first line of a file that begins with a
// key, without the key; nil if there is none.
func procLine(file, key string) []string {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			return strings.Fields(rest)
		}
	}
	return nil
}

// kilobytes reads an amount of memory, in bytes.
func kilobytes(file, key string) (int64, bool) {
	fields := procLine(file, key)
	if len(fields) == 0 {
		return 0, false
	}
	n, err := strconv.ParseInt(fields[0], 10, 64)
	return n << 10, err == nil
}

// PeakMemory returns the peak memory of this process in bytes, or 0 if it is
// not known.
func PeakMemory() float64 {
	n, _ := kilobytes("/proc/self/status", "VmHWM:")
	return float64(n)
}

// FreeMemory returns the number of bytes of memory that are available to
// processes, and whether the system reports it.
func FreeMemory() (int64, bool) { return kilobytes("/proc/meminfo", "MemAvailable:") }

// CPUName returns the name of the processor, or "" if it is not known.
func CPUName() string {
	return strings.TrimPrefix(strings.Join(procLine("/proc/cpuinfo", "model name"), " "), ": ")
}

// Load is the time, in seconds, for which the cores of the machine have been
// busy since it was started.
type Load struct {
	at        time.Time
	all, ours float64
}

// ReadLoad returns the current load, and whether the system reports it.
func ReadLoad() (Load, bool) {
	const perSecond = 100 // what Linux counts in
	machine := procLine("/proc/stat", "cpu ")
	own, err := os.ReadFile("/proc/self/stat")
	// The name of the program, in parentheses, may hold anything.
	process := strings.Fields(string(own[bytes.LastIndexByte(own, ')')+1:]))
	if err != nil || len(machine) < 8 || len(process) < 15 {
		return Load{}, false
	}
	// All but idle and iowait: user, nice, system, irq, softirq, steal.
	all := total(machine[:3]) + total(machine[5:8])
	// This process and the children it has waited for, in user and system mode.
	ours := total(process[11:15])
	return Load{at: time.Now(), all: all / perSecond, ours: ours / perSecond}, true
}

func total(counts []string) (sum float64) {
	for _, c := range counts {
		n, _ := strconv.ParseFloat(c, 64)
		sum += n
	}
	return sum
}

// Others returns the number of cores that other processes have kept busy since
// l was read, to a hundredth, or nil if it is not known.
func (l Load) Others() *float64 {
	now, known := ReadLoad()
	if !known {
		return nil
	}
	cores := ((now.all - l.all) - (now.ours - l.ours)) / now.at.Sub(l.at).Seconds()
	cores = math.Round(100*max(0, cores)) / 100
	return &cores
}
