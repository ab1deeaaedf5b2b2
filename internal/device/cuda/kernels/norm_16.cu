// The norms with sixteen columns a thread.
#include "norm.cuh"

NORM(16, false, 256, 1, 1, Columns<16>)
