// The sLSTM scan with half-precision products on the tensor cores, over a cluster of
// CS blocks of which each has 1/CS of a head's units, for eight sequences: they are
// the columns of the products, and the recurrent weights, as 16-bit numbers in
// registers, the rows. Forward the operands are float16, for |y| is at most 1 and so
// 8 times as exact as in bfloat16; back they are bfloat16, for the range. Sums,
// cells and the tape, that of slstm_scan.cuh, are float32.
//
// A warp has 8 units of the block, a thread one of them and two sequences.
#pragma once
#include "slstm_scan.cuh"
#include "tensor.cuh"

#define SEQUENCES 8
#define RING 4 // steps of operands that are on their way

// Adds up sets of sums, a power of two, in the first one.
template <int SETS, int TILES> __device__ __forceinline__ void addSets(float (&acc)[SETS][TILES][4]) {
#pragma unroll
    for (int n = SETS / 2; n > 0; n /= 2)
#pragma unroll
        for (int k = 0; k < n; k++)
#pragma unroll
            for (int m = 0; m < TILES; m++)
#pragma unroll
                for (int j = 0; j < 4; j++) acc[k][m][j] += acc[k + n][m][j];
}

// Forward. A warp has two tiles of 16 rows: gates i and f, then z and o, of its 8
// units. SETS: of sums, each over as many of the units before, for a product waits for
// the one before into the same sums. Dynamic shared memory: shared of scanShape.
template <int DH, int CS, int SETS> __device__ __forceinline__ void scanHalf(const Forward &a) {
    constexpr int U = DH / CS, THREADS = U * 4, KT = DH / 16, YW = DH + 8, UP = U + 4, PIECES = 2;
    extern __shared__ __align__(16) unsigned char space[];
    __shared__ __align__(8) u64 pair[2];
    unsigned short *ys = (unsigned short *)space;                  // [2][SEQUENCES][YW]
    float *ring = (float *)(space + 2 * SEQUENCES * YW * 2); // [RING][4][SEQUENCES][UP]
    const int tid = threadIdx.x, w = tid / 32, lane = tid & 31, row = lane >> 2, q = lane & 3, rank = clusterRank();
    const int local = w * 8 + row, unit = rank * U + local, head = blockIdx.x / CS, b0 = blockIdx.y * SEQUENCES;
    const int steps = (int)a.t, B = (int)a.b;
    const i64 D = a.nh * DH, col = (i64)head * DH + unit;

    unsigned r[2][KT][4];
#pragma unroll
    for (int m = 0; m < 2; m++)
#pragma unroll
        for (int k = 0; k < KT; k++)
#pragma unroll
            for (int j = 0; j < 4; j++) {
                const float *p = a.r + ((i64)(head * 4 + 2 * m + (j & 1)) * DH + unit) * DH + k * 16 + q * 2 + (j >> 1) * 8;
                r[m][k][j] = pack<false>(p[0], p[1]);
            }
    float bias[4];
#pragma unroll
    for (int g = 0; g < 4; g++) bias[g] = a.bias[g * D + col];
    int b[2];
    bool own[2];
    const i64 *resets[2];
    Cell s[2];
    i64 out[2];
#pragma unroll
    for (int k = 0; k < 2; k++) {
        own[k] = b0 + 2 * q + k < B;
        b[k] = min(b0 + 2 * q + k, B - 1);
        out[k] = (i64)b[k] * steps * D + col;
        resets[k] = a.resets ? a.resets + (i64)b[k] * steps : nullptr;
        s[k] = Cell{0.f, 0.f, 0.f, 0.f};
        if (a.state) {
            s[k].c = a.state[(B + b[k]) * D + col];
            s[k].n = a.state[(2 * (i64)B + b[k]) * D + col];
            s[k].m = a.state[(3 * (i64)B + b[k]) * D + col];
        }
        if (resets[k] && resets[k][0]) s[k].c = s[k].n = s[k].m = 0.f;
    }
    for (int k = tid; k < SEQUENCES * DH; k += THREADS) {
        const int n = k / DH, at = min(b0 + n, B - 1);
        float v = a.state ? a.state[at * D + head * DH + k % DH] : 0.f;
        if (a.resets && a.resets[(i64)at * steps]) v = 0.f;
        ys[n * YW + k % DH] = (unsigned short)pack<false>(v, 0.f);
    }
    // The thread's pieces, of four units, of the inputs of a step.
    const float *x[PIECES];
    unsigned to[PIECES];
#pragma unroll
    for (int k = 0; k < PIECES; k++) {
        const int c = k * THREADS + tid, u = c % (U / 4) * 4, n = c / (U / 4) % SEQUENCES, g = c / (U / 4) / SEQUENCES;
        x[k] = a.x[g] + (i64)min(b0 + n, B - 1) * steps * D + head * DH + rank * U + u;
        to[k] = shared(&ring[(g * SEQUENCES + n) * UP + u]);
    }
    constexpr int STAGE = 4 * SEQUENCES * UP; // floats of a step
    auto fetch = [&](int t) {
        if (t < steps)
#pragma unroll
            for (int k = 0; k < PIECES; k++) copy4(to[k] + (t & (RING - 1)) * STAGE * 4, x[k]), x[k] += D;
        copied();
    };
#pragma unroll
    for (int t = 0; t < RING - 1; t++) fetch(t);
    const unsigned arrivals = shared(pair), from = shared(ys + (lane & 7) * YW + (lane >> 3) * 8);
    Peers<CS> peers; // of the pair of units and the sequence that the thread sends
    peers.begin(shared(ys + (2 * q + (row & 1)) * YW + (unit & ~1)), arrivals);
    if (tid == 0) beginPair(arrivals);
    awaitCopies<RING - 2>();
    clusterBarrier();

    for (int t = 0; t < steps; t++) {
        bool ends[2];
#pragma unroll
        for (int k = 0; k < 2; k++) ends[k] = resets[k] && t + 1 < steps && resets[k][t + 1];
        fetch(t + RING - 1);
        float acc[SETS][2][4]; // by tiles
        const float *xs = ring + (t & (RING - 1)) * STAGE + local + 2 * q * UP;
#pragma unroll
        for (int m = 0; m < 2; m++)
#pragma unroll
            for (int j = 0; j < 4; j++) {
                acc[0][m][j] = xs[((2 * m + (j >> 1)) * SEQUENCES + (j & 1)) * UP] + bias[2 * m + (j >> 1)];
#pragma unroll
                for (int n = 1; n < SETS; n++) acc[n][m][j] = 0.f;
            }
        if (t > 0) await(arrivals + (t & 1) * 8, ((t - 1) >> 1) & 1);
#pragma unroll
        for (int k = 0; k < KT; k += 2) {
            unsigned y[4];
            matrices(y, from + (t & 1) * (SEQUENCES * YW * 2) + k * 32);
#pragma unroll
            for (int m = 0; m < 2; m++) {
                multiply<false>(acc[k % SETS][m], r[m][k], y[0], y[1]);
                multiply<false>(acc[(k + 1) % SETS][m], r[m][k + 1], y[2], y[3]);
            }
        }
        addSets(acc);
#pragma unroll
        for (int k = 0; k < 2; k++) step(acc[0][0][k], acc[0][0][2 + k], acc[0][1][k], acc[0][1][2 + k], s[k]);
        if (t + 1 < steps) {
            const int next = (t + 1) & 1;
            if (tid == 0) expect(arrivals + next * 8, SEQUENCES * DH * 2);
            // A pair of units: the even one's lane takes the first sequence, the odd
            // one's the second.
            const float y0 = ends[0] ? 0.f : s[0].y, y1 = ends[1] ? 0.f : s[1].y;
            const bool odd = row & 1;
            const float got = __shfl_xor_sync(~0u, odd ? y0 : y1, 4);
            const unsigned y = pack<false>(odd ? got : y0, odd ? y1 : got);
#pragma unroll
            for (int k = 0; k < CS; k++) send(peers.place[k] + next * (SEQUENCES * YW * 2), y, peers.barrier[k] + next * 8);
        }
        awaitCopies<RING - 2>();
        __syncthreads(); // the next step's inputs are there, and this one's read
#pragma unroll
        for (int k = 0; k < 2; k++) {
            if (own[k]) {
                a.y[out[k]] = s[k].y;
                a.gates[out[k]] = s[k].kept;
                a.memories[out[k]] = make_float2(s[k].c, s[k].n);
            }
            out[k] += D;
            if (ends[k]) s[k].c = s[k].n = s[k].m = 0.f;
        }
    }
    clusterBarrier(); // no block ends before all have sent
#pragma unroll
    for (int k = 0; k < 2; k++) {
        if (!own[k]) continue;
        a.next[b[k] * D + col] = s[k].y;
        a.next[(B + b[k]) * D + col] = s[k].c;
        a.next[(2 * (i64)B + b[k]) * D + col] = s[k].n;
        a.next[(3 * (i64)B + b[k]) * D + col] = s[k].m;
    }
}

