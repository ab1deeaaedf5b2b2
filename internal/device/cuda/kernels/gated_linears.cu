//gen: f32 compute_90a
// Two linear maps of one input and the activation that gates one by the other:
//   g = x·Wgᵀ, u = x·Wuᵀ, y = SiLU(g)⊙u
// A block computes the same 128 columns of g and u for 128 rows at a time. One warp brings
// panels of the operands to a ring of stages; two warpgroups multiply, each for 64 rows,
// and put their sums, rounded, into shared memory; from there the other warps take them,
// gate and store them while the next tile is multiplied.
#include "common.cuh"
#include "wgmma.cuh"
#include "cluster.cuh"

extern __shared__ char room[];

#define PANEL 8192 // bytes of 64 rows of 64 elements
#define STAGES 4
#define TAKERS 3 // warps that gate and store

struct alignas(64) TensorMap { u64 words[16]; };

struct Maps { TensorMap x, wg, wu; };

// columns is the width of g, u and y, deep that of x; multiples of 64. A group of so
// many rows of tiles is processed for all columns before the next one.
struct Sizes { int rows, columns, deep, group; };

// d += A (64 x 16)·Bᵀ (N x 16).
template <int N> __device__ inline void multiply(float (&d)[N / 2], u64 a, u64 b);
template <> __device__ inline void multiply<256>(float (&d)[128], u64 a, u64 b) {
    asm volatile("wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63,%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95,%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111,%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127}, %128, %129, 1, 1, 1, 0, 0;"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]), "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31]), "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35]), "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), "+f"(d[40]), "+f"(d[41]), "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]), "+f"(d[48]), "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]), "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63]), "+f"(d[64]), "+f"(d[65]), "+f"(d[66]), "+f"(d[67]), "+f"(d[68]), "+f"(d[69]), "+f"(d[70]), "+f"(d[71]), "+f"(d[72]), "+f"(d[73]), "+f"(d[74]), "+f"(d[75]), "+f"(d[76]), "+f"(d[77]), "+f"(d[78]), "+f"(d[79]), "+f"(d[80]), "+f"(d[81]), "+f"(d[82]), "+f"(d[83]), "+f"(d[84]), "+f"(d[85]), "+f"(d[86]), "+f"(d[87]), "+f"(d[88]), "+f"(d[89]), "+f"(d[90]), "+f"(d[91]), "+f"(d[92]), "+f"(d[93]), "+f"(d[94]), "+f"(d[95]), "+f"(d[96]), "+f"(d[97]), "+f"(d[98]), "+f"(d[99]), "+f"(d[100]), "+f"(d[101]), "+f"(d[102]), "+f"(d[103]), "+f"(d[104]), "+f"(d[105]), "+f"(d[106]), "+f"(d[107]), "+f"(d[108]), "+f"(d[109]), "+f"(d[110]), "+f"(d[111]), "+f"(d[112]), "+f"(d[113]), "+f"(d[114]), "+f"(d[115]), "+f"(d[116]), "+f"(d[117]), "+f"(d[118]), "+f"(d[119]), "+f"(d[120]), "+f"(d[121]), "+f"(d[122]), "+f"(d[123]), "+f"(d[124]), "+f"(d[125]), "+f"(d[126]), "+f"(d[127]) : "l"(a), "l"(b));
}
template <> __device__ inline void multiply<128>(float (&d)[64], u64 a, u64 b) {
    asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63}, %64, %65, 1, 1, 1, 0, 0;"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]), "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31]), "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35]), "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), "+f"(d[40]), "+f"(d[41]), "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]), "+f"(d[48]), "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]), "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63]) : "l"(a), "l"(b));
}

// Takes a panel from row and column of a matrix to shared memory at `to`, where it
// completes a barrier.
__device__ inline void bring(u32 to, const TensorMap &map, int row, int column, u32 barrier) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(to), "l"(&map), "r"(column),
                 "r"(row), "r"(barrier)
                 : "memory");
}

