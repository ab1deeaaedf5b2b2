// The gates of the chunkwise mLSTM and their gradients, and a single step.
#include "mlstm_gates.cuh"
#include "mlstm_gates_grad.cuh"

// See gatesOf. Grid: items.
KERNEL __launch_bounds__(AT_ONCE) mlstm_gates(MLSTM s, const T *i, const T *f, const T *m0, T *last, Gates g) { gatesOf<1>(s, i, f, m0, last, g); }

// See gatesGrad. Grid: items.
KERNEL __launch_bounds__(AT_ONCE) mlstm_gates_grad(MLSTM s, Gates g, GateGrads d) { gatesGrad<1>(s, g, d); }

// A single step, for generation: the gates, the new n and m, and for every item the
// factors of the old C, of k·v, and of what q reads. n and m may share the memory of
// the old ones, which may be null. One block per item.
KERNEL mlstm_step_gates(MLSTM s, const T *q, const T *k, const T *i, const T *f, const T *n, const T *m, T *nextN, T *nextM, T *factors) {
    __shared__ T room[32];
    i64 item = blockIdx.x;
    bool fresh = begins(s.resets, 1, item / s.nh, 0);
    double m0 = fresh ? s.begin : m ? (double)m[item] : s.begin, lf = logForget(f[item]) + m0, it = i[item];
    double top = (double)(T)max(lf, it);
    T keep = fresh || !n ? (T)0 : (T)exp(lf - top), share = (T)(exp(it - top) * s.scaleK), den = 0;
    __syncthreads(); // all threads have read m before one writes it
    for (i64 d = threadIdx.x; d < s.dqk; d += blockDim.x) {
        T x = share * k[item * s.dqk + d];
        if (keep != 0) x += keep * n[item * s.dqk + d];
        nextN[item * s.dqk + d] = x;
        den += q[item * s.dqk + d] * x;
    }
    den = lanesSum(den, room) * (T)s.scaleQ;
    if (threadIdx.x) return;
    nextM[item] = (T)top;
    factors[3 * item] = keep;
    factors[3 * item + 1] = share;
    factors[3 * item + 2] = (T)(s.scaleQ / (max(abs((double)den), exp(-top)) + s.eps));
}

// The new C, which may share the memory of the old one, and h. Block: 32 columns of C
// by 8; grid: columns by 32, items.
KERNEL mlstm_step(MLSTM s, const T *q, const T *k, const T *v, const T *factors, const T *c, T *next, T *h) {
    __shared__ T parts[8][32];
    i64 item = blockIdx.y, e = blockIdx.x * 32 + threadIdx.x;
    T keep = factors[3 * item], share = factors[3 * item + 1], sum = 0;
    if (e < s.dhv) {
        T value = share * v[item * s.dhv + e];
        for (i64 d = threadIdx.y; d < s.dqk; d += 8) {
            i64 at = (item * s.dqk + d) * s.dhv + e;
            T x = k[item * s.dqk + d] * value;
            if (keep != 0) x += keep * c[at];
            next[at] = x;
            sum += q[item * s.dqk + d] * x;
        }
    }
    parts[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y || e >= s.dhv) return;
    for (int g = 1; g < 8; g++) sum += parts[g][threadIdx.x];
    h[item * s.dhv + e] = factors[3 * item + 2] * sum;
}
