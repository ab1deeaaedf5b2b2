// The gradient of the recurrent weights for heads of 96 units.
//gen: f32
#include "slstm_weights.cuh"

KERNEL __launch_bounds__(192, 2) weight_grad(const __grid_constant__ WeightGrad s) { inSingleWide<96, 96>(s); }
KERNEL __launch_bounds__(384, 2) weight_grad_fast(const __grid_constant__ WeightGrad s) { inTF32<96, 96, 2>(s); }
