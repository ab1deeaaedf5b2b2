// The generator compiles the kernels from CUDA C++ to PTX with NVRTC 12.4, without a
// card, a toolkit or a host compiler. It finds libnvrtc.so.12 through the flag
// -nvrtc, in the loader's path, or among the Python packages:
//
//	pip install --no-deps nvidia-cuda-nvrtc-cu12==12.4.127
//
// Every file NAME.cu becomes NAME.f32.ptx.gz and NAME.f64.ptx.gz, or one of them
// where it says so, for compute capability 8.0 or what it says. The same version writes the same bytes.
package main

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"strings"
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
	flag.Parse()
	c, err := openCompiler(*lib)
	check(err)
	if c.version != release {
		check(fmt.Errorf("%s is NVRTC %s; the kernels are compiled with %s", c.path, c.version, release))
	}
	sources, err := filepath.Glob(filepath.Join(*out, "*.cu"))
	check(err)
	for _, source := range sources {
		code, err := inline(source, make(map[string]bool))
		check(err)
		for _, b := range builds {
			architecture := "compute_80"
			if only := element.FindSubmatch(code); only != nil {
				if string(only[1]) != b.suffix {
					continue
				}
				if name := string(only[2]); name != "" {
					architecture = name
				}
			}
			ptx, err := c.compile(filepath.Base(source), code, "--gpu-architecture="+architecture, "-default-device", "--std=c++17", "-DELEMENT="+b.element)
			check(err)
			name := strings.TrimSuffix(source, ".cu") + "." + b.suffix + ".ptx.gz"
			check(os.WriteFile(name, pack(ptx), 0o644))
		}
	}
}

// element is the line by which a file asks for one element type alone, and for
// another architecture than compute_80.
var element = regexp.MustCompile(`(?m)^//gen: (f32|f64)(?: (compute_\w+))?$`)

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
func pack(ptx []byte) []byte {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	check(err)
	_, err = z.Write(ptx)
	check(err)
	check(z.Close())
	return b.Bytes()
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