// Waits for the end of a barrier's phases of the parity.
__device__ inline void pass(u32 barrier, int parity) {
    asm volatile("{\n\t.reg .pred p;\nW_%=:\n\tmbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n\t@!p bra W_%=;\n\t}" ::"r"(barrier), "r"(parity) : "memory");
}
__device__ inline void arriveAt(u32 barrier) { asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory"); }

// The tiles in their order. Those with half the columns come last.
struct Tiles {
    int high, whole, total, group; // rows and whole columns of tiles, tiles in all
    int row, column;               // where a tile begins
    bool half;

    __device__ Tiles(const Sizes &s) {
        group = s.group, whole = s.columns / 128, high = (s.rows + 127) / 128;
        total = high * ((s.columns + 127) / 128);
    }
    __device__ void take(int i) {
        int r, c;
        half = i >= high * whole;
        if (half) r = high - 1 - (i - high * whole), c = whole;
        else {
            int first = i / (group * whole) * group, size = min(group, high - first), j = i - first * whole;
            r = first + j % size, c = j / size;
        }
        row = r * 128, column = c * 128;
    }
};

// The place in the ring.
struct Ring {
    int stage = 0, turn = 0;
    __device__ void next() {
        if (++stage == STAGES) stage = 0, turn ^= 1;
    }
};

// The products of a warpgroup's 64 rows with N columns, and their way to `sums`.
template <int N> __device__ inline void products(Ring &ring, int slices, u32 stages, u32 barriers, u32 sums, int group, u32 free, int parity, u32 put) {
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5 & 3;
    float d[N / 2];
#pragma unroll
    for (int i = 0; i < N / 2; i++) d[i] = 0;
    u32 before = 0;
    auto leave = [&](u32 stage) {
        if (lane == 0) arriveAt(barriers + (STAGES + stage) * 8);
    };
    for (int k = 0; k < slices; k++) {
        pass(barriers + ring.stage * 8, ring.turn);
        u32 a = stages + ring.stage * 6 * PANEL + group * PANEL, b = stages + ring.stage * 6 * PANEL + 2 * PANEL;
        productsBegin();
#pragma unroll
        for (int i = 0; i < 4; i++) multiply<N>(d, operand(a + i * 32), operand(b + i * 32));
        productsCommit();
        if (k) {
            asm volatile("wgmma.wait_group.sync.aligned 1;" ::: "memory");
            leave(before);
        }
        before = ring.stage;
        ring.next();
    }
    productsWait();
    leave(before);
    pass(free, parity);
    int row = warp * 16 + (lane & 15), piece = lane >> 4;
#pragma unroll
    for (int p = 0; p < N / 16; p++) {
        // Columns 16·p …: of a tile with half the columns, those of u begin at 64.
        int at = N == 256 ? p : p < 4 ? p : p + 4;
        u32 to = sums + at / 4 * PANEL + row * 128 + ((at % 4 * 2 + piece ^ row & 7) << 4);
        asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(to), "r"(pack(d[p * 8], d[p * 8 + 1])), "r"(pack(d[p * 8 + 2], d[p * 8 + 3])),
                     "r"(pack(d[p * 8 + 4], d[p * 8 + 5])), "r"(pack(d[p * 8 + 6], d[p * 8 + 7]))
                     : "memory");
    }
    arriveAt(put);
}

__device__ inline u32 gate(u32 g, u32 u) {
    float a = low(g), b = high(g);
    return toHalves(fromBelow(a) * quickSigmoid(a) * low(u), fromBelow(b) * quickSigmoid(b) * high(u));
}

