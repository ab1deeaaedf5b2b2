// The scan for heads of 32 units: NB sequences per block, KQ lanes per unit.
//gen: f32
#include "slstm_scan.cuh"

#define SCAN(NB, KQ) \
    KERNEL __launch_bounds__(32 * KQ, 1) scan_##NB##_##KQ(const __grid_constant__ Forward a) { scan<32, NB, KQ>(a); } \
    KERNEL __launch_bounds__(32 * KQ, 1) scan_back_##NB##_##KQ(const __grid_constant__ Backward a) { scanBack<32, NB, KQ>(a); }

SCAN(1, 4)
SCAN(1, 2)
SCAN(1, 1)
