// The gradient of the recurrent weights for heads of 96 units.
//gen: f32
#include "slstm_weights.cuh"

WEIGHTS(96, 3)
