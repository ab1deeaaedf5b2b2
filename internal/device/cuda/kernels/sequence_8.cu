// sequence.cuh with the weights 8 pieces ahead.
//gen: f32 compute_90
#include "sequence.cuh"

KERNEL __launch_bounds__(THREADS + 32, 1) sequence(Sequence s) { run<8>(s); }
