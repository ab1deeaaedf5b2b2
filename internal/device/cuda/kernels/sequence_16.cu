// sequence.cuh with the weights 16 pieces ahead.
//gen: f32 compute_90
//gen: PTX
#include "sequence.cuh"

KERNEL __launch_bounds__(THREADS + 32, 1) sequence(Sequence s) { run<16>(s); }
