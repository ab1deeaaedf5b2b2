// The normalisers of the chunkwise mLSTM apart from its memories, for operands in
// bfloat16: the scores wait for n alone, so that the memories can be computed beside
// them.
//gen: f32 compute_90
#include "mlstm.cuh"

#define ROWS 32   // steps at a time
#define DEEP 8    // such times that are loaded ahead
#define PIECE 64  // columns of a block

struct Normaliser {
    const unsigned short *x; // [b·t,nh·dqk]
    const float *w, *first;  // first may be null
    float *n, *last;         // n before every chunk, or behind it on the way back; each may be null
};

__device__ inline float numberOf(unsigned half) { return __uint_as_float(half << 16); }

// n before every chunk of an item and behind the last one, or, on the way back, its
// gradient behind every chunk and before the first one: each is a share, keep, of the
// one before and the rows of x, weighted by w. Block: 256 threads, of which 8
// neighbours have a row's columns; grid: pieces of the columns, items.
KERNEL __launch_bounds__(256) mlstm_normalisers(MLSTM s, const float *keep, Normaliser m, int back) {
    __shared__ float parts[2][8][PIECE];
    int tid = threadIdx.x, item = blockIdx.y, b = item / s.nh, head = item % s.nh, d0 = blockIdx.x * PIECE, row = tid / 8, length = s.tiles * TILE;
    const unsigned short *x = m.x + ((i64)b * s.t * s.nh + head) * s.dqk + d0 + tid % 8 * 8;
    const float *w = m.w + (i64)item * s.t;
    uint4 rows[DEEP];
    float weights[DEEP];
    auto load = [&](int step, int there) { // ROWS·DEEP steps
#pragma unroll
        for (int k = 0; k < DEEP; k++) {
            int i = k * ROWS + row;
            bool in = i < there;
            rows[k] = in ? *(const uint4 *)(x + (i64)(step + i) * s.nh * s.dqk) : make_uint4(0, 0, 0, 0);
            weights[k] = in ? w[step + i] : 0.f;
        }
    };
    auto chunk = [&](int k) { return back ? s.nc - 1 - k : k; };
    auto there = [&](int c) { return min(length, s.t - c * length); };
    int column = d0 + tid % PIECE, chunks = m.last ? s.nc : s.nc - 1;
    float n = m.first && tid < PIECE ? m.first[(i64)item * s.dqk + column] : 0.f;
    if (chunks > 0) load(chunk(0) * length, there(chunk(0)));
    for (int k = 0; k < s.nc; k++) {
        i64 at = (i64)item * s.nc + chunk(k);
        if (tid < PIECE && m.n) m.n[at * s.dqk + column] = n;
        if (k == chunks) break;
        float sum[8] = {};
#pragma unroll
        for (int r = 0; r < DEEP; r++) {
            unsigned words[4] = {rows[r].x, rows[r].y, rows[r].z, rows[r].w};
#pragma unroll
            for (int e = 0; e < 4; e++) sum[2 * e] += weights[r] * numberOf(words[e] & 0xffff), sum[2 * e + 1] += weights[r] * numberOf(words[e] >> 16);
        }
        float kept = keep[at];
        if (k + 1 < chunks) load(chunk(k + 1) * length, there(chunk(k + 1)));
#pragma unroll
        for (int e = 0; e < 8; e++) {
            sum[e] += __shfl_xor_sync(~0u, sum[e], 8);
            sum[e] += __shfl_xor_sync(~0u, sum[e], 16);
        }
        float(*part)[PIECE] = parts[k % 2];
        if (tid % 32 < 8)
#pragma unroll
            for (int e = 0; e < 8; e++) part[tid / 32][tid % 8 * 8 + e] = sum[e];
        __syncthreads();
        if (tid >= PIECE) continue;
        float more = 0;
#pragma unroll
        for (int p = 0; p < 8; p++) more += part[p][tid];
        n = n * kept + more;
    }
    if (m.last && tid < PIECE) m.last[(i64)item * s.dqk + column] = n;
}
