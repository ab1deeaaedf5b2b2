// The norms with two eights of neighbouring columns a thread.
#include "norm.cuh"

NORM(16, true, 256, 1, 1)
