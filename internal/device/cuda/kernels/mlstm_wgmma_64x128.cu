//gen: f32 compute_90a
//gen: PTX
#include "mlstm_wgmma.cuh"

KERNELS(64, 128)
