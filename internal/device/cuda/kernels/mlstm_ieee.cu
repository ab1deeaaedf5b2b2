// The products of the mLSTM with the accuracy of the element type.
#define PASSES 3
#include "mlstm_chunks.cuh"
