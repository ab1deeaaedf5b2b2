// The norms with eight neighbouring columns a thread.
#include "norm.cuh"

NORM(8, true, 256, 5, 3, WideColumns<8, Eights>)
