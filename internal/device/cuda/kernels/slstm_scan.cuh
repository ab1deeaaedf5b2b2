// The sLSTM scan in float32 with the recurrent weights of a head in registers for
// the whole of it. A block has one head, or with clusters 1/CS of its units, and NB
// sequences; a thread has one unit and 1/KQ of the sums over the units before it,
// for all four gates. The KQ parts meet by shuffles, y crosses over to the next step
// through two buffers in shared memory, and there is one barrier a step. In a cluster
// every block sends its part of y to all, and what a block waits for is the arrival
// of all parts: a block that has them knows that the others have read the buffer
// before.
//
// The tape has six floats per cell: {s, tanh z~, σ(o~), 1 − σ(f~)} and {c, n}. One of
// i' and f' is always 1, so that one signed number holds both: if s is positive, f' = 1
// and i' = s; if it is negative, i' = 1 and f' = −s.
#pragma once
#include "cluster.cuh"

struct Forward {
    i64 b, t, nh;
    const i64 *resets;
    const T *x[4]; // [b·t,nh·DH] for the gates i, f, z, o
    const T *r, *bias, *state;
    T *y, *next;
    float4 *gates; // the tape
    float2 *memories;
};

struct Backward {
    i64 b, t, nh;
    double clip;
    const i64 *resets;
    const T *r, *state, *next;
    const float4 *gates;
    const float2 *memories;
    const T *dy, *dnext;
    T *dx[4];
    T *dstate;
    T *dbias; // [slices,4,nh·DH], the parts of a slice of sequences
};

// Hides a number from the compiler, which else works addresses out again in every
// step.
__device__ __forceinline__ unsigned opaque(unsigned v) {
    unsigned r;
    asm volatile("mov.u32 %0, %1;" : "=r"(r) : "r"(v));
    return r;
}

__device__ __forceinline__ float4 load4(unsigned a) {
    float4 v;
    asm volatile("ld.shared.v4.f32 {%0,%1,%2,%3}, [%4];" : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w) : "r"(a) : "memory");
    return v;
}
__device__ __forceinline__ float2 load2(unsigned a) {
    float2 v;
    asm volatile("ld.shared.v2.f32 {%0,%1}, [%2];" : "=f"(v.x), "=f"(v.y) : "r"(a) : "memory");
    return v;
}
__device__ __forceinline__ float load1(unsigned a) {
    float v;
    asm volatile("ld.shared.f32 %0, [%1];" : "=f"(v) : "r"(a) : "memory");
    return v;
}
__device__ __forceinline__ void store1(unsigned a, float v) { asm volatile("st.shared.f32 [%0], %1;" ::"r"(a), "f"(v) : "memory"); }
__device__ __forceinline__ void store4(unsigned a, float4 v) {
    asm volatile("st.shared.v4.f32 [%0], {%1,%2,%3,%4};" ::"r"(a), "f"(v.x), "f"(v.y), "f"(v.z), "f"(v.w) : "memory");
}
__device__ __forceinline__ void prefetch(const void *p) { asm volatile("prefetch.global.L2 [%0];" ::"l"(p)); }