// g and u may be null. Grid: as many blocks as there are processors; block: 384 threads.
KERNEL __launch_bounds__(384, 1) gated_linears(const __grid_constant__ Maps maps, Sizes s, bf16 *g, bf16 *u, bf16 *y) {
    char *stage = panels(room), *sum = stage + STAGES * 6 * PANEL;
    // The barriers: of stages that are full and empty, and of the sums of each warpgroup
    // that have been put down and taken.
    u32 stages = shared(stage), sums = shared(sum), full = sums + 4 * PANEL, empty = full + STAGES * 8, put = empty + STAGES * 8, taken = put + 16;
    int warp = threadIdx.x >> 5, slices = s.deep / 64;
    int first = blockIdx.x, step = gridDim.x;
    if (threadIdx.x == 0) {
        auto init = [](u32 barrier, int count) { asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(count) : "memory"); };
        for (int i = 0; i < STAGES; i++) init(full + i * 8, 1), init(empty + i * 8, 8);
        for (int i = 0; i < 2; i++) init(put + i * 8, 128), init(taken + i * 8, TAKERS * 32);
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    __syncthreads();
    Tiles tiles(s);
    Ring ring;
    if (warp == 8 + TAKERS) {
        if ((threadIdx.x & 31) == 0)
            for (int i = first; i < tiles.total; i += step) {
                tiles.take(i);
                for (int k = 0; k < slices; k++, ring.next()) {
                    u32 a = stages + ring.stage * 6 * PANEL, b = a + 2 * PANEL, barrier = full + ring.stage * 8;
                    pass(empty + ring.stage * 8, ring.turn ^ 1);
                    expect(barrier, tiles.half ? 4 * PANEL : 6 * PANEL);
                    bring(a, maps.x, tiles.row, k * 64, barrier);
                    bring(a + PANEL, maps.x, tiles.row + 64, k * 64, barrier);
                    u32 ofU = b + (tiles.half ? PANEL : 2 * PANEL);
                    bring(b, maps.wg, tiles.column, k * 64, barrier);
                    if (!tiles.half) bring(b + PANEL, maps.wg, tiles.column + 64, k * 64, barrier);
                    bring(ofU, maps.wu, tiles.column, k * 64, barrier);
                    if (!tiles.half) bring(ofU + PANEL, maps.wu, tiles.column + 64, k * 64, barrier);
                }
            }
        __syncwarp();
    } else if (warp < 8) {
        int group = warp / 4, turn = 0;
        // The sums of the two groups take turns in their place.
        for (int i = first; i < tiles.total; i += step, turn ^= 1) {
            tiles.take(i);
            int parity = group ? turn : turn ^ 1;
            if (tiles.half) products<128>(ring, slices, stages, full, sums, group, taken + (group ^ 1) * 8, parity, put + group * 8);
            else products<256>(ring, slices, stages, full, sums, group, taken + (group ^ 1) * 8, parity, put + group * 8);
        }
    } else {
        int lane = threadIdx.x & 31, piece = lane & 15, above = (warp - 8) * 2 + (lane >> 4), turn = 0;
        const char *from = sum + (piece >> 3) * PANEL;
        for (int i = first; i < tiles.total; i += step, turn ^= 1) {
            tiles.take(i);
            int column = tiles.column + piece * 8;
            for (int group = 0; group < 2; group++) {
                constexpr int EACH_ROWS = (32 + TAKERS - 1) / TAKERS;
                uint4 gs[EACH_ROWS], us[EACH_ROWS];
                pass(put + group * 8, turn);
#pragma unroll
                for (int j = 0; j < EACH_ROWS; j++) {
                    int row = j * 2 * TAKERS + above;
                    if (row >= 64) break;
                    const char *p = from + row * 128 + (((piece & 7) ^ (row & 7)) << 4);
                    gs[j] = *(const uint4 *)p, us[j] = *(const uint4 *)(p + 2 * PANEL);
                }
                arriveAt(taken + group * 8);
#pragma unroll
                for (int j = 0; j < EACH_ROWS; j++) {
                    int of = j * 2 * TAKERS + above, row = tiles.row + group * 64 + of;
                    if (of >= 64 || row >= s.rows || column >= s.columns) continue;
                    i64 place = (i64)row * s.columns + column;
                    if (g) *(uint4 *)(g + place) = gs[j], *(uint4 *)(u + place) = us[j];
                    *(uint4 *)(y + place) = make_uint4(gate(gs[j].x, us[j].x), gate(gs[j].y, us[j].y), gate(gs[j].z, us[j].z), gate(gs[j].w, us[j].w));
                }
            }
        }
        __syncwarp();
    }
}
