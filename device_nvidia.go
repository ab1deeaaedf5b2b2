//go:build nvidia && linux && (amd64 || arm64)

package xlstm

import "github.com/gorgonia-xlstm/xlstm/internal/device/cuda"

func openCUDA(ordinal int, precision Precision) (Device, error) {
	products := map[Precision]cuda.Precision{PrecisionFloat32: cuda.Float32, PrecisionTF32: cuda.TF32}
	d, err := cuda.Open(ordinal, products[precision])
	if err != nil {
		return nil, err
	}
	return d, nil
}
