// The norms with four columns a thread.
#include "norm.cuh"

NORM(4, false, 256, 1, 1, Columns<4>)
