// The outputs of the chunkwise mLSTM and its memories in one walk over the chunks, for
// keys of 256 columns and chunks of the full length: the outputs take the memory before
// their chunk from shared memory, where the block that computes it leaves it.
//gen: f32 compute_90a
#include "mlstm_wgmma.cuh"

#define KEYS 256
#define LENGTH (MOST * TILE)
#define PORTION (2 * SIDE)
#define WEIGHTS (TILE * 4)

// What a block multiplies with its columns of C or of v, in the order of the products, as
// portions of two panels' size: for each block of steps of a chunk, its rows of q by halves
// of the keys, and its rows of the scores by blocks of steps; then all columns of k, with
// the weights of their rows, by tiles of steps.
struct Portions {
    const bf16 *q, *a, *k;
    const float *w;
    int ld, steps, total;
    char *panels, *weights;
    int next = 0, chunk = 0, block = 0, part = 0;

    __device__ u32 stage(int i) const { return shared(panels) + i % STAGES * PORTION; }
    __device__ const float *weightsOf(int i) const { return (const float *)(weights + i % STAGES * WEIGHTS); }

    // Starts loading the next portion, if there is one.
    __device__ void load() {
        if (next < total) {
            u32 to = stage(next);
            if (block < LENGTH / BLOCK) {
                int from = chunk * LENGTH + block * BLOCK;
                bool ofQ = part < 2;
                const bf16 *x = ofQ ? q + (i64)from * ld + part * 128 : a + (i64)from * LENGTH + (part - 2) * BLOCK;
#pragma unroll
                for (int p = 0; p < 2; p++) loadPanel<BLOCK, 256>(to + p * SIDE, x + p * 64, ofQ ? ld : LENGTH, steps - from);
                if (++part == 3 + block) part = 0, block = from + BLOCK < steps ? block + 1 : LENGTH / BLOCK;
            } else {
                int from = chunk * LENGTH + part * TILE, there = steps - from;
#pragma unroll
                for (int p = 0; p < KEYS / 64; p++) loadPanel<TILE, 256>(to + p * 8192, k + (i64)from * ld + p * 64, ld, there);
                if (threadIdx.x < TILE) fetch4(shared(weightsOf(next)) + threadIdx.x * 4, (int)threadIdx.x < there ? w + from + threadIdx.x : w, (int)threadIdx.x < there);
                if (++part == LENGTH / TILE) part = block = 0, chunk++;
            }
            next++;
        }
        commit();
    }
};

// Stores 64 rows of a warpgroup by 128 columns of C, of which a thread has sum, into two
// panels and, unless it is null, to c, the first row there.
__device__ inline void storeMemory(const float (&sum)[64], char *panel, bf16 *c, int ld) {
    int lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
#pragma unroll
    for (int h = 0; h < 2; h++) {
        int row = (threadIdx.x >> 5 & 3) * 16 + g + h * 8;
#pragma unroll
        for (int q = 0; q < 4; q++) {
            u32 r[4];
#pragma unroll
            for (int i = 0; i < 4; i++) r[i] = pack(sum[q * 16 + i * 4 + h * 2], sum[q * 16 + i * 4 + h * 2 + 1]);
            transpose(r);
            uint4 piece = make_uint4(r[0], r[1], r[2], r[3]);
            *(uint4 *)(panel + q / 2 * 8192 + row * 128 + (((q % 2 * 4 + t) ^ (row & 7)) << 4)) = piece;
            if (c) *(uint4 *)(c + (i64)row * ld + q * 32 + t * 8) = piece;
        }
    }
}

