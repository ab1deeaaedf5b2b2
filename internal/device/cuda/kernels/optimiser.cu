// AdamW and Adam, and the clipping before them, over many parameters in one launch.
// The values that change from step to step are in memory, so that a recorded graph
// can run any step.
#include "common.cuh"

#define TENSORS 48  // per launch
#define CHUNK 16384 // elements per block

// The tensors of a launch. Block k has the chunk k − first[i] of tensor i, the last
// one whose first is not larger; part counts the chunks of the launches before.
struct Tensors {
    const T *w[TENSORS], *g[TENSORS], *m[TENSORS], *v[TENSORS];
    T *toW[TENSORS], *toM[TENSORS], *toV[TENSORS]; // may be w, m and v
    i64 n[TENSORS], first[TENSORS];
    double decay[TENSORS];
    i64 count, part;
};

// The tensor of a block and the range of its elements, from … to.
__device__ inline int chunk(const Tensors &s, i64 &from, i64 &to) {
    int i = 0;
    while (i + 1 < s.count && s.first[i + 1] <= blockIdx.x) i++;
    from = (blockIdx.x - s.first[i]) * CHUNK;
    to = min(s.n[i], from + CHUNK);
    return i;
}

// Partial sums of squares in double precision.
KERNEL squares(const __grid_constant__ Tensors s, double *part) {
    __shared__ double room[32];
    i64 from, to;
    int k = chunk(s, from, to);
    double sum = 0;
    for (i64 i = from + threadIdx.x; i < to; i += blockDim.x) sum += (double)s.g[k][i] * (double)s.g[k][i];
    sum = lanesSum(sum, room);
    if (threadIdx.x == 0) part[s.part + blockIdx.x] = sum;
}

// norm receives the norm and the factor of clipping, −1 if the norm is not finite.
// One block.
KERNEL clip(const T *most, const double *part, i64 chunks, T *norm) {
    __shared__ double room[32];
    double sum = 0;
    for (i64 i = threadIdx.x; i < chunks; i += blockDim.x) sum += part[i];
    sum = lanesSum(sum, room);
    if (threadIdx.x) return;
    sum = sqrt(sum);
    norm[0] = (T)sum;
    norm[1] = !isfinite(sum) ? (T)-1 : *most == 0 ? (T)1 : (T)min(1.0, *most / (sum + 1e-6));
}

// numbers: learning rate, rate, unbias, β1, β2, ε.
KERNEL adam(const __grid_constant__ Tensors s, int decoupled, const T *numbers, const T *norm) {
    T scale = norm[1];
    i64 from, to;
    int k = chunk(s, from, to);
    T l2 = decoupled ? (T)0 : (T)s.decay[k], keep = decoupled ? (T)(1 - (double)numbers[0] * s.decay[k]) : (T)1;
    T rate = numbers[1], unbias = numbers[2], beta1 = numbers[3], beta2 = numbers[4], eps = numbers[5];
    T fresh1 = (T)(1 - (double)beta1), fresh2 = (T)(1 - (double)beta2);
    for (i64 i = from + threadIdx.x; i < to; i += blockDim.x) {
        T w = s.w[k][i], m = s.m[k][i], v = s.v[k][i];
        if (scale >= 0) {
            T g = scale * s.g[k][i] + l2 * w;
            m = beta1 * m + fresh1 * g;
            v = beta2 * v + fresh2 * g * g;
            w = keep * w - rate * m / (sqrt(v) * unbias + eps);
        }
        s.toW[k][i] = w, s.toM[k][i] = m, s.toV[k][i] = v;
    }
}

// The means are w.
KERNEL move_mean(const __grid_constant__ Tensors s, const T *share) {
    i64 from, to;
    int k = chunk(s, from, to);
    T part = *share;
    for (i64 i = from + threadIdx.x; i < to; i += blockDim.x) {
        T x = s.g[k][i], mean = s.w[k][i];
        s.toW[k][i] = part == 1 ? x : mean + (x - mean) * part;
    }
}
