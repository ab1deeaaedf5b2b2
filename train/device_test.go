package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/dist"
)

// TestDeviceFlags: mistakes get one sentence, and a program without GPUs says
// how to build one that has them.
func TestDeviceFlags(t *testing.T) {
	for _, c := range []struct {
		on   onDevice
		says string
	}{
		{onDevice{"cpu", "tf32"}, "-device cuda"},
		{onDevice{"cuda:x", ""}, "number of a card"},
		{onDevice{"gpu", ""}, `no device "gpu"`},
		{onDevice{"cuda", "fp8"}, `no precision "fp8"`},
	} {
		if _, _, err := c.on.open(); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v, want %q", c.on, err, c.says)
		}
	}
	// No such card, no driver, or a build without GPUs.
	if _, _, err := (onDevice{name: "cuda:99"}).open(); err == nil || !regexp.MustCompile(`-tags nvidia|cards, numbered|driver is needed`).MatchString(err.Error()) {
		t.Errorf("card 99: %v", err)
	}
	if d, free, err := (onDevice{name: "cpu"}).open(); d != nil || err != nil {
		t.Errorf("the CPU: %v, %v", d, err)
	} else {
		free()
	}
}

func TestEveryRankOfAMachineHasAGPU(t *testing.T) {
	two := ranksOfTwo{dist.Alone()}
	for _, c := range []struct {
		device, local, visible, want string
		group                        dist.Group
	}{
		{"cuda", "1", "", "cuda:1", two},
		{"cuda", "1", "4,6", "cuda:1", two},
		{"cuda", "1", "6", "cuda:0", two},
		{"cuda:3", "1", "", "cuda:3", two},
		{"cpu", "1", "", "cpu", two},
		{"cuda", "1", "", "cuda", dist.Alone()},
	} {
		t.Setenv("LOCAL_RANK", c.local)
		t.Setenv("CUDA_VISIBLE_DEVICES", c.visible)
		if got := (onDevice{name: c.device}).forRank(c.group).name; got != c.want {
			t.Errorf("-device %s of local rank %s with cards %q: %s, want %s", c.device, c.local, c.visible, got, c.want)
		}
	}
}

type ranksOfTwo struct{ dist.Group }

func (ranksOfTwo) Size() int { return 2 }
