// The norms with eight columns a thread.
//gen: PTX
#include "norm.cuh"

NORM(8, false, 256, 1, 1)
