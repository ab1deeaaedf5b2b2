package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/gorgonia-xlstm/xlstm/blas"
	"github.com/gorgonia-xlstm/xlstm/internal/machine"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/gorgonia-xlstm/xlstm/internal/run"
	"github.com/pkg/errors"
)

// versionCommand prints what the program is made of and what it runs on.
func versionCommand(_ context.Context, args []string, c console) error {
	f := newFlags("version", "Print the versions of the program and of Go, and what computes on this processor.", c, "version")
	words, err := parseWords(f, args)
	if err != nil {
		return err
	}
	if len(words) > 0 {
		return errors.Errorf("version takes no arguments, got %q", words[0])
	}
	module, version := "github.com/gorgonia-xlstm/xlstm", "(unknown)"
	if info, known := debug.ReadBuildInfo(); known && info.Main.Path != "" {
		module, version = info.Main.Path, info.Main.Version
	}
	fmt.Fprintf(c.out, "module      %s %s\n", module, version)
	if source := run.Revision(); source != "" {
		fmt.Fprintf(c.out, "source      %s\n", source)
	}
	fmt.Fprintf(c.out, "go          %s %s/%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	if name := machine.CPUName(); name != "" {
		fmt.Fprintf(c.out, "processor   %s, %s\n", name, numbers.Count(runtime.GOMAXPROCS(0), "thread"))
	}
	_, err = fmt.Fprintf(c.out, "kernels     %s\n", blas.Implementation().Kernels())
	return err
}
