// The gradient of the recurrent weights for heads of 128 units.
//gen: f32
#include "slstm_weights.cuh"

WEIGHTS(128, 2)
