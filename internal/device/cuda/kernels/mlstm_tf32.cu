// The products of the mLSTM with operands rounded to TF32.
//gen: f32
#define PASSES 1
#include "mlstm_chunks.cuh"
