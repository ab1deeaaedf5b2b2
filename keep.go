package xlstm

import (
	_ "github.com/chewxy/hm"
	_ "github.com/nlpodyssey/safetensors"
	_ "github.com/pkg/errors"
	_ "go4.org/unsafe/assume-no-moving-gc"
	_ "gonum.org/v1/gonum/blas"
	_ "gorgonia.org/gorgonia"
	_ "gorgonia.org/tensor"
)
