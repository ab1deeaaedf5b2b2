//gen: f32 compute_90a
#include "mlstm_wgmma.cuh"

KERNELS(64, 64)
