package bench

import (
	"slices"
	"strings"

	"github.com/pkg/errors"
)

// StartName is the name of the measurement of the time from the start of the
// process to the end of the first training step.
const StartName = "start"

// Names returns the names that Choose accepts, for a device or for the CPU.
func Names(onDevice bool) []string {
	var names []string
	for _, g := range groups(onDevice) {
		names = append(names, g.Name)
	}
	return append(names, StartName)
}

func groups(onDevice bool) []Group {
	if onDevice {
		return DeviceGroups()
	}
	return Groups()
}

// Choose returns the workloads of the names given, or all, each once, for a
// device or for the CPU. A name is
// that of a group or of a workload.
func Choose(names []string, onDevice bool) ([]Workload, error) {
	if len(names) == 0 {
		names = Names(onDevice)
	}
	var chosen []Workload
	for _, name := range names {
		found := named(name, onDevice)
		if len(found) == 0 {
			return nil, errors.Errorf("there is no %q to measure; there are %s", name, strings.Join(Names(onDevice), ", "))
		}
		for _, w := range found {
			if !slices.ContainsFunc(chosen, func(x Workload) bool { return x.Name == w.Name }) {
				chosen = append(chosen, w)
			}
		}
	}
	return chosen, nil
}

func named(name string, onDevice bool) []Workload {
	if name == StartName {
		w := Models()[0].Training()
		w.Name = StartName
		return []Workload{w}
	}
	for _, g := range groups(onDevice) {
		if g.Name == name {
			return g.Workloads
		}
		for _, w := range g.Workloads {
			if w.Name == name {
				return []Workload{w}
			}
		}
	}
	return nil
}
