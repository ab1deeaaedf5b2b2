// The scan for heads of 256 units over clusters of eight blocks, with eight lanes a
// unit: NB sequences a cluster.
//gen: f32 compute_90
#include "slstm_scan.cuh"

KERNEL __cluster_dims__(8, 1, 1) __launch_bounds__(256, 1) scan_4_8(const __grid_constant__ Forward a) { scan<256, 4, 8, 8>(a); }
KERNEL __cluster_dims__(8, 1, 1) __launch_bounds__(256, 1) scan_back_2_8(const __grid_constant__ Backward a) { scanBack<256, 2, 8, 8>(a); }
KERNEL __cluster_dims__(8, 1, 1) __launch_bounds__(256, 1) scan_back_4_8(const __grid_constant__ Backward a) { scanBack<256, 4, 8, 8>(a); }