// Back. A block sums over the gate gradients of its own units, for the units of all
// blocks, and sends these parts, in float32, to the blocks that have the units. A
// warp has CS/2 tiles of 16 units. Dynamic shared memory: sharedBack of scanShape.
template <int DH, int CS, int SETS> __device__ __forceinline__ void scanHalfBack(const Backward &a) {
    constexpr int U = DH / CS, THREADS = U * 4, MT = CS / 2, KT = U / 4, GW = 4 * U + 8, PARTS = CS * U * 4; // PARTS: of a step
    static_assert(U % 16 == 0 && CS > 1, "shape");
    extern __shared__ __align__(16) unsigned char space[];
    __shared__ __align__(8) u64 pair[2];
    unsigned short *gs = (unsigned short *)space;                    // [2][SEQUENCES][GW]: unit, gate
    float2 *parts = (float2 *)(space + 2 * SEQUENCES * GW * 2); // [2][CS][U·4]: from block, unit, pair of sequences
    float4 *ring4 = (float4 *)(parts + 2 * PARTS);                   // [RING][2][THREADS]
    float2 *ring2 = (float2 *)(ring4 + RING * 2 * THREADS);
    float *ring1 = (float *)(ring2 + RING * 2 * THREADS);
    const int tid = threadIdx.x, w = tid / 32, lane = tid & 31, row = lane >> 2, q = lane & 3, rank = clusterRank();
    const int unit = rank * U + w * 8 + row, head = blockIdx.x / CS, b0 = blockIdx.y * SEQUENCES;
    const int steps = (int)a.t, B = (int)a.b;
    const i64 D = a.nh * DH, col = (i64)head * DH + unit;

    unsigned r[MT][KT][4];
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int k = 0; k < KT; k++)
#pragma unroll
            for (int j = 0; j < 4; j++) {
                const int c = k * 16 + q * 2 + (j >> 1) * 8; // a pair of gates of unit c/4
                const float *p = a.r + ((i64)(head * 4 + (c & 3)) * DH + rank * U + (c >> 2)) * DH + (w * MT + m) * 16 + row + (j & 1) * 8;
                r[m][k][j] = pack<true>(p[0], p[DH * DH]);
            }
    const float clip = __uint_as_float(opaque(__float_as_uint((float)a.clip)));
    int b[2];
    bool own[2];
    const i64 *resets[2];
    float gy[2] = {}, dc[2] = {}, dn[2] = {}, rest[2] = {}, c0[2] = {}, n0[2] = {}, bias[4] = {};
    float2 now[2]; // c and n behind the step
    i64 in[2], out[2];
