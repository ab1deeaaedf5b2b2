// norm_wide_16 where x, gate and dy are in bfloat16.
//gen: f32
#include "norm.cuh"

NORM(16, true, 256, 1, 1, WideColumns<16, HalfEights>)
