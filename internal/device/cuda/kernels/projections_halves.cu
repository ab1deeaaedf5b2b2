// The inputs of an mLSTM cell where c, x, q, k, v and their gradients are in bfloat16.
//gen: f32
#include "projections.cuh"

PROJECTIONS(HalfFours)