#pragma unroll
    for (int k = 0; k < 2; k++) {
        own[k] = b0 + 2 * q + k < B;
        b[k] = min(b0 + 2 * q + k, B - 1);
        resets[k] = a.resets ? a.resets + (i64)b[k] * steps : nullptr;
        if (a.dnext) {
            gy[k] = a.dnext[b[k] * D + col];
            dc[k] = a.dnext[(B + b[k]) * D + col];
            dn[k] = a.dnext[(2 * (i64)B + b[k]) * D + col];
            rest[k] = a.dnext[(3 * (i64)B + b[k]) * D + col] - a.next[(B + b[k]) * D + col] * dc[k] - a.next[(2 * (i64)B + b[k]) * D + col] * dn[k];
        }
        if (a.state) c0[k] = a.state[(B + b[k]) * D + col], n0[k] = a.state[(2 * (i64)B + b[k]) * D + col];
        in[k] = out[k] = ((i64)b[k] * steps + steps - 1) * D + col;
        now[k] = a.memories[in[k]];
    }
    auto fetch = [&](int t) { // brings in what step t needs
        if (t >= 0)
#pragma unroll
            for (int k = 0; k < 2; k++) {
                const int slot = ((t & (RING - 1)) * 2 + k) * THREADS + tid;
                copy4(shared(&ring4[slot]), a.gates + in[k]);
                if (t > 0) copy2(shared(&ring2[slot]), a.memories + in[k] - D);
                if (a.dy) copy1(shared(&ring1[slot]), a.dy + in[k]);
                in[k] -= D;
            }
        copied();
    };
    float4 kept[2];
    float2 before[2];
    float dy[2], overN[2];
    bool begin[2], beginNext[2];
    auto take = [&](int t) {
#pragma unroll
        for (int k = 0; k < 2; k++) {
            const int slot = ((t & (RING - 1)) * 2 + k) * THREADS + tid;
            kept[k] = ring4[slot];
            before[k] = t > 0 ? ring2[slot] : make_float2(c0[k], n0[k]);
            dy[k] = a.dy ? ring1[slot] : 0.f;
            beginNext[k] = resets[k] && resets[k][t];
            overN[k] = reciprocal(now[k].y);
        }
    };
    for (int p = 0; p < RING - 1; p++) fetch(steps - 1 - p);
    awaitCopies<RING - 2>();
    take(steps - 1);
    const unsigned arrivals = shared(pair), from = shared(gs + (lane & 7) * GW + (lane >> 3) * 8);
    unsigned place[MT], barrier[MT];
