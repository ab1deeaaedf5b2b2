// The gradient of the recurrent weights for heads of 64 units.
//gen: f32
#include "slstm_weights.cuh"

KERNEL __launch_bounds__(256) weight_grad(const __grid_constant__ WeightGrad s) { inSingle<64>(s); }
KERNEL __launch_bounds__(256, 2) weight_grad_fast(const __grid_constant__ WeightGrad s) { inTF32<64, 64, 2>(s); }
