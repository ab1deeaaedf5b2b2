module github.com/gorgonia-xlstm/xlstm/internal/device/cuda/kernels/_gen

go 1.25.0

require github.com/ebitengine/purego v0.11.1
