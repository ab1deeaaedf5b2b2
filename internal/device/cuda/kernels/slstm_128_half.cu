// The scan with half-precision products for heads of 128 units, over clusters of two
// blocks.
//gen: f32 compute_90
#include "slstm_half.cuh"

KERNEL __cluster_dims__(2, 1, 1) __launch_bounds__(256, 1) scan_half(const __grid_constant__ Forward a) { scanHalf<128, 2, 2>(a); }
KERNEL __cluster_dims__(2, 1, 1) __launch_bounds__(256, 1) scan_half_back(const __grid_constant__ Backward a) { scanHalfBack<128, 2, 4>(a); }
