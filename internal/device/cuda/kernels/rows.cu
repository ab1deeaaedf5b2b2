// Sums over the rows of a matrix. They are made in two steps: each block adds up a
// stretch of rows for some columns, then sum_parts the stretches in their order.
#include "common.cuh"

// The rows of x [n,d] added up by stretches of `stretch` rows: part [stretches,d].
// Grid: columns by blockDim.x, stretches.
KERNEL column_sums(const T *x, T *part, i64 n, i64 d, i64 stretch) {
    i64 c = blockIdx.x * (i64)blockDim.x + threadIdx.x, r0 = blockIdx.y * stretch;
    if (c >= d) return;
    T sum = 0;
    for (i64 r = r0; r < min(n, r0 + stretch); r++) sum += x[r * d + c];
    part[blockIdx.y * d + c] = sum;
}

// The same of the products a⊙b.
KERNEL column_dots(const T *a, const T *b, T *part, i64 n, i64 d, i64 stretch) {
    i64 c = blockIdx.x * (i64)blockDim.x + threadIdx.x, r0 = blockIdx.y * stretch;
    if (c >= d) return;
    T sum = 0;
    for (i64 r = r0; r < min(n, r0 + stretch); r++) sum += a[r * d + c] * b[r * d + c];
    part[blockIdx.y * d + c] = sum;
}

// y [n] = Σ_i part[i,·].
KERNEL sum_parts(const T *part, T *y, i64 parts, i64 n) {
    EACH(c, n) {
        T sum = 0;
        for (i64 i = 0; i < parts; i++) sum += part[i * n + c];
        y[c] = sum;
    }
}
