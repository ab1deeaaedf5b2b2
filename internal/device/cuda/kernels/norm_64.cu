// The norms with 64 columns a thread.
#include "norm.cuh"

NORM(64, false, 1024, 1, 1, Columns<64>)