// Asynchronous copies of 4, 8 and 16 bytes to shared memory.
__device__ __forceinline__ void copy1(unsigned to, const void *from) { asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(to), "l"(from) : "memory"); }
__device__ __forceinline__ void copy2(unsigned to, const void *from) { asm volatile("cp.async.ca.shared.global [%0], [%1], 8;" ::"r"(to), "l"(from) : "memory"); }
__device__ __forceinline__ void copy4(unsigned to, const void *from) { asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory"); }
__device__ __forceinline__ void copied() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int N> __device__ __forceinline__ void awaitCopies() { asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory"); }

template <int THREADS> __device__ __forceinline__ void barrier() {
    if (THREADS > 32) __syncthreads();
    else __syncwarp();
}

// eˣ, accurate to about float32's rounding, for x in −150 … 80.
__device__ __forceinline__ float fastExp(float x) {
    const float high = 1.44269504f, low = 1.92596299e-8f; // 1/log 2
    float t = x * high, e;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(e) : "f"(t));
    return fmaf(e, fmaf(x, low, fmaf(x, high, -t)) * 0.693147181f, e);
}

__device__ __forceinline__ float reciprocal(float x) {
    float r;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
    return r;
}

// log(1 + e) for e in 0 … 1, by a fitted polynomial.
__device__ __forceinline__ float fastLog1p(float e) {
    float e2 = e * e, e4 = e2 * e2;
    float p01 = fmaf(e, -4.999989265e-01f, 9.999999947e-01f), p23 = fmaf(e, -2.495161626e-01f, 3.332971050e-01f);
    float p45 = fmaf(e, -1.526966707e-01f, 1.966327426e-01f), p67 = fmaf(e, -5.637361283e-02f, 1.054362380e-01f);
    float p89 = fmaf(e, -3.176057020e-03f, 1.954252726e-02f);
    return e * fmaf(e4, fmaf(e4, p89, fmaf(e2, p67, p45)), fmaf(e2, p23, p01));
}

__device__ __forceinline__ float fastTanh(float z) {
    float a = fabsf(z), e = fastExp(fmaxf(-2.f * a, -80.f)), u = z * z;
    float p = fmaf(u, fmaf(u, fmaf(u, fmaf(u, -6.269113584e-03f, 2.111095406e-02f), -5.387394749e-02f), 1.333291535e-01f), -3.333333033e-01f);
    return a < 0.58f ? fmaf(z * u, p, z) : copysignf((1.f - e) * reciprocal(1.f + e), z);
}

struct Cell {
    float c, n, m, y;
    float4 kept;
};

// A step of the cell, with a single exponential for both exponential gates.
__device__ __forceinline__ void step(float it, float ft, float zt, float ot, Cell &s) {
    float e = fastExp(fmaxf(-fabsf(ft), -80.f));
    float lf = s.m + (fminf(ft, 0.f) - fastLog1p(e));
    bool forgets = lf >= it && s.n != 0.f; // its side holds the maximum
    float m = forgets ? lf : it, other = forgets ? it : lf;
    float g = fastExp(fmaxf(fminf(other - m, 0.f), -150.f));
    float i = forgets ? g : 1.f, f = forgets ? 1.f : g;
    float z = fastTanh(zt), o = reciprocal(1.f + fastExp(fminf(-ot, 80.f)));
    s.c = fmaf(f, s.c, i * z);
    s.n = fmaf(f, s.n, i);
    s.m = m;
    s.y = o * s.c * reciprocal(s.n);
    s.kept = make_float4(forgets ? g : -g, z, o, reciprocal(1.f + e) * (ft >= 0.f ? e : 1.f));
}

// A step of the backward pass: dy is the whole gradient of y; dc, dn and rest, the
// gradient left to a stored stabiliser, are carried. Returns the gradients of the
// pre-activations.
__device__ __forceinline__ float4 stepBack(float4 kept, float c, float overN, float before, float nBefore, float dy, float &dc, float &dn, float &rest) {
    bool forgets = !(__float_as_uint(kept.x) >> 31);
    float g = fabsf(kept.x), i = forgets ? g : 1.f, f = forgets ? 1.f : g;
    float y = kept.z * c * overN, part = dy * overN;
    dc = fmaf(kept.z, part, dc);
    dn = fmaf(-y, part, dn);
    float di = i * fmaf(dc, kept.y, dn), df = f * fmaf(dc, before, dn * nBefore);
    if (forgets) df += rest;
    else di += rest, rest = 0.f;
    float4 d = make_float4(di, df * kept.w, dc * i * (1.f - kept.y * kept.y), (1.f - kept.z) * y * dy);
    dc *= f;
    dn *= f;
    return d;
}

// The sums of KQ lanes for NB sequences of four numbers: the lanes halve the sequences
// that they sum until each has one; further halvings give all lanes the sum.
template <int NB, int LANES> __device__ __forceinline__ void meet(float (&sum)[NB][4], int lane) {
    int rows = NB;
#pragma unroll
    for (int mask = LANES / 2; mask; mask >>= 1) {
        const bool up = lane & mask;
        if (rows > 1) {
            rows >>= 1;
#pragma unroll
            for (int k = 0; k < rows; k++)
#pragma unroll
                for (int g = 0; g < 4; g++) {
                    float send = up ? sum[k][g] : sum[k + rows][g], keep = up ? sum[k + rows][g] : sum[k][g];
                    sum[k][g] = keep + __shfl_xor_sync(~0u, send, mask);
                }
        } else {
#pragma unroll
            for (int g = 0; g < 4; g++) sum[0][g] += __shfl_xor_sync(~0u, sum[0][g], mask);
        }
    }
}

// The sums of LANES lanes over four units of NB sequences: the lanes halve first the
// units, then the sequences, so that each ends with the sum that it needs.
template <int NB, int LANES> __device__ __forceinline__ void meetUnits(float (&sum)[NB][4], int lane) {
    int units = 4, rows = NB;
#pragma unroll
    for (int mask = LANES / 2; mask; mask >>= 1) {
        const bool up = lane & mask;
        if (units > 1) {
            units >>= 1;
#pragma unroll
            for (int k = 0; k < NB; k++)
#pragma unroll
                for (int u = 0; u < units; u++) {
                    float send = up ? sum[k][u] : sum[k][u + units], keep = up ? sum[k][u + units] : sum[k][u];
                    sum[k][u] = keep + __shfl_xor_sync(~0u, send, mask);
                }
        } else if (rows > 1) {
            rows >>= 1;
#pragma unroll
            for (int k = 0; k < rows; k++) {
                float send = up ? sum[k][0] : sum[k + rows][0], keep = up ? sum[k + rows][0] : sum[k][0];
                sum[k][0] = keep + __shfl_xor_sync(~0u, send, mask);
            }
        } else {
            sum[0][0] += __shfl_xor_sync(~0u, sum[0][0], mask);
        }
    }
}

template <int DH, int NB, int KQ, int CS = 1> __device__ __forceinline__ void scan(const Forward &a) {
    constexpr int THREADS = DH / CS * KQ, KI = DH / (4 * KQ), COPIES = KQ / NB, LOADS = KQ < 4 ? 4 / KQ : 1, AHEAD = 8;
    static_assert(KI * 4 * KQ == DH && COPIES * NB == KQ, "shape");
    __shared__ __align__(16) float ys[2][NB][DH];
    __shared__ __align__(8) u64 pair[2];
    const int tid = threadIdx.x, q = tid % KQ, unit = (CS > 1 ? clusterRank() * (DH / CS) : 0) + tid / KQ, head = blockIdx.x / CS, b0 = blockIdx.y * NB;
    const int steps = (int)a.t, B = (int)a.b;
    const i64 D = a.nh * DH, col = (i64)head * DH + unit;
    const int mine = q / COPIES, b = min(b0 + mine, B - 1);
    const bool own = q % COPIES == 0 && b0 + mine < B;

    float r[KI][4][4]; // [part of the sum][of four][gate]
#pragma unroll
    for (int i = 0; i < KI; i++)
#pragma unroll
        for (int g = 0; g < 4; g++)
#pragma unroll
            for (int j = 0; j < 4; j++) r[i][g][j] = a.r[((i64)(head * 4 + g) * DH + unit) * DH + (i * KQ + q) * 4 + j];

    const bool loads = q * LOADS < 4; // this lane loads the gates from q·LOADS on
    float bias[LOADS];
    const float *x[NB][LOADS];
#pragma unroll
    for (int g = 0; g < LOADS; g++) {
        const int gate = loads ? q * LOADS + g : 0;
        bias[g] = loads ? a.bias[gate * D + col] : 0.f;
#pragma unroll
        for (int k = 0; k < NB; k++) x[k][g] = a.x[gate] + (i64)min(b0 + k, B - 1) * steps * D + col;
    }
    const i64 *resets = a.resets ? a.resets + (i64)b * steps : nullptr;

    Cell s{0.f, 0.f, 0.f, 0.f};
    if (a.state) {
        s.y = a.state[b * D + col];
        s.c = a.state[(B + b) * D + col];
        s.n = a.state[(2 * (i64)B + b) * D + col];
        s.m = a.state[(3 * (i64)B + b) * D + col];
    }
    if (resets && resets[0]) s.c = s.n = s.m = 0.f;
    for (int k = tid; k < NB * DH; k += THREADS) {
        const int row = min(b0 + k / DH, B - 1);
        float v = a.state ? a.state[row * D + head * DH + k % DH] : 0.f;
        if (a.resets && a.resets[(i64)row * steps]) v = 0.f;
        ys[0][k / DH][k % DH] = v;
    }
    const unsigned from = opaque(shared(&ys[0][0][q * 4])), to = opaque(shared(&ys[0][mine][unit])), arrivals = opaque(shared(pair));
    constexpr int BUFFER = NB * DH * 4; // bytes
    Peers<CS> peers;
    if (CS > 1) {
        peers.begin(shared(&ys[0][mine][unit]), shared(pair));
        if (tid == 0) beginPair(arrivals);
    }
    float now[NB][LOADS], next[NB][LOADS];
    auto fetch = [&](bool more, bool later) { // a step, and one AHEAD steps later into the L2
#pragma unroll
        for (int k = 0; k < NB; k++)
#pragma unroll
            for (int g = 0; g < LOADS; g++) {
                next[k][g] = loads && more ? __ldg(x[k][g]) : 0.f;
                if (loads && later) prefetch(x[k][g] + AHEAD * D);
                x[k][g] += D;
            }
    };
    auto take = [&] {
#pragma unroll
        for (int k = 0; k < NB; k++)
#pragma unroll
            for (int g = 0; g < LOADS; g++) now[k][g] = next[k][g] + bias[g];
    };
    fetch(true, false);
    take();
    if (CS > 1) clusterBarrier();
    else barrier<THREADS>();

    i64 out = (i64)b * steps * D + col;
    for (int t = 0; t < steps; t++, out += D) {
        const bool ends = resets && t + 1 < steps && resets[t + 1]; // the document
        fetch(t + 1 < steps, t + 1 + AHEAD < steps);
        if (CS > 1 && t > 0) await(arrivals + (t & 1) * 8, ((t - 1) >> 1) & 1);
        float sum[NB][4];
#pragma unroll
        for (int k = 0; k < NB; k++)
#pragma unroll
            for (int g = 0; g < 4; g++) sum[k][g] = q == g / LOADS ? now[k][g % LOADS] : 0.f;
#pragma unroll
        for (int i = 0; i < KI; i++)
#pragma unroll
            for (int k = 0; k < NB; k++) {
                const float4 v = load4(from + (t & 1) * BUFFER + (k * DH + i * KQ * 4) * 4);
                const float part[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
                for (int j = 0; j < 4; j++)
#pragma unroll
                    for (int g = 0; g < 4; g++) sum[k][g] = fmaf(r[i][g][j], part[j], sum[k][g]);
            }
        meet<NB, KQ>(sum, q);
        step(sum[0][0], sum[0][1], sum[0][2], sum[0][3], s);
        const int next = (t + 1) & 1;
        const float y = ends ? 0.f : s.y;
        if (CS == 1) {
            if (t + 1 < steps && q % COPIES == 0) store1(to + next * BUFFER, y);
        } else if (t + 1 < steps) {
            if (tid == 0) expect(arrivals + next * 8, BUFFER);
#pragma unroll
            for (int k = 0; k < CS; k++) // the copies of a cell share the peers
                if (k % COPIES == q % COPIES) send(peers.place[k] + next * BUFFER, __float_as_uint(y), peers.barrier[k] + next * 8);
        }
        take();
        if (CS == 1) barrier<THREADS>();
        if (own) {
            a.y[out] = s.y;
            a.gates[out] = s.kept;
            a.memories[out] = make_float2(s.c, s.n);
        }
        if (ends) s.c = s.n = s.m = 0.f;
    }
    if (CS > 1) clusterBarrier(); // no block ends before all have sent
    if (!own) return;
    a.next[b * D + col] = s.y;
    a.next[(B + b) * D + col] = s.c;
    a.next[(2 * (i64)B + b) * D + col] = s.n;
    a.next[(3 * (i64)B + b) * D + col] = s.m;
}

// The scan back. A thread has one cell, and four units of the step before for its
// part of the sums over all units and gates.
template <int DH, int NB, int KQ, int CS = 1> __device__ __forceinline__ void scanBack(const Backward &a) {
    constexpr int THREADS = DH / CS * KQ, KP = 4 * KQ, KI = DH / KP, COPIES = KQ / NB, RING = 4;
    static_assert(KI * KP == DH && KP <= 32 && COPIES * NB == KQ, "shape");
    extern __shared__ __align__(16) unsigned char ring[]; // [RING][THREADS] of float4, float2, float
    __shared__ __align__(16) float4 grads[2][NB][DH];
    __shared__ __align__(8) u64 pair[2];
    const int tid = threadIdx.x, q = tid % KQ, part = tid % KP, unit0 = CS > 1 ? clusterRank() * (DH / CS) : 0, unit = unit0 + tid / KQ,
              row0 = unit0 + tid / KP * 4, head = blockIdx.x / CS, b0 = blockIdx.y * NB;
    const int steps = (int)a.t, B = (int)a.b;
    const i64 D = a.nh * DH, col = (i64)head * DH + unit;
    const int mine = q / COPIES, b = min(b0 + mine, B - 1);
    const bool valid = b0 + mine < B, own = q % COPIES == 0 && valid;

    float r[KI][4][4]; // [part of the sum][unit][gate]
#pragma unroll
    for (int i = 0; i < KI; i++)
#pragma unroll
        for (int u = 0; u < 4; u++)
#pragma unroll
            for (int g = 0; g < 4; g++) r[i][u][g] = a.r[((i64)(head * 4 + g) * DH + i * KP + part) * DH + row0 + u];

    const i64 *resets = a.resets ? a.resets + (i64)b * steps : nullptr;
    const float clip = (float)a.clip;
    float gy = 0.f, dc = 0.f, dn = 0.f, rest = 0.f, bias[4] = {0.f, 0.f, 0.f, 0.f};
    if (a.dnext) {
        gy = a.dnext[b * D + col];
        dc = a.dnext[(B + b) * D + col];
        dn = a.dnext[(2 * (i64)B + b) * D + col];
        rest = a.dnext[(3 * (i64)B + b) * D + col] - a.next[(B + b) * D + col] * dc - a.next[(2 * (i64)B + b) * D + col] * dn;
    }
    float c0 = 0.f, n0 = 0.f;
    if (a.state) c0 = a.state[(B + b) * D + col], n0 = a.state[(2 * (i64)B + b) * D + col];
    const unsigned from = opaque(shared(&grads[0][0][part])), to = opaque(shared(&grads[0][mine][unit]));
    const unsigned ring4 = opaque(shared(ring) + tid * 16), ring2 = opaque(shared(ring) + RING * THREADS * 16 + tid * 8),
                   ring1 = opaque(shared(ring) + RING * THREADS * 24 + tid * 4);
    constexpr int BUFFER = NB * DH * 16; // bytes
    const unsigned arrivals = opaque(shared(pair));
    Peers<CS> peers;
    if (CS > 1) {
        peers.begin(shared(&grads[0][mine][unit]), shared(pair));
        if (tid == 0) beginPair(arrivals);
    }

    const i64 last = ((i64)b * steps + steps - 1) * D + col;
    const float4 *gates = a.gates + last;
    const float2 *memories = a.memories + last - D;
    const float *dys = a.dy ? a.dy + last : nullptr;
    float2 now = a.memories[last]; // c and n after the step
    auto fetch = [&](int t) {      // loads the inputs of step t
        const int slot = (t & (RING - 1)) * THREADS;
        if (t >= 0) {
            copy4(ring4 + slot * 16, gates), gates -= D;
            if (t > 0) copy2(ring2 + slot * 8, memories), memories -= D;
            if (dys) copy1(ring1 + slot * 4, dys), dys -= D;
        }
        copied();
    };
    float4 kept;
    float2 before;
    float dy;
    bool begin, beginNext;
    auto take = [&](int t) {
        const int slot = (t & (RING - 1)) * THREADS;
        kept = load4(ring4 + slot * 16);
        before = t > 0 ? load2(ring2 + slot * 8) : make_float2(c0, n0);
        dy = dys ? load1(ring1 + slot * 4) : 0.f;
        beginNext = resets && resets[t];
    };
    i64 out = last;
    for (int p = 0; p < RING - 1; p++) fetch(steps - 1 - p);
    awaitCopies<RING - 2>();
    take(steps - 1);
    float overN = reciprocal(now.y);
    if (CS > 1) clusterBarrier();
    else barrier<THREADS>();

    for (int t = steps - 1; t >= 0; t--, out -= D) {
        begin = beginNext;
        float4 d = stepBack(kept, now.x, overN, begin ? 0.f : before.x, begin ? 0.f : before.y, gy + dy, dc, dn, rest);
        const int buffer = (steps - 1 - t) & 1;
        if (CS == 1) {
            if (q % COPIES == 0) store4(to + buffer * BUFFER, d);
        } else {
            if (tid == 0) expect(arrivals + buffer * 8, BUFFER);
#pragma unroll
            for (int k = 0; k < CS; k++)
                if (k % COPIES == q % COPIES) send4(peers.place[k] + buffer * BUFFER, d, peers.barrier[k] + buffer * 8);
        }
        fetch(t - (RING - 1));
        awaitCopies<RING - 2>();
        now = before;
        if (t > 0) take(t - 1);
        overN = reciprocal(now.y);
        if (CS == 1) barrier<THREADS>();
        if (own) a.dx[0][out] = d.x, a.dx[1][out] = d.y, a.dx[2][out] = d.z, a.dx[3][out] = d.w;
        if (valid) bias[0] += d.x, bias[1] += d.y, bias[2] += d.z, bias[3] += d.w;
        if (CS > 1) await(arrivals + buffer * 8, ((steps - 1 - t) >> 1) & 1);
        float sum[NB][4] = {};
#pragma unroll
        for (int i = 0; i < KI; i++)
#pragma unroll
            for (int k = 0; k < NB; k++) {
                const float4 v = load4(from + buffer * BUFFER + (k * DH + i * KP) * 16);
                const float up[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
                for (int g = 0; g < 4; g++)
#pragma unroll
                    for (int u = 0; u < 4; u++) sum[k][u] = fmaf(r[i][u][g], up[g], sum[k][u]);
            }
        meetUnits<NB, KP>(sum, part);
        gy = fminf(fmaxf(sum[0][0], -clip), clip);
        if (begin) gy = dc = dn = rest = 0.f;
    }
    if (CS > 1) clusterBarrier();
    if (own) {
        a.dstate[b * D + col] = gy;
        a.dstate[(B + b) * D + col] = dc;
        a.dstate[(2 * (i64)B + b) * D + col] = dn;
        a.dstate[(3 * (i64)B + b) * D + col] = rest + c0 * dc + n0 * dn;
    }
#pragma unroll
    for (int g = 0; g < 4; g++) {
#pragma unroll
        for (int mask = KQ / 2; mask >= COPIES; mask >>= 1) bias[g] += __shfl_xor_sync(~0u, bias[g], mask);
        if (q == 0) a.dbias[((i64)blockIdx.y * 4 + g) * D + col] = bias[g];
    }
}
