// The mean cross-entropy of rows of logits [n,v] against targets [n], where −1 marks
// rows that do not count. One block per row.
#include "common.cuh"

__device__ inline void softmaxParts(const T *x, i64 v, T *room, T &top, T &sum) {
    top = -infinity();
    for (i64 c = threadIdx.x; c < v; c += blockDim.x) top = x[c] > top ? x[c] : top;
    top = lanesMax(top, room);
    sum = 0;
    for (i64 c = threadIdx.x; c < v; c += blockDim.x) sum += exp(x[c] - top);
    sum = lanesSum(sum, room);
}

// The loss of every row, 0 in rows without a target.
KERNEL cross_entropy_rows(const T *logits, const i64 *targets, double *loss, i64 v) {
    __shared__ T room[32];
    i64 r = blockIdx.x;
    i64 t = targets[r];
    if (t < 0) {
        if (threadIdx.x == 0) loss[r] = 0;
        return;
    }
    T top, sum;
    softmaxParts(logits + r * v, v, room, top, sum);
    if (threadIdx.x == 0) loss[r] = (double)top + log((double)sum) - (double)logits[r * v + t];
}

// The mean, in one block: its value in out, the number of targets in count. Either
// may be null; loss may be null if out is.
KERNEL cross_entropy_mean(const double *loss, const i64 *targets, T *out, int *count, i64 n) {
    __shared__ double room[32];
    __shared__ int counts[32];
    double sum = 0;
    int k = 0;
    for (i64 r = threadIdx.x; r < n; r += blockDim.x) {
        sum += loss ? loss[r] : 0;
        k += targets[r] >= 0;
    }
    sum = lanesSum(sum, room);
    k = lanesSum(k, counts);
    if (threadIdx.x) return;
    if (count) *count = k;
    if (out) *out = k ? (T)(sum / k) : (T)0;
}

// dlogits = g·(softmax − 1 at the target)/count, 0 in rows without a target; it
// may be the memory of the logits.
KERNEL cross_entropy_grad(const T *logits, const i64 *targets, const T *g, const int *count, T *dlogits, i64 v) {
    __shared__ T room[32];
    i64 r = blockIdx.x;
    i64 t = targets[r];
    const T *x = logits + r * v;
    T *dx = dlogits + r * v;
    if (t < 0) {
        for (i64 c = threadIdx.x; c < v; c += blockDim.x) dx[c] = 0;
        return;
    }
    T top, sum, scale = (T)((double)*g / *count);
    softmaxParts(x, v, room, top, sum);
    for (i64 c = threadIdx.x; c < v; c += blockDim.x) dx[c] = scale / sum * exp(x[c] - top) - (c == t ? scale : (T)0);
}
