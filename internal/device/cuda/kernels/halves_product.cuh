// Products of rows of weights in bfloat16 with a vector, on tensor cores, for one block.
//
// A product is one of matrices: rows of weights, and the vector as the sum of three of
// bfloat16, which are columns of a matrix. The products are exact, the sums of float32.
//
// A warp of each block does nothing but copy rows of weights to shared memory, in the
// order in which they are needed, eight rows of at most 1024 numbers to a slot, as far
// ahead as there are slots.
#pragma once
#include "common.cuh"

#define ROWS 8                // of a slot
#define WIDE 1024             // numbers of a row in a slot, at most
#define PITCH (WIDE * 2 + 64) // bytes from row to row, so that eight are read without conflicts
#define SLOT (ROWS * PITCH)
#define DEPTH 11             // slots
#define FLIGHT 1             // slots that are being filled, at most: more would only keep what blocks exchange waiting
#define TOGETHER 3           // slots that are multiplied at once, at most
#define SUMS (2 * WARPS + 4) // parts of the result of a row, and room between rows
#define PARTS 3              // vectors of bfloat16 whose sum a vector is
#define HURRY 0x80000000u    // marks the length of a slot behind which nothing is exchanged
#define NOTHING 0xffffffffu  // where a row begins that is none

// The rows of all blocks.
struct Weights {
    const unsigned *rows;    // [block, slot, ROWS]: where rows begin, in units of 16 bytes, or NOTHING
    const unsigned *lengths; // [block, slot]: bytes of each row, 0 behind the last slot, and HURRY
    const char *from;
};

struct Ring {
    char *slots;
    u64 *full, *empty; // barriers
};

// A place in the ring.
struct Turn {
    int slot, phase;
    __device__ void next() {
        if (++slot == DEPTH) slot = 0, phase ^= 1;
    }
};

// Fills slots with zeros: what has not been copied is multiplied with zeros.
__device__ inline void clear(char *slots) {
    for (int i = threadIdx.x; i < DEPTH * SLOT / 16; i += THREADS + 32) ((uint4 *)slots)[i] = uint4{};
    copiesMayFollow();
}

// Copies all rows of the block. Lanes hold what is to be copied to four slots, and ask
// for the rows of the fourth slot ahead, which are then in the second-level cache.
__device__ inline void copyAll(const Weights &s, int total, const Ring &r) {
    int lane = threadIdx.x & 31;
    const unsigned *at = s.rows + (i64)blockIdx.x * total * ROWS, *lengths = s.lengths + (i64)blockIdx.x * total;
    unsigned nextAt = NOTHING, nextLength = 0, row = NOTHING, length = 0;
    auto look = [&](int slot) {
        slot += lane / ROWS;
        nextAt = slot < total ? at[slot * ROWS + lane % ROWS] : NOTHING;
        nextLength = slot < total ? lengths[slot] : 0;
    };
    look(0);
    Turn turn = {0, 1}, behind = {0, 0};
    for (int k = 0; k < total; k++, turn.next()) {
        if (k % 4 == 0) {
            row = nextAt, length = nextLength;
            look(k + 4);
        }
        bool mine = lane / ROWS == k % 4 && row != NOTHING;
        int count = __popc(__ballot_sync(~0u, mine)), bytes = __shfl_sync(~0u, length, k % 4 * ROWS);
        if (bytes == 0) break;
        if (k >= FLIGHT) {
            if (bytes > 0) barrierWait(r.full + behind.slot, behind.phase);
            behind.next();
        }
        bytes &= ~HURRY;
        barrierWait(r.empty + turn.slot, turn.phase);
        if (lane == 0) barrierExpect(r.full + turn.slot, count * bytes);
        __syncwarp();
        if (lane / ROWS == k % 4 && nextAt != NOTHING) askForRow(s.from + 16 * (i64)nextAt, nextLength & ~HURRY);
        if (mine) copyRow(r.slots + turn.slot * SLOT + lane % ROWS * PITCH, s.from + 16 * (i64)row, bytes, r.full + turn.slot);
    }
}

// Writes four numbers of a vector, those from 4·q on, as sums of three of bfloat16: of
// eight neighbours first 0, 1, 4 and 5 and then the others, as multiply reads them.
__device__ inline void split(Four a, int q, char *x, int pitch) {
    char *to = x + q / 2 * 16 + q % 2 * 4;
#pragma unroll
    for (int p = 0; p < PARTS; p++) {
        unsigned lo = toHalves(a.v[0], a.v[1]), hi = toHalves(a.v[2], a.v[3]);
        *(unsigned *)(to + p * pitch) = lo, *(unsigned *)(to + p * pitch + 8) = hi;
        a.v[0] -= __uint_as_float(lo << 16), a.v[1] -= __uint_as_float(lo & 0xffff0000u);
        a.v[2] -= __uint_as_float(hi << 16), a.v[3] -= __uint_as_float(hi & 0xffff0000u);
    }
}

// Where a lane finds its numbers of a slot and of x, and leaves its sums. A lane has eight
// neighbouring numbers of a row at a time. For the tensor cores these are two rows, one of
// the numbers 0, 1, 4 and 5 and one of the others: the first three columns of the matrix
// are the parts of x of the former, the next three those of the latter, and what is
// computed of the one with the other is not read.
struct Lane {
    const char *slot, *x;
    T *sums;
    int quarter;
};

#define EACH_WARP (WIDE / 32 / WARPS) // times 32 numbers of a row of a slot

// A warp's numbers of x that belong to a slot.
struct Piece {
    uint2 y[EACH_WARP];
    __device__ void look(const char *x) {
#pragma unroll
        for (int i = 0; i < EACH_WARP; i++) y[i] = *(const uint2 *)(x + 64 * WARPS * i);
    }
};

