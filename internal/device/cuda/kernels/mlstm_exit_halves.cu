// The exits of mLSTM layers where x, c, z and dy are in bfloat16.
//gen: f32
#include "mlstm_exit.cuh"

EXITS(HalfEights)
