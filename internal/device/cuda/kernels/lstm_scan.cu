// The scan of the classic LSTM with the recurrent weights on the processor: one block
// per sequence, one thread per gate and unit, which keeps its weights in registers
// and, for those of more than REGISTERS, in shared memory. The layouts are those of
// lstm.cu.
//gen: f32
//gen: PTX
#include "common.cuh"

struct Forward {
    i64 b, t;
    const i64 *resets;
    const float *x, *r, *bias, *state; // r [4·h,h]
    float *hs, *next, *tape;
};

struct Backward {
    i64 b, t;
    const i64 *resets;
    const float *r, *state, *tape;
    const float *dh, *dnext;
    float *dx, *dstate;
};

#define REGISTERS 88

// The part of a thread's weights in registers, and the number of float4 of the rest.
template <int H> struct Parts {
    static const int IN = H < REGISTERS ? H : REGISTERS, REST = (H - IN) / 4;
};

// The products of a thread's weights with v, H numbers in shared memory that all
// threads of a warp read together.
template <int H> __device__ __forceinline__ float weighted(const float (&w)[Parts<H>::IN], const float4 *rest, const float *v) {
    constexpr int IN = Parts<H>::IN, REST = Parts<H>::REST;
    float sum[4] = {};
#pragma unroll
    for (int k = 0; k < IN / 4; k++) {
        const float4 y = ((const float4 *)v)[k];
        sum[0] = fmaf(w[4 * k], y.x, sum[0]), sum[1] = fmaf(w[4 * k + 1], y.y, sum[1]);
        sum[2] = fmaf(w[4 * k + 2], y.z, sum[2]), sum[3] = fmaf(w[4 * k + 3], y.w, sum[3]);
    }
#pragma unroll
    for (int k = 0; k < REST; k++) {
        const float4 y = ((const float4 *)v)[IN / 4 + k], u = rest[k * 4 * H];
        sum[0] = fmaf(u.x, y.x, sum[0]), sum[1] = fmaf(u.y, y.y, sum[1]);
        sum[2] = fmaf(u.z, y.z, sum[2]), sum[3] = fmaf(u.w, y.w, sum[3]);
    }
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

// Thread gate·H + unit has the pre-activation of a gate; the first H threads have the
// units' cells.
template <int H> __device__ __forceinline__ void scan(const Forward &a) {
    constexpr int IN = Parts<H>::IN, REST = Parts<H>::REST, FOUR = 4 * H;
    extern __shared__ float4 spare[]; // [REST][FOUR]
    __shared__ __align__(16) float y[H], act[FOUR];
    const int tid = threadIdx.x, b = blockIdx.x, steps = (int)a.t;
    const i64 bh = a.b * H;
    float w[IN];
    const float *row = a.r + (i64)tid * H;
#pragma unroll
    for (int k = 0; k < IN; k++) w[k] = row[k];
    for (int k = 0; k < REST; k++) spare[k * FOUR + tid] = make_float4(row[IN + 4 * k], row[IN + 4 * k + 1], row[IN + 4 * k + 2], row[IN + 4 * k + 3]);
    const bool own = tid < H, squash = tid / H == 2;
    const float bias = a.bias[tid];
    const i64 *resets = a.resets ? a.resets + b * (i64)steps : nullptr;
    float c = 0.f;
    if (own) {
        const bool begin = resets && resets[0];
        y[tid] = a.state && !begin ? a.state[b * H + tid] : 0.f;
        c = a.state && !begin ? a.state[bh + b * H + tid] : 0.f;
    }
    const float *x = a.x + (i64)b * steps * FOUR + tid;
    float now = x[0];
    float *kept = a.tape ? a.tape + (i64)b * steps * FOUR + tid : nullptr;
    float *cells = a.tape ? a.tape + a.b * steps * FOUR + (i64)b * steps * H + tid : nullptr, *hs = a.hs + (i64)b * steps * H + tid;
    float last = 0.f;
    __syncthreads();
    for (int t = 0; t < steps; t++) {
        const float next = t + 1 < steps ? x[(i64)(t + 1) * FOUR] : 0.f;
        const bool ends = own && resets && t + 1 < steps && resets[t + 1]; // the document
        const float pre = weighted<H>(w, spare + tid, y) + (now + bias), gate = squash ? tanhf(pre) : sigmoid(pre);
        act[tid] = gate;
        now = next;
        __syncthreads();
        if (own) {
            c = act[H + tid] * c + gate * act[2 * H + tid];
            last = act[3 * H + tid] * tanhf(c);
            hs[(i64)t * H] = last;
            if (cells) cells[(i64)t * H] = c;
            y[tid] = ends ? 0.f : last;
            if (t + 1 < steps && ends) c = 0.f;
        }
        if (kept) kept[(i64)t * FOUR] = gate;
        __syncthreads();
    }
    if (own) a.next[b * H + tid] = last, a.next[bh + b * H + tid] = c;
}

// Thread gate·H + unit sums over a gate's part of the gradient of a unit's h; the
// first H threads have the units' cells.
template <int H> __device__ __forceinline__ void scanBack(const Backward &a) {
    constexpr int IN = Parts<H>::IN, REST = Parts<H>::REST, FOUR = 4 * H;
    extern __shared__ float4 spare[]; // [REST][FOUR]
    __shared__ __align__(16) float dpre[FOUR], parts[FOUR];
    const int tid = threadIdx.x, b = blockIdx.x, steps = (int)a.t, unit = tid % H, gate = tid / H;
    const i64 bh = a.b * H;
    float w[IN];
    const float *column = a.r + (i64)gate * H * H + unit;
#pragma unroll
    for (int k = 0; k < IN; k++) w[k] = column[k * H];
    for (int k = 0; k < REST; k++) {
        const float *from = column + (IN + 4 * k) * H;
        spare[k * FOUR + tid] = make_float4(from[0], from[H], from[2 * H], from[3 * H]);
    }
    const bool own = tid < H;
    const i64 *resets = a.resets ? a.resets + b * (i64)steps : nullptr;
    const i64 first = (i64)b * steps * H + unit;
    const float *kept = a.tape + (i64)b * steps * FOUR + unit, *cells = a.tape + a.b * steps * FOUR + first, *dh = a.dh ? a.dh + first : nullptr;
    float *dx = a.dx + (i64)b * steps * FOUR + unit;
    float gh = 0.f, gc = 0.f, start = 0.f, c = 0.f, i, f, g, o, before, up;
    if (own) {
        if (a.dnext) gh = a.dnext[b * H + tid], gc = a.dnext[bh + b * H + tid];
        if (a.state) start = a.state[bh + b * H + tid];
        c = cells[(i64)(steps - 1) * H];
    }
    auto load = [&](int t) {
        const float *k = kept + (i64)t * FOUR;
        i = k[0], f = k[H], g = k[2 * H], o = k[3 * H];
        before = t > 0 ? cells[(i64)(t - 1) * H] : start;
        up = dh ? dh[(i64)t * H] : 0.f;
    };
    if (own) load(steps - 1);
    for (int t = steps - 1; t >= 0; t--) {
        const bool begin = own && resets && resets[t];
        if (own) {
            const float y = tanhf(c), all = gh + up, d = gc + all * o * (1.f - y * y);
            const float di = d * g * (i - i * i), df = begin ? 0.f : d * before * (f - f * f), dg = d * i * (1.f - g * g), dout = all * y * (o - o * o);
            dpre[tid] = di, dpre[H + tid] = df, dpre[2 * H + tid] = dg, dpre[3 * H + tid] = dout;
            float *out = dx + (i64)t * FOUR;
            out[0] = di, out[H] = df, out[2 * H] = dg, out[3 * H] = dout;
            gc = begin ? 0.f : d * f;
            c = before;
            if (t > 0) load(t - 1);
        }
        __syncthreads();
        parts[tid] = weighted<H>(w, spare + tid, dpre + gate * H);
        __syncthreads();
        if (own) gh = begin ? 0.f : (parts[tid] + parts[H + tid]) + (parts[2 * H + tid] + parts[3 * H + tid]);
    }
    if (own && a.dstate) a.dstate[b * H + tid] = gh, a.dstate[bh + b * H + tid] = gc;
}

#define SCAN(H) \
    KERNEL __launch_bounds__(4 * H, 1) scan_##H(const __grid_constant__ Forward a) { scan<H>(a); } \
    KERNEL __launch_bounds__(4 * H, 1) scan_back_##H(const __grid_constant__ Backward a) { scanBack<H>(a); }

SCAN(32)
SCAN(64)
SCAN(96)
SCAN(128)
