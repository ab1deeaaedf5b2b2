// sequence_halves.cuh as a module.
//gen: f32 compute_90
#include "sequence_halves.cuh"

KERNEL __launch_bounds__(THREADS + 32, 1) sequence(Sequence s) {
    extern __shared__ __align__(128) char space[];
    run(s, space);
}
