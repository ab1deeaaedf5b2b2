// The gradient of the recurrent weights for heads of 256 units.
//gen: f32
#include "slstm_weights.cuh"

WEIGHTS(256, 2)
