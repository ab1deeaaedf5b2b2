// The norms with twice eight neighbouring columns a thread.
#include "norm.cuh"

NORM(16, true, 256, 1, 1, WideColumns<16, Eights>)
