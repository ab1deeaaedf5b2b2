// Common definitions of the chunkwise mLSTM. internal/kernels has the equations.
//
// q, k [b·t,nh·dqk], v, h [b·t,nh·dhv], gates [b·t,nh]. Values per step and head are at
// (item·t + step) with item = b·nh + head, values per chunk at item·nc + chunk. A chunk
// has `tiles` tiles of 64 steps.
//
// The beginnings of documents divide a chunk into segments; a share between steps of
// different segments is zero. Segment 0 is the one that the state before the chunk
// reaches.
#pragma once
#include "common.cuh"

#define TILE 64
#define MOST 4 // the largest number of tiles in a chunk

struct MLSTM {
    int b, t, nh, dqk, dhv, nc, tiles;
    double scaleQ, scaleK, eps;
    double begin; // the stabiliser of an absent state
    const i64 *resets;
};

// A logarithm to base 2 in two parts, with about the precision of a double.
struct __align__(2 * sizeof(T)) Log {
    T high, low;
    __device__ void set(double natural) {
        double x = natural * 1.4426950408889634;
        high = (T)x, low = (T)(x - (double)high);
    }
};

__device__ inline float power(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
__device__ inline double power(double x) { return exp2(x); }

// 2^(x − y).
__device__ inline T quotient(Log x, Log y) { return power((x.high - y.high) + (x.low - y.low)); }

// The results of mlstm_gates, per step and per chunk.
struct Gates {
    Log *u;       // i~ − the sum of log σ(f~) within the segment, up to and with the step
    Log *top;     // the running maximum of u in the segment, with the stabiliser before it
    int *segment;
    int *winner;  // the chunk's step whose input set the stabiliser, −1 for the previous state
    T *inter;     // β·scaleQ
    T *carry;     // ā·scaleK
    T *floor;     // exp(−m)
    T *keep;      // one per chunk
};

// Whether a row is normalised by |q·n|, so that the gradient flows through it.
__device__ inline bool linear(const Gates &g, const T *den, i64 at) { return abs(den[at]) >= g.floor[at]; }
