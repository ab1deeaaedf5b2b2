// norm_wide_8 where x, gate and dy are in bfloat16.
//gen: f32
#include "norm.cuh"

NORM(8, true, 256, 5, 3, WideColumns<8, HalfEights>)
