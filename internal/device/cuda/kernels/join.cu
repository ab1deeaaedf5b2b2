// Columns of several matrices in bfloat16 beside one another.
//gen: f32
#include "common.cuh"

#define MOST 8

// A matrix [rows,eights], in groups of eight elements, and the first of its groups in a
// row of the result.
struct Part {
    const uint4 *x;
    i64 eights, at;
};

struct Join {
    i64 rows, eights; // of the result
    Part parts[MOST];
};

// Grid: blocks of rows, parts.
KERNEL join(Join s, uint4 *y) {
    const Part &p = s.parts[blockIdx.y];
    for (i64 r = blockIdx.x * (i64)blockDim.y + threadIdx.y; r < s.rows; r += (i64)gridDim.x * blockDim.y)
        for (i64 k = threadIdx.x; k < p.eights; k += blockDim.x) y[r * s.eights + p.at + k] = p.x[r * p.eights + k];
}