#pragma unroll
    for (int m = 0; m < MT; m++) {
        const int first = (w * MT + m) * 16;
        place[m] = ofPeer(shared(parts + (rank * U + first % U + row) * 4 + q), first / U);
        barrier[m] = ofPeer(arrivals, first / U);
    }
    const unsigned mine = opaque(shared(parts + tid)); // of unit w·8 + row, pair q
    if (tid == 0) beginPair(arrivals);
    clusterBarrier();

    for (int t = steps - 1; t >= 0; t--) {
        const int buffer = (steps - 1 - t) & 1;
        float4 d[2];
#pragma unroll
        for (int k = 0; k < 2; k++) {
            begin[k] = beginNext[k];
            d[k] = stepBack(kept[k], now[k].x, overN[k], begin[k] ? 0.f : before[k].x, begin[k] ? 0.f : before[k].y, gy[k] + dy[k], dc[k], dn[k], rest[k]);
            *(uint2 *)(gs + (buffer * SEQUENCES + 2 * q + k) * GW + (w * 8 + row) * 4) = make_uint2(pack<true>(d[k].x, d[k].y), pack<true>(d[k].z, d[k].w));
        }
        __syncthreads();
        float acc[SETS][MT][4] = {};
#pragma unroll
        for (int k = 0; k < KT; k += 2) {
            unsigned g[4];
            matrices(g, from + buffer * (SEQUENCES * GW * 2) + k * 32);
#pragma unroll
            for (int m = 0; m < MT; m++) {
                multiply<true>(acc[k % SETS][m], r[m][k], g[0], g[1]);
                multiply<true>(acc[(k + 1) % SETS][m], r[m][k + 1], g[2], g[3]);
            }
        }
        addSets(acc);
#pragma unroll
        for (int m = 0; m < MT; m++) {
            const unsigned p = place[m] + buffer * PARTS * 8, arrived = barrier[m] + buffer * 8;
            send2(p, acc[0][m][0], acc[0][m][1], arrived);
            send2(p + 256, acc[0][m][2], acc[0][m][3], arrived); // 8 units on
        }
        // While the parts are on their way, all else.
        if (tid == 0) expect(arrivals + buffer * 8, PARTS * 8);
#pragma unroll
        for (int k = 0; k < 2; k++) {
            if (own[k]) {
                a.dx[0][out[k]] = d[k].x, a.dx[1][out[k]] = d[k].y, a.dx[2][out[k]] = d[k].z, a.dx[3][out[k]] = d[k].w;
                bias[0] += d[k].x, bias[1] += d[k].y, bias[2] += d[k].z, bias[3] += d[k].w;
            }
            out[k] -= D;
            now[k] = before[k];
        }
        fetch(t - (RING - 1));
        awaitCopies<RING - 2>();
        if (t > 0) take(t - 1);
        await(arrivals + buffer * 8, ((steps - 1 - t) >> 1) & 1);
        gy[0] = gy[1] = 0.f;
#pragma unroll
        for (int c = 0; c < CS; c++) {
            const float2 v = load2(mine + (buffer * CS + c) * (U * 4 * 8));
            gy[0] += v.x, gy[1] += v.y;
        }
#pragma unroll
        for (int k = 0; k < 2; k++) {
            gy[k] = fminf(fmaxf(gy[k], -clip), clip);
            if (begin[k]) gy[k] = dc[k] = dn[k] = rest[k] = 0.f;
        }
    }
    clusterBarrier();
#pragma unroll
    for (int k = 0; k < 2; k++) {
        if (!own[k]) continue;
        a.dstate[b[k] * D + col] = gy[k];
        a.dstate[(B + b[k]) * D + col] = dc[k];
        a.dstate[(2 * (i64)B + b[k]) * D + col] = dn[k];
        a.dstate[(3 * (i64)B + b[k]) * D + col] = rest[k] + c0[k] * dc[k] + n0[k] * dn[k];
    }
#pragma unroll
    for (int g = 0; g < 4; g++) {
        bias[g] += __shfl_xor_sync(~0u, bias[g], 1);
        bias[g] += __shfl_xor_sync(~0u, bias[g], 2);
        if (q == 0) a.dbias[((i64)blockIdx.y * 4 + g) * D + col] = bias[g];
    }
}
