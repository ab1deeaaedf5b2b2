// The norms with eight neighbouring columns a thread.
//gen: PTX
#include "norm.cuh"

NORM(8, true, 256, 5, 4)
