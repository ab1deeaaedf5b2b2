// The gradient of the recurrent weights for heads of 32 units.
//gen: f32
#include "slstm_weights.cuh"

WEIGHTS(32, 1)
