//go:build !nvidia || !linux || !(amd64 || arm64)

package xlstm

import "github.com/pkg/errors"

var errNoGPUs = errors.New("xlstm: this program was built without GPUs; for device cuda build it with -tags nvidia for linux/amd64 or linux/arm64")

func openCUDA(int, Precision) (Device, error) { return nil, errNoGPUs }
func planCUDA(Precision) (Device, error)      { return nil, errNoGPUs }
