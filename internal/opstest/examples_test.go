package opstest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// each calls f for every operation among the examples.
func each(f func(op ops.Op)) {
	for _, e := range Examples() {
		f(e.Op)
		if e.Grad != nil {
			f(e.Grad)
		}
	}
}

// TestEveryOperationHasAnExample reads the source of package ops: what has a
// method MulAdds or Name is an operation.
func TestEveryOperationHasAnExample(t *testing.T) {
	shown := map[string]bool{"ops.Part": true, "ops.Put": true, "ops.Fork": true, "ops.Branch": true} // views
	each(func(op ops.Op) { shown[fmt.Sprintf("%T", op)] = true })
	sources, err := filepath.Glob("../ops/*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, source := range sources {
		file, err := parser.ParseFile(token.NewFileSet(), source, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv == nil || f.Name.Name != "Name" {
				continue
			}
			found++
			if name := "ops." + f.Recv.List[0].Type.(*ast.Ident).Name; !shown[name] {
				t.Errorf("%s has no example", name)
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d operations were found", found)
	}
}

// TestKeysTellOperationsApart: no two different examples have one key, and a copy
// has the same.
func TestKeysTellOperationsApart(t *testing.T) {
	keys := make(map[string]ops.Op)
	each(func(op ops.Op) {
		key := ops.Key(op)
		if other, taken := keys[key]; taken && fmt.Sprintf("%#v", other) != fmt.Sprintf("%#v", op) {
			t.Errorf("%#v and %#v have the key %s", other, op, key)
		}
		keys[key] = op
	})
	a := ops.Linear{Rows: 2, In: 3, Outs: []int{4}}
	b := ops.Linear{Rows: 2, In: 3, Outs: []int{4}}
	if ops.Key(a) != ops.Key(b) || ops.Key(a) == ops.Key(ops.LinearGrad{Linear: a}) {
		t.Error("keys do not tell what is the same")
	}
}

// TestDerivativesWriteAGradientForEveryFloat: the results of a derivative are the
// gradients of the operation's float inputs, or some of them, under their names.
func TestDerivativesWriteAGradientForEveryFloat(t *testing.T) {
	for _, e := range Examples() {
		if e.Grad == nil || e.Op.Name() == "stabilize" {
			continue
		}
		inputs := make(map[string]ops.Arg)
		for _, arg := range e.Op.Inputs() {
			if !arg.Int {
				inputs["d"+arg.Name] = arg
			}
		}
		for _, out := range e.Grad.Outputs() {
			in, ok := inputs[out.Name]
			if !ok || fmt.Sprint(in.Shape) != fmt.Sprint(out.Shape) {
				t.Errorf("%s writes %s %v, which is no gradient of %s", e.Grad.Name(), out.Name, out.Shape, e.Op.Name())
			}
		}
	}
}
