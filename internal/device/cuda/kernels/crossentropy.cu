// The mean cross-entropy of rows of logits [n,v] against targets [n], where −1 marks
// rows that do not count. One block per row. The kernels named capped take the soft cap
// of the logits first, cap·tanh(z/cap).
#include "common.cuh"

// tanh with an error of the order of rounding 1.
__device__ inline T quickTanh(T x) { return sizeof(T) == 8 ? tanh(x) : 1 - quickRatio((T)2, 1 + quickExp(2 * x)); }

// tanh of the first N numbers: by its series where all are small, as logits are beside
// their cap, for which the processor has more units than for exponentials.
template <int N> __device__ inline void tanhs(T (&x)[8]) {
    T far = 0;
    for (int k = 0; k < N; k++) far = max(far, abs(x[k]));
    if (sizeof(T) == 8 || far >= (T)0.25) {
        for (int k = 0; k < N; k++) x[k] = quickTanh(x[k]);
        return;
    }
    for (int k = 0; k < N; k++) {
        T s = x[k] * x[k];
        x[k] *= 1 + s * ((T)(-1 / 3.0) + s * ((T)(2 / 15.0) + s * ((T)(-17 / 315.0) + s * (T)(62 / 2835.0))));
    }
}

template <bool CAPPED> __device__ inline T logit(T z, T cap, T inverse) { return CAPPED ? cap * quickTanh(z * inverse) : z; }

// Calls f(column, numbers, n) with the thread's elements of row r of x [.,v], n at once.
template <int N> struct Count { static const int n = N; };
template <typename F> __device__ inline void ofRow(In x, i64 r, i64 v, F f) {
    if (v % 8 == 0) {
        for (i64 c = threadIdx.x; c < v / 8; c += blockDim.x) f(8 * c, x.eight(r * (v / 8) + c), Count<8>());
        return;
    }
    for (i64 c = threadIdx.x; c < v; c += blockDim.x) {
        Eight e;
        e.v[0] = x[r * v + c];
        f(c, e, Count<1>());
    }
}

// The maximum of a row, and the sum of the exponentials relative to it.
template <bool CAPPED> __device__ inline void softmaxParts(In x, i64 r, i64 v, T cap, T *room, T &top, T &sum) {
    T mine = -infinity(), inverse = 1 / cap;
    sum = 0;
    ofRow(x, r, v, [&](i64, Eight e, auto count) {
        T most = mine;
        for (int k = 0; CAPPED && k < count.n; k++) e.v[k] *= inverse;
        if (CAPPED) tanhs<count.n>(e.v);
        for (int k = 0; k < count.n; k++) {
            if (CAPPED) e.v[k] *= cap;
            most = e.v[k] > most ? e.v[k] : most;
        }
        if (most > mine) sum *= quickExp(mine - most), mine = most;
        T base = mine == -infinity() ? 0 : mine; // where every element so far is −∞
        for (int k = 0; k < count.n; k++) sum += quickExp(e.v[k] - base);
    });
    top = lanesMax(mine, room);
    sum = lanesSum(mine == top ? sum : sum * exp(mine - top), room);
}

// The loss of a row, 0 in rows without a target.
template <bool CAPPED> __device__ inline void rowLoss(In logits, const i64 *targets, double *loss, i64 v, T cap) {
    __shared__ T room[32];
    i64 r = blockIdx.x;
    i64 t = targets[r];
    if (t < 0) {
        if (threadIdx.x == 0) loss[r] = 0;
        return;
    }
    T top, sum;
    softmaxParts<CAPPED>(logits, r, v, cap, room, top, sum);
    if (threadIdx.x == 0) loss[r] = (double)top + log((double)sum) - (double)logit<CAPPED>(logits[r * v + t], cap, 1 / cap);
}

KERNEL __launch_bounds__(1024) cross_entropy_rows(In logits, const i64 *targets, double *loss, i64 v, T cap) { rowLoss<false>(logits, targets, loss, v, cap); }
KERNEL __launch_bounds__(1024) capped_cross_entropy_rows(In logits, const i64 *targets, double *loss, i64 v, T cap) { rowLoss<true>(logits, targets, loss, v, cap); }

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

// dlogits = g·(softmax − 1 at the target)/count, 0 in rows without a target, times the
// slope of the cap; it may be the memory of the logits. Unless null, loss receives the
// row's loss.
template <bool CAPPED> __device__ inline void rowGrad(In logits, const i64 *targets, const T *g, const int *count, double *loss, Out dlogits, i64 v, T cap) {
    __shared__ T room[32];
    i64 r = blockIdx.x;
    i64 t = targets[r];
    T top = 0, sum = 1, scale = 0;
    if (t >= 0) {
        scale = (T)((double)*g / *count);
        softmaxParts<CAPPED>(logits, r, v, cap, room, top, sum);
    }
    T share = scale / sum, inverse = 1 / cap;
    if (loss) {
        if (threadIdx.x == 0) loss[r] = t < 0 ? 0 : (double)top + log((double)sum) - (double)logit<CAPPED>(logits[r * v + t], cap, inverse);
        __syncthreads(); // before the logit may be overwritten
    }
    ofRow(logits, r, v, [&](i64 c, Eight e, auto count) {
        for (int k = 0; CAPPED && k < count.n; k++) e.v[k] *= inverse;
        if (CAPPED) tanhs<count.n>(e.v);
        for (int k = 0; k < count.n; k++) {
            T y = CAPPED ? e.v[k] : 0, x = CAPPED ? cap * y : e.v[k];
            T d = share * quickExp(x - top) - (c + k == t ? scale : (T)0);
            e.v[k] = t < 0 ? 0 : CAPPED ? d * (1 - y * y) : d;
        }
        if (count.n == 8) dlogits.eight((r * v + c) / 8, e);
        else dlogits.put(r * v + c, e.v[0]);
    });
}

KERNEL __launch_bounds__(1024) cross_entropy_grad(In logits, const i64 *targets, const T *g, const int *count, Out dlogits, i64 v, T cap) {
    rowGrad<false>(logits, targets, g, count, nullptr, dlogits, v, cap);
}
KERNEL __launch_bounds__(1024) capped_cross_entropy_grad(In logits, const i64 *targets, const T *g, const int *count, Out dlogits, i64 v, T cap) {
    rowGrad<true>(logits, targets, g, count, nullptr, dlogits, v, cap);
}
// Two blocks share a processor.
#define TWO __launch_bounds__(1024, sizeof(T) == 4 ? 2 : 1)
KERNEL TWO loss_and_grad(In logits, const i64 *targets, const T *g, const int *count, double *loss, Out dlogits, i64 v, T cap) {
    rowGrad<false>(logits, targets, g, count, loss, dlogits, v, cap);
}
KERNEL TWO capped_loss_and_grad(In logits, const i64 *targets, const T *g, const int *count, double *loss, Out dlogits, i64 v, T cap) {
    rowGrad<true>(logits, targets, g, count, loss, dlogits, v, cap);
}
