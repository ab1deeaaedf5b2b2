package nodes_test

import (
	"fmt"
	"log"

	"github.com/gorgonia-xlstm/xlstm/nodes"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// An mLSTM cell in a user's graph, differentiated by gorgonia.Grad.
func ExampleMLSTM() {
	const batch, steps, heads, width = 2, 10, 4, 32
	g := gorgonia.NewGraph()
	input := func(name string, cols int) *gorgonia.Node {
		return gorgonia.NewMatrix(g, tensor.Float32, gorgonia.WithShape(batch*steps, cols),
			gorgonia.WithName(name), gorgonia.WithInit(gorgonia.GlorotN(1)))
	}
	q, k, v := input("q", width), input("k", width), input("v", width)
	i, f := input("i", heads), input("f", heads)

	h, next, err := nodes.MLSTM(nodes.MLSTMConfig{Batch: batch, NumHeads: heads}, q, k, v, i, f, nil)
	if err != nil {
		log.Fatal(err)
	}
	loss := gorgonia.Must(gorgonia.Mean(gorgonia.Must(gorgonia.Square(h))))
	grads, err := gorgonia.Grad(loss, q, f)
	if err != nil {
		log.Fatal(err)
	}
	if err := nodes.Check(g); err != nil {
		log.Fatal(err)
	}
	vm := gorgonia.NewTapeMachine(g)
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		log.Fatal(err)
	}
	fmt.Println("h", h.Value().Shape(), "memory", next.C.Value().Shape())
	fmt.Println("dq", grads[0].Value().Shape(), "df", grads[1].Value().Shape())
	// Output:
	// h (20, 32) memory (2, 4, 8, 8)
	// dq (20, 32) df (20, 4)
}

// In its first step an sLSTM cell returns σ(o~)·tanh(z~), whatever the input and
// forget gates are.
func ExampleSLSTM() {
	g := gorgonia.NewGraph()
	input := func(name string, v float64, shape ...int) *gorgonia.Node {
		return gorgonia.NewTensor(g, tensor.Float64, len(shape), gorgonia.WithShape(shape...),
			gorgonia.WithName(name), gorgonia.WithInit(gorgonia.ValuesOf(v)))
	}
	i, f, z, o := input("i", 7, 1, 2), input("f", -3, 1, 2), input("z", 1, 1, 2), input("o", 0, 1, 2)
	r, bias := input("r", 0, 1, 8, 2), input("bias", 0, 8)

	y, _, err := nodes.SLSTM(nodes.SLSTMConfig{Batch: 1, NumHeads: 1}, i, f, z, o, r, bias, nil)
	if err != nil {
		log.Fatal(err)
	}
	vm := gorgonia.NewTapeMachine(g)
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%.4f\n", y.Value().Data())
	// Output: [0.3808 0.3808]
}

// A recurrent cell that runs forward alone, step after step: it writes the new
// state over the old one.
func ExampleSequence() {
	g := gorgonia.NewGraph()
	input := func(name string, v float64, shape ...int) *gorgonia.Node {
		return gorgonia.NewTensor(g, tensor.Float64, len(shape), gorgonia.WithShape(shape...),
			gorgonia.WithName(name), gorgonia.WithInit(gorgonia.ValuesOf(v)))
	}
	i, f, z, o := input("i", 0, 1, 2), input("f", 0, 1, 2), input("z", 1, 1, 2), input("o", 0, 1, 2)
	r, bias, state := input("r", 1, 1, 8, 2), input("bias", 0, 8), input("state", 0, 4, 1, 2)
	y, next, err := nodes.SLSTM(nodes.SLSTMConfig{Batch: 1, NumHeads: 1}, i, f, z, o, r, bias, state)
	if err != nil {
		log.Fatal(err)
	}
	memory := map[*gorgonia.Node]*tensor.Dense{next: state.Value().(*tensor.Dense)}
	s, err := nodes.NewSequence(g, memory)
	if err != nil {
		log.Fatal(err)
	}
	for range 3 {
		if err := s.RunAll(); err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%.4f\n", y.Value().Data())
	}
	// Output:
	// [0.3808 0.3808]
	// [0.6128 0.6128]
	// [0.7317 0.7317]
}

// A chain of operations needs the memory of two: the one that is computed, and
// the one that it reads.
func ExampleShareMemory() {
	g := gorgonia.NewGraph()
	x := gorgonia.NewMatrix(g, tensor.Float32, gorgonia.WithShape(1000, 250), gorgonia.WithName("x"), gorgonia.WithInit(gorgonia.Zeroes()))
	y := x
	for range 20 {
		var err error
		if y, err = nodes.SiLU(y); err != nil {
			log.Fatal(err)
		}
	}
	memory, err := nodes.ShareMemory(g, y)
	if err != nil {
		log.Fatal(err)
	}
	vm := gorgonia.NewTapeMachine(g)
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		log.Fatal(err)
	}
	shared, kept := memory.Bytes()
	fmt.Println(kept, "bytes for the last matrix,", shared, "more for the 19 others")
	// Output: 1000000 bytes for the last matrix, 1000000 more for the 19 others
}
