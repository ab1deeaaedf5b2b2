// The exits of mLSTM layers, of operands of any type.
#include "mlstm_exit.cuh"

EXITS(Eights)
