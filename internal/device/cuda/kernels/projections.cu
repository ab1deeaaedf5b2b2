// The inputs of an mLSTM cell, of operands of any type.
#include "projections.cuh"

PROJECTIONS(Fours)

struct ProjectionSums {
    T *dw[3], *gates[2], *bias[2];
};

// The gradients of the weights from the parts. Block: that of rowsSum; grid: the sums.
KERNEL projections_sums(i64 blocks, i64 nh, const T *part, const T *gatePart, const __grid_constant__ ProjectionSums to, i64 parts) {
    const i64 size = 16 * blocks, width = 12 * blocks, all = 2 * nh * (width + 1), i = blockIdx.x * 32ll + threadIdx.x, at = i - 3 * size;
    const bool map = i < 3 * size;
    T sum = partsSum(map ? part + i / size * parts * size : gatePart, parts, map ? size : all, map ? i % size : at, map || at < all);
    if (threadIdx.y || !map && at >= all) return;
    const i64 c = at % (width + 1), h = at / (width + 1) % nh, gate = at / (width + 1) / nh;
    if (map) to.dw[i / size][i % size] = sum;
    else if (c < width) to.gates[gate][h * width + c] = sum;
    else to.bias[gate][h] = sum;
}
