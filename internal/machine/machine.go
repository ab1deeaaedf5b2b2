// Package machine reads what Linux says about the machine and this process, under
// /proc. Elsewhere there is nothing to read, and what asks goes without.
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

// PeakMemory returns the most memory that this process has held, in bytes; 0 if
// it is not known.
func PeakMemory() float64 {
	n, _ := kilobytes("/proc/self/status", "VmHWM:")
	return float64(n)
}

// FreeMemory returns the bytes of memory that processes can still have, and whether
// the system tells it.
func FreeMemory() (int64, bool) { return kilobytes("/proc/meminfo", "MemAvailable:") }

// CPUName returns the name of the processor, empty if it is not known.
func CPUName() string {
	return strings.TrimPrefix(strings.Join(procLine("/proc/cpuinfo", "model name"), " "), ": ")
}

// Load is how busy the machine's cores have been since it was started, in
// seconds.
type Load struct {
	at        time.Time
	all, ours float64
}

// ReadLoad returns the load up to now, and whether the system tells it.
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

// Others returns how many cores other processes have kept busy since l was read, to
// a hundredth; nil where that is not known.
func (l Load) Others() *float64 {
	now, known := ReadLoad()
	if !known {
		return nil
	}
	cores := ((now.all - l.all) - (now.ours - l.ours)) / now.at.Sub(l.at).Seconds()
	cores = math.Round(100*max(0, cores)) / 100
	return &cores
}
