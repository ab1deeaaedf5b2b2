// The norms with eight columns a thread.
#include "norm.cuh"

NORM(8, false, 256, 1, 1, Columns<8>)
