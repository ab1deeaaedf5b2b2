// Package graphviz lays graphs out with Graphviz 12.1.2, which the package
// contains as WebAssembly, so that nothing needs to be installed. It is not
// compiled or run before the first graph is laid out.
//
// The WebAssembly is the one that github.com/goccy/go-graphviz v0.2.10 was
// released with, where its build is described; that package itself compiles it
// whenever a program starts that imports it. NOTICE has the licences.
package graphviz

import (
	"bytes"
	"context"
	_ "embed"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/pkg/errors"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

//go:embed graphviz.wasm
var binary []byte

// SVG lays out a graph in the DOT language, from top to bottom unless its
// attributes say otherwise, and returns Graphviz's SVG. The same graph always
// gives the same bytes. SVG may be called concurrently.
func SVG(dot []byte) (svg []byte, err error) {
	p, err := compiled()
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	// A new instance for every graph: no state is left from the previous one.
	module, err := p.runtime.InstantiateModule(ctx, p.code, wazero.NewModuleConfig().WithName(""))
	if err != nil {
		return nil, errors.Wrap(err, "starting Graphviz")
	}
	i := &instance{Module: module}
	defer func() {
		if closed := module.Close(ctx); err == nil && closed != nil {
			err = errors.Wrap(closed, "ending Graphviz")
		}
	}()
	svg = i.draw(dot)
	return svg, i.err
}

// program is Graphviz, ready to be started.
type program struct {
	runtime wazero.Runtime
	code    wazero.CompiledModule
}

// compiled compiles Graphviz once in a process, or finds what another process has
// compiled in the user's folder for caches.
var compiled = sync.OnceValues(func() (program, error) {
	ctx := context.Background()
	config := wazero.NewRuntimeConfig()
	if dir, err := os.UserCacheDir(); err == nil {
		if cache, err := wazero.NewCompilationCacheWithDir(filepath.Join(dir, "xlstm", "graphviz")); err == nil {
			config = config.WithCompilationCache(cache)
		}
	}
	p := program{runtime: wazero.NewRuntimeWithConfig(ctx, config)}
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, p.runtime); err != nil {
		return p, errors.Wrap(err, "preparing Graphviz")
	}
	var err error
	if p.code, err = p.runtime.CompileModule(ctx, binary); err != nil {
		return p, errors.Wrap(err, "compiling Graphviz")
	}
	// Graphviz can call Go for renderers and the like that are written in Go. There
	// are none.
	env := p.runtime.NewHostModuleBuilder("env")
	for _, f := range p.code.ImportedFunctions() {
		if module, name, _ := f.Import(); module == "env" {
			env = env.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(absent), f.ParamTypes(), f.ResultTypes()).Export(name)
		}
	}
	_, err = env.Instantiate(ctx)
	return p, errors.Wrap(err, "preparing Graphviz")
})

// absent stands for every host function that Graphviz imports and that is not
// provided.
func absent(_ context.Context, _ api.Module, stack []uint64) {
	if len(stack) > 0 {
		stack[0] = 0
	}
}

// instance is Graphviz at work. After the first error it does nothing more.
type instance struct {
	api.Module
	err error
}

// draw returns the SVG of a graph.
func (i *instance) draw(dot []byte) []byte {
	const silent = 2 // AGMAX: keep messages for lastError
	i.result("setError", silent)
	graph := i.result("memRead", i.text(string(dot)))
	if i.err == nil && graph == 0 {
		if why := i.message(); why != "" {
			i.fail("this is not DOT: %s", why)
		} else {
			i.fail("there is no graph in the DOT")
		}
	}
	engine := i.result("getContextWithPlugins", i.plugins(), 1)
	if failed := i.result("Context_layout", engine, graph, i.text("dot")); failed != 0 {
		i.fail("laying the graph out: %s", i.message())
	}
	out, size := i.allocate(4), i.allocate(4)
	if failed := i.result("Context_renderData", engine, graph, i.text("svg"), out, size); failed != 0 {
		i.fail("writing the picture: %s", i.message())
	}
	return i.string(i.word(out))
}

// plugins returns the list of Graphviz's own plugins, which ends with an empty one.
// A slice of the bridge is its length and a pointer to elements of eight bytes.
func (i *instance) plugins() uint64 {
	own := i.result("SymList_default")
	n, from := i.word(own), i.word(own+4)
	list, to := i.allocate(8), i.allocate(8*(int(n)+1))
	i.set(list, n+1)
	i.set(list+4, to)
	for k := range n {
		i.set(to+8*k, i.word(from+8*k))
	}
	i.set(to+8*n, i.result("SymList_zero"))
	return list
}

// message returns what Graphviz says of its last error.
func (i *instance) message() string {
	return string(bytes.TrimSpace(i.string(i.result("lastError"))))
}

func (i *instance) fail(format string, args ...any) {
	if i.err == nil {
		i.err = errors.Errorf(format, args...)
	}
}

// call calls a function of the module by its name.
func (i *instance) call(name string, args ...uint64) uint64 {
	if i.err != nil {
		return 0
	}
	f := i.ExportedFunction(name)
	if f == nil {
		i.fail("Graphviz has no function %s", name)
		return 0
	}
	results, err := f.Call(context.Background(), args...)
	if err != nil {
		why, _, _ := strings.Cut(err.Error(), "\n") // without WebAssembly's stack
		i.fail("Graphviz failed in %s: %s", name, why)
		return 0
	}
	if len(results) == 0 {
		return 0
	}
	return results[0]
}

// result calls a function of the bridge, which writes its result to where its last
// argument points.
func (i *instance) result(name string, args ...uint64) uint64 {
	to := i.allocate(4)
	i.call("wasm_bridge_"+name, append(args, to)...)
	return i.word(to)
}

func (i *instance) allocate(size int) uint64 {
	at := i.call("malloc", uint64(size))
	if at == 0 {
		i.fail("Graphviz has no memory left")
	}
	return at
}

// text copies a string to the module and returns where it is.
func (i *instance) text(s string) uint64 {
	at := i.allocate(len(s) + 1)
	if i.err == nil && !i.Memory().WriteString(uint32(at), s+"\x00") {
		i.fail("writing beyond Graphviz's memory")
	}
	return at
}

// word reads a pointer or a number.
func (i *instance) word(at uint64) uint64 {
	if i.err != nil {
		return 0
	}
	x, ok := i.Memory().ReadUint32Le(uint32(at))
	if !ok {
		i.fail("reading beyond Graphviz's memory")
	}
	return uint64(x)
}

// set writes a pointer or a number.
func (i *instance) set(at, x uint64) {
	if i.err == nil && !i.Memory().WriteUint32Le(uint32(at), uint32(x)) {
		i.fail("writing beyond Graphviz's memory")
	}
}

// string returns a copy of a string of the bridge, a pointer and a length; nil for
// none.
func (i *instance) string(at uint64) []byte {
	if i.err != nil || at == 0 {
		return nil
	}
	data, size := i.word(at), i.word(at+4)
	text, ok := i.Memory().Read(uint32(data), uint32(size))
	if !ok {
		i.fail("reading beyond Graphviz's memory")
	}
	return bytes.Clone(text)
}
