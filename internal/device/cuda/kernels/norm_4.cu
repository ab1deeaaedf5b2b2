// The norms with four columns a thread.
//gen: PTX
#include "norm.cuh"

NORM(4, false, 256, 1, 1)
