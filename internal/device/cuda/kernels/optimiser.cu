// AdamW and Adam, and the clipping before them, over many parameters in one launch.
// The values that change from step to step are in memory, so that a recorded graph
// can run any step.
#include "common.cuh"

#define TENSORS 40  // per launch
#define CHUNK 2048  // elements per block

// The tensors of a launch. Block k has the chunk k − first[i] of tensor i, the last
// one whose first is not larger; part counts the chunks of the launches before.
struct Tensors {
    const T *w[TENSORS], *g[TENSORS], *m[TENSORS], *v[TENSORS];
    T *toW[TENSORS], *toM[TENSORS], *toV[TENSORS]; // may be w, m and v
    void *copy[TENSORS];                            // of toW, or null
    u64 half;                                       // bit i: copy i is in bfloat16
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
    const T *g = s.g[k] + from;
    to -= from;
    i64 whole = fours(g) ? to / 4 : 0;
    for (i64 i = threadIdx.x; i < whole; i += blockDim.x) {
        Four x = ((const Four *)g)[i];
        for (int e = 0; e < 4; e++) sum += (double)x.v[e] * (double)x.v[e];
    }
    for (i64 i = 4 * whole + threadIdx.x; i < to; i += blockDim.x) sum += (double)g[i] * (double)g[i];
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

// The numbers of a step for one tensor.
struct Step {
    T scale, l2, keep, rate, unbias, beta1, beta2, fresh1, fresh2, eps;
    __device__ void move(T g, T &w, T &m, T &v) const {
        if (scale < 0) return;
        g = scale * g + l2 * w;
        m = beta1 * m + fresh1 * g;
        v = beta2 * v + fresh2 * g * g;
        w = keep * w - rate * m / (sqrt(v) * unbias + eps);
    }
};

// numbers: learning rate, rate, unbias, β1, β2, ε.
KERNEL adam(const __grid_constant__ Tensors s, int decoupled, const T *numbers, const T *norm) {
    i64 from, to;
    int k = chunk(s, from, to);
    T beta1 = numbers[3], beta2 = numbers[4];
    Step step = {norm[1], decoupled ? (T)0 : (T)s.decay[k], decoupled ? (T)(1 - (double)numbers[0] * s.decay[k]) : (T)1, numbers[1], numbers[2],
                 beta1, beta2, (T)(1 - (double)beta1), (T)(1 - (double)beta2), numbers[5]};
    const T *g = s.g[k], *w = s.w[k], *m = s.m[k], *v = s.v[k];
    Out copy = {s.copy[k], (i64)(s.half >> k & 1)};
    i64 whole = fours(g) && fours(w) && fours(m) && fours(v) && fours(s.toW[k]) && fours(s.toM[k]) && fours(s.toV[k]) ? to / 4 : from / 4;
    for (i64 i = from / 4 + threadIdx.x; i < whole; i += blockDim.x) {
        Four x = ((const Four *)w)[i], a = ((const Four *)m)[i], b = ((const Four *)v)[i], d = ((const Four *)g)[i];
#pragma unroll
        for (int e = 0; e < 4; e++) step.move(d.v[e], x.v[e], a.v[e], b.v[e]);
        ((Four *)s.toW[k])[i] = x, ((Four *)s.toM[k])[i] = a, ((Four *)s.toV[k])[i] = b;
        if (copy.at) copy.four(i, x);
    }
    for (i64 i = 4 * whole + threadIdx.x; i < to; i += blockDim.x) {
        T x = w[i], a = m[i], b = v[i];
        step.move(g[i], x, a, b);
        s.toW[k][i] = x, s.toM[k][i] = a, s.toV[k][i] = b;
        if (copy.at) copy.put(i, x);
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
