// The scan with half-precision products for heads of 256 units, over clusters of
// eight blocks.
//gen: f32 compute_90
#include "slstm_half.cuh"

KERNEL __cluster_dims__(8, 1, 1) __launch_bounds__(128, 1) scan_half(const __grid_constant__ Forward a) { scanHalf<256, 8, 2>(a); }
KERNEL __cluster_dims__(8, 1, 1) __launch_bounds__(128, 1) scan_half_back(const __grid_constant__ Backward a) { scanHalfBack<256, 8, 2>(a); }