// A block has 128 columns of C in registers for the whole sequence, each warpgroup two times
// 64 rows, and computes these columns of h. Every wait for a portion is a barrier behind
// which all products with the portion before are complete, so that its place, or that of the
// values or of C, may be written to. Grid: tiles of columns of the values, items.
KERNEL __launch_bounds__(256, 1) mlstm_chain(MLSTM s, Gates g, Borders m, const bf16 *q, const bf16 *a, const float *inverse, bf16 *h) {
    int tid = threadIdx.x, lane = tid & 31, warp = tid >> 5, group = warp >> 2, t = lane & 3, first = group * 64 + (warp & 3) * 16, row = first + (lane >> 2);
    int item = blockIdx.y, b = item / s.nh, head = item % s.nh, e0 = blockIdx.x * 128, ldv = s.nh * s.dhv, behind = s.t - (s.nc - 1) * LENGTH; // behind: steps of the last chunk
    char *memory = panels(room), *values = memory + KEYS / 64 * SIDE;                                                                      // C before the chunk, and v
    const bf16 *v = m.y + ((i64)b * s.t * s.nh + head) * s.dhv + e0;
    i64 keys = ((i64)b * s.t * s.nh + head) * KEYS, size = (i64)KEYS * s.dhv, steps = (i64)item * s.t;
    h += ((i64)b * s.t * s.nh + head) * s.dhv + e0;
    Portions in = {q + keys, a + (i64)item * s.nc * LENGTH * LENGTH, m.x + keys, m.w + steps, s.nh * KEYS, s.t, (s.nc - 1) * 11 + (behind > BLOCK ? 7 : 3) + (m.last ? 4 : 0)};
    in.panels = values + LENGTH / 64 * SIDE, in.weights = in.panels + STAGES * PORTION;
    auto loadValues = [&](int chunk, int tile) {
        if (chunk == s.nc) return;
        int from = chunk * LENGTH + tile * TILE;
#pragma unroll
        for (int p = 0; p < 2; p++) loadPanel<TILE, 256>(shared(values) + tile * SIDE + p * 8192, v + (i64)from * ldv + p * 64, ldv, s.t - from);
    };
    for (int tile = 0; tile < LENGTH / TILE; tile++) loadValues(0, tile);
    in.load();
    in.load();
    float state[2][64];
#pragma unroll
    for (int x = 0; x < 2; x++)
#pragma unroll
        for (int i = 0; i < 64; i++)
            state[x][i] = m.first ? m.first[item * size + (i64)(x * 128 + row + (i >> 1 & 1) * 8) * s.dhv + e0 + (i >> 2) * 8 + t * 2 + (i & 1)] : 0.f;
    for (int c = 0, i = 0; c < s.nc; c++) {
        i64 at = (i64)item * s.nc + c;
        float kept = g.keep[at];
#pragma unroll
        for (int x = 0; x < 2; x++) {
            storeMemory(state[x], memory + (x * 2 + group) * SIDE, m.c ? m.c + at * size + (i64)(x * 128 + group * 64) * s.dhv + e0 : nullptr, s.dhv);
#pragma unroll
            for (int e = 0; e < 64; e++) state[x][e] *= kept;
        }
        for (int r = 0, t0 = c * LENGTH; r < LENGTH / BLOCK && t0 < s.t; r++, t0 += BLOCK) {
            float sum[64], weight[2];
#pragma unroll
            for (int e = 0; e < 64; e++) sum[e] = 0;
#pragma unroll
            for (int e = 0; e < 2; e++) {
                i64 step = steps + min(t0 + row + e * 8, s.t - 1);
                weight[e] = g.inter[step] * inverse[step];
            }
            for (int half = 0; half < 2; half++, i++) {
                arrive<STAGES - 2>();
                if (c && r + half == 0) loadValues(c, LENGTH / TILE - 1);
                in.load();
                u32 x = in.stage(i) + group * 8192, y = shared(memory) + half * 2 * SIDE;
                product<0, 1>(sum, x, y);
                product<0, 1>(sum, x + SIDE, y + SIDE);
                productsWait();
            }
#pragma unroll
            for (int e = 0; e < 64; e++) sum[e] *= weight[e >> 1 & 1];
            for (int block = 0; block <= r; block++, i++) {
                arrive<STAGES - 2>();
                in.load();
                u32 x = in.stage(i) + group * 8192, y = shared(values) + block * 2 * SIDE;
                product<0, 1>(sum, x, y);
                if (block < r || group) product<0, 1>(sum, x + SIDE, y + SIDE); // the other ones are above the diagonal
                productsWait();
            }
            store(sum, h + (i64)(t0 + first) * ldv, ldv, s.t - t0 - first);
        }
        if (c == s.nc - 1 && !m.last) break;
        for (int tile = 0; tile < LENGTH / TILE; tile++, i++) {
            arrive<STAGES - 2>();
            if (tile) loadValues(c + 1, tile - 1);
            in.load();
            const float *ws = in.weightsOf(i);
            u32 y = shared(values) + tile * SIDE;
#pragma unroll
            for (int x = 0; x < 2; x++) {
                u32 left[4][4], rows = in.stage(i) + (x * 2 + group) * 8192;
#pragma unroll
                for (int kk = 0; kk < 4; kk++) {
                    int row = kk * 16 + (lane & 7) + (lane >> 4 << 3), piece = (warp & 3) * 2 + (lane >> 3 & 1);
                    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                                 : "=r"(left[kk][0]), "=r"(left[kk][1]), "=r"(left[kk][2]), "=r"(left[kk][3]) : "r"(rows + row * 128 + ((piece ^ (row & 7)) << 4)));
                    float2 w0 = *(const float2 *)(ws + kk * 16 + t * 2), w1 = *(const float2 *)(ws + kk * 16 + 8 + t * 2);
                    u32 p0 = pack(w0.x, w0.y), p1 = pack(w1.x, w1.y);
                    left[kk][0] = times(left[kk][0], p0), left[kk][1] = times(left[kk][1], p0);
                    left[kk][2] = times(left[kk][2], p1), left[kk][3] = times(left[kk][3], p1);
                }
                productsBegin();
#pragma unroll
                for (int kk = 0; kk < 4; kk++) wgmma<1>(state[x], left[kk], operand(y + kk * 2048));
                productsCommit();
            }
            productsWait();
        }
    }
    if (m.last)
#pragma unroll
        for (int x = 0; x < 2; x++)
#pragma unroll
            for (int i = 0; i < 64; i += 2)
                *(float2 *)(m.last + item * size + (i64)(x * 128 + row + (i >> 1 & 1) * 8) * s.dhv + e0 + (i >> 2) * 8 + t * 2) = make_float2(state[x][i], state[x][i + 1]);
}
