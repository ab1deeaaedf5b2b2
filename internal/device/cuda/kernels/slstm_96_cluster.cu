// The scan for heads of 96 units over clusters of two blocks: NB sequences a
// cluster, KQ lanes a unit.
//gen: f32 compute_90
#include "slstm_scan.cuh"

#define SCAN(NB, KQ)                                                                                                                            \
    KERNEL __cluster_dims__(2, 1, 1) __launch_bounds__(48 * KQ, 1) scan_##NB##_##KQ(const __grid_constant__ Forward a) { scan<96, NB, KQ, 2>(a); } \
    KERNEL __cluster_dims__(2, 1, 1) __launch_bounds__(48 * KQ, 1) scan_back_##NB##_##KQ(const __grid_constant__ Backward a) { scanBack<96, NB, KQ, 2>(a); }

SCAN(1, 4)
SCAN(2, 4)
