// The products of the mLSTM with the accuracy of the element type.
#define PASSES 3
typedef ELEMENT STORED;
#include "mlstm_chunks.cuh"
