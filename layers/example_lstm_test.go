package layers_test

import (
	"fmt"
	"log"

	"github.com/gorgonia-xlstm/xlstm/layers"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// A classic LSTM has the parameters of PyTorch's nn.LSTM(128, 256, 2), so that
// Store.Load reads a state_dict that was saved as safetensors.
func ExampleLSTMStackConfig() {
	store, err := layers.NewStore(tensor.Float32, 1)
	if err != nil {
		log.Fatal(err)
	}
	s := layers.NewScope(gorgonia.NewGraph(), store, 16)
	if _, err := layers.NewStack(s, layers.LSTMStackConfig(128, 256, 2, 0)); err != nil {
		log.Fatal(err)
	}
	for _, p := range store.Params() {
		fmt.Println(p.Name, p.Value.Shape())
	}
	// Output:
	// weight_ih_l0 (1024, 128)
	// weight_hh_l0 (1024, 256)
	// bias_ih_l0 (1024)
	// bias_hh_l0 (1024)
	// weight_ih_l1 (1024, 256)
	// weight_hh_l1 (1024, 256)
	// bias_ih_l1 (1024)
	// bias_hh_l1 (1024)
}
