// The gates of the chunkwise mLSTM and their gradients over clusters of eight blocks,
// for sequences of many chunks.
//gen: f32 compute_90
#include "mlstm_gates.cuh"
#include "mlstm_gates_grad.cuh"

// Grid: 8, items.
KERNEL __cluster_dims__(8, 1, 1) __launch_bounds__(AT_ONCE) mlstm_gates(MLSTM s, const T *i, const T *f, const T *m0, T *last, Gates g) { gatesOf<8>(s, i, f, m0, last, g); }
KERNEL __cluster_dims__(8, 1, 1) __launch_bounds__(AT_ONCE) mlstm_gates_grad(MLSTM s, Gates g, GateGrads d) { gatesGrad<8>(s, g, d); }
