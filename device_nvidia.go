//go:build nvidia && linux && (amd64 || arm64)

package xlstm

import "github.com/gorgonia-xlstm/xlstm/internal/device/cuda"

// precisions are the precisions as package cuda has them.
var precisions = map[Precision]cuda.Precision{PrecisionFloat32: cuda.Float32, PrecisionTF32: cuda.TF32, PrecisionBF16: cuda.BF16}

func openCUDA(ordinal int, precision Precision) (Device, error) {
	d, err := cuda.Open(ordinal, precisions[precision])
	if err != nil {
		return nil, err
	}
	return d, nil
}

func planCUDA(precision Precision) (Device, error) { return cuda.ForPlans(precisions[precision]), nil }
