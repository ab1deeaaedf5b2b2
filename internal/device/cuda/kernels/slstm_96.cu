// The scan for heads of 96 units: NB sequences per block, KQ lanes per unit.
//gen: f32
#include "slstm_scan.cuh"

#define SCAN(NB, KQ) \
    KERNEL __launch_bounds__(96 * KQ, 1) scan_##NB##_##KQ(const __grid_constant__ Forward a) { scan<96, NB, KQ>(a); } \
    KERNEL __launch_bounds__(96 * KQ, 1) scan_back_##NB##_##KQ(const __grid_constant__ Backward a) { scanBack<96, NB, KQ>(a); }

SCAN(1, 4)
SCAN(2, 4)
