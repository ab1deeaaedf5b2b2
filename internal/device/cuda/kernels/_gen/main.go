// The generator compiles the kernels from CUDA C++ to PTX with NVRTC 12.4, without a
// card, a toolkit or a host compiler. It finds libnvrtc.so.12 through the flag
// -nvrtc, in the loader's path, or among the Python packages:
//
//	pip install --no-deps nvidia-cuda-nvrtc-cu12==12.4.127
//
// Every file NAME.cu becomes NAME.f32.ptx.gz and NAME.f64.ptx.gz, or one of them
// where it says so, for compute capability 8.0 or what it says, and the former also
// machine code for cards of 8.x and 9.0, NAME.f32.sm_80.cubin.gz and
// NAME.f32.sm_90.cubin.gz. The same version writes the same bytes.
package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
)

// release is the version of NVRTC whose output is committed; drivers accept it from
// CUDA 12.4 on.
const release = "12.4"

// builds are the ways in which every file is compiled.
var builds = []struct{ suffix, element string }{{"f32", "float"}, {"f64", "double"}}

func main() {
	log.SetFlags(0)
	log.SetPrefix("kernels/_gen: ")
	lib := flag.String("nvrtc", "", "path of libnvrtc.so.12; searched for where it is not given")
	out := flag.String("out", "..", "folder of the .cu files, to which PTX is written")
	only := flag.String("module", "", "compile this module alone, such as conv.f32")
	flag.Parse()
	fixAddresses()
	modules, err := modulesOf(*out)
	check(err)
	if *only == "" {
		compileAll(modules, *lib, *out)
		return
	}
	c, err := openCompiler(*lib)
	check(err)
	if c.version != release {
		check(fmt.Errorf("%s is NVRTC %s; the kernels are compiled with %s", c.path, c.version, release))
	}
	for _, m := range modules {
		if m.name == *only {
			c.write(filepath.Join(*out, m.name), m)
		}
	}
}

// module is a source for an element type, with what it includes.
type module struct {
	name, element string
	code          []byte
	capability    string // the least compute capability, such as 80
}

func modulesOf(folder string) (modules []module, err error) {
	sources, err := filepath.Glob(filepath.Join(folder, "*.cu"))
	if err != nil {
		return nil, err
	}
	for _, source := range sources {
		code, err := inline(source, make(map[string]bool))
		if err != nil {
			return nil, err
		}
		for _, b := range builds {
			capability := "80"
			if only := element.FindSubmatch(code); only != nil {
				if string(only[1]) != b.suffix {
					continue
				}
				capability = cmp.Or(string(only[2]), capability)
			}
			name := strings.TrimSuffix(filepath.Base(source), ".cu") + "." + b.suffix
			modules = append(modules, module{name, b.element, code, capability})
		}
	}
	return modules, nil
}

// compileAll has every module compiled by a process of its own, as many at a time as
// there are processors, so that none depends on where in memory another one was
// compiled; see fixAddresses.
func compileAll(modules []module, lib, out string) {
	program, err := os.Executable()
	check(err)
	var wait sync.WaitGroup
	places := make(chan struct{}, runtime.NumCPU())
	for _, m := range modules {
		places <- struct{}{}
		wait.Go(func() {
			cmd := exec.Command(program, "-nvrtc", lib, "-out", out, "-module", m.name)
			cmd.Stderr = os.Stderr
			check(cmd.Run())
			<-places
		})
	}
	wait.Wait()
}

// write compiles a module: to PTX for its compute capability and, with elements of
// float32, to machine code for the common cards that have it. The machine code carries
// the checksum of the PTX to which it belongs.
func (c *compiler) write(path string, m module) {
	build := func(architecture string) (ptx, cubin []byte) {
		ptx, cubin, err := c.compile(m.name, m.code, "--gpu-architecture="+architecture, "-default-device", "--std=c++17", "-DELEMENT="+m.element)
		check(err)
		return ptx, cubin
	}
	ptx, _ := build("compute_" + m.capability)
	packed := pack(ptx, "")
	check(os.WriteFile(path+".ptx.gz", packed, 0o644))
	if m.element != "float" || ptxAlone.Match(m.code) {
		return
	}
	sum := fmt.Sprintf("%x", sha256.Sum256(packed))
	machines := []string{m.capability}
	if m.capability == "80" {
		machines = append(machines, "90")
	}
	for _, machine := range machines {
		_, cubin := build("sm_" + machine)
		check(os.WriteFile(path+".sm_"+machine[:2]+".cubin.gz", pack(cubin, sum), 0o644))
	}
}

// element is the line by which a file asks for one element type alone, and for
// another compute capability than 8.0.
var element = regexp.MustCompile(`(?m)^//gen: (f32|f64)(?: compute_(\w+))?$`)

// ptxAlone is the line by which a file asks for no machine code, because not all tests
// of it have passed on a card, or because NVRTC does not write the same every time.
var ptxAlone = regexp.MustCompile(`(?m)^//gen: PTX$`)

var include = regexp.MustCompile(`(?m)^#include "([^"]+)"$`)

// inline returns a source with the files that it includes put in place, each once:
// NVRTC then needs no file system, and the PTX no paths. Files in seen are left out.
func inline(path string, seen map[string]bool) ([]byte, error) {
	if seen[path] {
		return nil, nil
	}
	seen[path] = true
	code, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var failed error
	code = include.ReplaceAllFunc(code, func(line []byte) []byte {
		header, err := inline(filepath.Join(filepath.Dir(path), string(include.FindSubmatch(line)[1])), seen)
		if err != nil {
			failed = err
		}
		return bytes.Replace(header, []byte("#pragma once\n"), nil, 1)
	})
	return code, failed
}

// pack compresses without a name or a time, so that the same input gives the same
// bytes.
func pack(image []byte, comment string) []byte {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	check(err)
	z.Comment = comment
	_, err = z.Write(image)
	check(err)
	check(z.Close())
	return b.Bytes()
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
