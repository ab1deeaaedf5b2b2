// The gradient of the recurrent weights for heads of 64 units.
//gen: f32
#include "slstm_weights.cuh"

WEIGHTS(64, 2)
