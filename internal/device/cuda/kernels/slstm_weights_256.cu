// The gradient of the recurrent weights for heads of 256 units.
//gen: f32
#include "slstm_weights.cuh"

KERNEL __launch_bounds__(256, 2) weight_grad(const __grid_constant__ WeightGrad s) { inSingleWide<256, 128>(s); }
KERNEL __launch_bounds__(256, 2) weight_grad_fast(const __grid_constant__ WeightGrad s) { inTF32<256, 128, 4>(s); }