// Products of the next COUNT slots with as many pieces of x, or with the same.
template <int COUNT, int PIECES> __device__ inline void multiplySlots(const Ring &ring, Turn &turn, const Lane &lane, const Piece (&pieces)[PIECES], T (&d)[COUNT][4]) {
    u64 *full[COUNT];
    int phase[COUNT];
    const char *at[COUNT];
    bool ready = true;
#pragma unroll
    for (int j = 0; j < COUNT; j++) {
        full[j] = ring.full + turn.slot, phase[j] = turn.phase, at[j] = lane.slot + turn.slot * SLOT;
        turn.next();
    }
#pragma unroll
    for (int j = 0; j < COUNT; j++) ready &= barrierTry(full[j], phase[j]);
    if (!ready) {
#pragma unroll
        for (int j = 0; j < COUNT; j++) barrierWait(full[j], phase[j]);
    }
    uint4 w[COUNT][EACH_WARP];
#pragma unroll
    for (int j = 0; j < COUNT; j++)
#pragma unroll
        for (int i = 0; i < EACH_WARP; i++) w[j][i] = *(const uint4 *)(at[j] + 64 * WARPS * i);
#pragma unroll
    for (int i = 0; i < EACH_WARP; i++)
#pragma unroll
        for (int j = 0; j < COUNT; j++) {
            uint2 y = pieces[PIECES == 1 ? 0 : j].y[i];
            if (i == 0) multiplyFirst(d[j], w[j][i].x, w[j][i].y, w[j][i].z, w[j][i].w, y.x, y.y);
            else multiplyAdd(d[j], w[j][i].x, w[j][i].y, w[j][i].z, w[j][i].w, y.x, y.y);
        }
}

// A lane's part of the results of eight rows: columns 0 and 1 of the first row are those
// of quarter 0, 2 that of quarter 1, whose is 3 of the second row.
__device__ inline T part(const Lane &lane, const T (&d)[4]) {
    T v = (lane.quarter < 2 ? d[0] : d[2]) + (lane.quarter == 0 ? d[1] : d[3]);
    return lane.quarter == 3 ? 0 : v;
}

// Leaves parts of the results of a unit, of which a warp has two of each row.
__device__ inline void leave(const Lane &lane, T v, int unit) {
    v += __shfl_xor_sync(~0u, v, 2);
    if (lane.quarter < 2) lane.sums[unit * ROWS * SUMS] = v;
}

// The products of COUNT units whose rows are in one slot.
template <int COUNT> __device__ inline void multiplyUnits(const Ring &ring, Turn &turn, const Lane &lane, const Piece (&piece)[1], int unit) {
    T d[COUNT][4];
    multiplySlots<COUNT, 1>(ring, turn, lane, piece, d);
#pragma unroll
    for (int j = 0; j < COUNT; j++) leave(lane, part(lane, d[j]), unit + j);
}

// The sum of products of COUNT slots of a unit with pieces of x.
template <int COUNT> __device__ inline T multiplyPieces(const Ring &ring, Turn &turn, const Lane &lane, int piece) {
    Piece pieces[COUNT];
#pragma unroll
    for (int j = 0; j < COUNT; j++) pieces[j].look(lane.x + 2 * WIDE * (piece + j));
    T d[COUNT][4], v = 0;
    multiplySlots<COUNT, COUNT>(ring, turn, lane, pieces, d);
#pragma unroll
    for (int j = 0; j < COUNT; j++) v += part(lane, d[j]);
    return v;
}

// The products of units of eight rows of n numbers with x: of each row, parts that are to
// be added up.
__device__ inline void multiply(const Ring &ring, Turn &turn, int units, int n, const Lane &lane) {
    if (n <= WIDE) {
        Piece piece[1];
        piece[0].look(lane.x);
        int u = 0;
#pragma unroll 1
        for (; u + TOGETHER <= units; u += TOGETHER) multiplyUnits<TOGETHER>(ring, turn, lane, piece, u);
        if (u + 2 == units) multiplyUnits<2>(ring, turn, lane, piece, u);
        if (u + 1 == units) multiplyUnits<1>(ring, turn, lane, piece, u);
        return;
    }
    int pieces = (n + WIDE - 1) / WIDE;
#pragma unroll 1
    for (int u = 0; u < units; u++) {
        T v = 0;
        int p = 0;
#pragma unroll 1
        for (; p + TOGETHER <= pieces; p += TOGETHER) v += multiplyPieces<TOGETHER>(ring, turn, lane, p);
        if (p + 2 == pieces) v += multiplyPieces<2>(ring, turn, lane, p);
        if (p + 1 == pieces) v += multiplyPieces<1>(ring, turn, lane, p);
        leave(lane, v, u);
    }
}

// Hands slots back that a warp has multiplied, those from the first one on.
__device__ inline void handBack(const Ring &ring, int first, int count) {
    int k = threadIdx.x & 31;
    if (k < count) barrierArrive(ring.empty + (first + k) % DEPTH);
}

// The sum of the parts of a row.
__device__ inline T total(const T *sums) {
    Four v[2 * WARPS / 4];
#pragma unroll
    for (int k = 0; k < 2 * WARPS / 4; k++) v[k] = ((const Four *)sums)[k];
#pragma unroll
    for (int k = 1; k < 2 * WARPS / 4; k++)
#pragma unroll
        for (int e = 0; e < 4; e++) v[0].v[e] += v[k].v[e];
    return (v[0].v[0] + v[0].v[1]) + (v[0].v[2] + v[0].v[3]);
}
