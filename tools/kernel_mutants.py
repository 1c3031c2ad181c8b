"""Deliberate bugs for mutate_kernels.py: each a text in a file below csrc/cuda and what replaces it."""

from __future__ import annotations

from dataclasses import dataclass

CONV = "ops/test_linear.py ops/test_conv2d.py"
LAZY = "ops/test_linear_lazy.py"
MMA = "ops/test_linear_mma.py ops/test_conv2d_mma.py"


@dataclass(frozen=True)
class Mutant:
    name: str
    file: str
    old: str  # exactly once in the file
    new: str
    tests: str  # below tests/
    harmless: str = ""  # why it changes no result, if it is known not to


MUTANTS = [
    # -- barriers and lanes ----------------------------------------------------------------------
    Mutant(
        "block sum: no barrier before the slots are read",
        "device/group_sum.cuh",
        "slots[threadIdx.x / 32] = v;\n  __syncthreads();",
        "slots[threadIdx.x / 32] = v;",
        "ops/test_losses.py ops/test_cross_entropy.py",
    ),
    Mutant(
        "block sum: no barrier before the slots are reused",
        "device/group_sum.cuh",
        "  __syncthreads();  // slots are free again\n",
        "",
        "ops/test_losses.py ops/test_cross_entropy.py ops/test_sparse_penalty.py",
    ),
    Mutant(
        "block sum: barrier in a divergent branch",
        "device/group_sum.cuh",
        "if (threadIdx.x % 32 == 0) slots[threadIdx.x / 32] = v;\n  __syncthreads();",
        "if (threadIdx.x % 32 == 0) {\n    slots[threadIdx.x / 32] = v;\n    __syncthreads();\n  }",
        "ops/test_losses.py ops/test_cross_entropy.py",
    ),
    Mutant(
        "lane sum: the last step of the tree is missing",
        "device/group_sum.cuh",
        "m = kLanes / 2; m > 0; m /= 2",
        "m = kLanes / 2; m > 1; m /= 2",
        "ops/test_losses.py",
    ),
    Mutant(
        "lane sum: half the lanes in the mask",
        "device/group_sum.cuh",
        "v += __shfl_xor_sync(~0u, v, m);",
        "v += __shfl_xor_sync(0x0000ffffu, v, m);",
        "ops/test_losses.py",
    ),
    Mutant(
        "score: no barrier before the parts are written again",
        "scores.cu",
        "            sum;\n    }\n    __syncthreads();\n",
        "            sum;\n    }\n",
        "ops/test_scores.py",
    ),
    Mutant(
        "column finish: rows of 32 in a tile with a pitch of 33",
        "device/reduce.cuh",
        "warp_sum(tile[lane * 33 + k])",
        "warp_sum(tile[lane * 32 + k])",
        "ops/test_channels.py",
    ),
    Mutant(
        "column finish: no barrier between writing and reading the tile",
        "device/reduce.cuh",
        "tile[k * 33 + lane] = sum;\n  __syncthreads();",
        "tile[k * 33 + lane] = sum;",
        "ops/test_channels.py",
    ),
    Mutant(
        "softmax: rows past the end leave before the shuffles",
        "softmax.cu",
        "    const std::int64_t row = base + group;\n    float v[E];\n    float top = -INFINITY;",
        "    const std::int64_t row = base + group;\n    if (row >= rows) return;\n"
        "    float v[E];\n    float top = -INFINITY;",
        "ops/test_softmax.py",
    ),
    # -- the exact product -----------------------------------------------------------------------
    Mutant(
        "product: waits for one group of copies too few",
        "device/gemm_simt.cuh",
        "cp_async_wait<kStages - 2>();",
        "cp_async_wait<kStages - 1>();",
        CONV,
    ),
    Mutant(
        "product: no barrier after the wait",
        "device/gemm_simt.cuh",
        "    __syncthreads();  // this slice is there for all, and all have read the one before it\n",
        "",
        CONV,
    ),
    Mutant(
        "product: the next slice lands on the one in use",
        "device/gemm_simt.cuh",
        "load(step + kStages - 1, next);",
        "load(step + kStages - 1, stage);",
        CONV,
    ),
    Mutant(
        "product: no commit for steps that load nothing",
        "device/gemm_simt.cuh",
        "      load_b(shared + stage * floats + floats_a, step);\n    }\n    cp_async_commit();",
        "      load_b(shared + stage * floats + floats_a, step);\n      cp_async_commit();\n    }",
        CONV,
    ),
    Mutant(
        "product: sums do not begin with 0",
        "device/gemm_simt.cuh",
        "acc[i][j] = 0.0f;",
        "acc[i][j] = 1.0f;",
        CONV,
    ),
    Mutant(
        "product: copies past the edge are not zeroed",
        "device/gemm_simt.cuh",
        "from, valid ? 4 * V : 0);",
        "from, 4 * V);",
        CONV,
    ),
    Mutant(
        "product: stores past the last column",
        "device/gemm_simt.cuh",
        "if (n < left) to[n] = acc[k];",
        "to[n] = acc[k];",
        CONV,
    ),
    Mutant(
        "product: fragment of A taken from the neighbour",
        "device/gemm_simt.cuh",
        "now_a[i + k] = deep_a[i + k][e];",
        "now_a[i + k] = deep_a[i + (k ^ 1)][e];",
        CONV,
    ),
    Mutant(
        "product: pitch of B for A",
        "device/gemm_simt.cuh",
        "a + (at.row + i * Tile::TY) * pitch_a + d);",
        "a + (at.row + i * Tile::TY) * (pitch_a - 4) + d);",
        CONV,
    ),
    # -- tensor cores ----------------------------------------------------------------------------
    Mutant(
        "mma: waits for one group of copies too few",
        "device/mma_tile.cuh",
        "cp_async_wait<ahead - 1>();",
        "cp_async_wait<ahead>();",
        MMA,
    ),
    Mutant(
        "mma: no barrier after the wait",
        "device/mma_tile.cuh",
        "    __syncthreads();  // this stage is there for all, and nobody reads the last one any more\n",
        "",
        MMA,
    ),
    Mutant(
        "mma: the two operands of b are swapped",
        "device/mma_tile.cuh",
        "fb[j / 2] + j % 2 * 2);",
        "fb[j / 2] + (1 - j % 2) * 2);",
        MMA,
    ),
    Mutant(
        "mma: operands are not rounded to tf32",
        "device/mma_tile.cuh",
        "return to_tf32(__uint_as_float(u));",
        "return u;",
        MMA,
    ),
    Mutant(
        "mma: a fragment's place without the turn of its row",
        "device/mma_tile.cuh",
        "((chunk ^ (row & 7)) << 4);",
        "(chunk << 4);",
        MMA,
        harmless="copies and reads agree on it: only the banks suffer, which no emulator shows",
    ),
    Mutant(
        "mma: rows of a matrix are read from the other half",
        "device/mma_tile.cuh",
        "chunk_along_k(m + lane % 16, 2 * slice + lane / 16)",
        "chunk_along_k(m + lane % 16, 2 * slice + 1 - lane / 16)",
        MMA,
    ),
    Mutant(
        "mma: the next stage lands on the one in use",
        "device/mma_tile.cuh",
        "if (s + ahead < steps) loader.load(shared + next * Tile::kStageBytes);",
        "if (s + ahead < steps) loader.load(shared + ready * Tile::kStageBytes);",
        MMA,
    ),
    Mutant(
        "mma: the second of a pair is stored past the last column",
        "device/mma_kernels.cuh",
        "if (columns.count[j] > 1) to[1] = second;",
        "to[1] = second;",
        MMA,
    ),
    Mutant(
        "mma: rows past the last pixel are stored",
        "device/mma_kernels.cuh",
        "    if (m >= pixels) return -1;\n",
        "",
        MMA,
    ),
    # -- convolution -----------------------------------------------------------------------------
    Mutant(
        "conv: one image too many is valid",
        "conv2d_simt.cu",
        "const bool valid = image < s.images;",
        "const bool valid = image <= s.images;",
        CONV,
    ),
    Mutant(
        "conv: depth past the end is read",
        "conv2d_simt.cu",
        "const bool valid = d < depth && from.image >= 0 &&",
        "const bool valid = from.image >= 0 &&",
        CONV,
    ),
    Mutant(
        "conv: no barrier after the windows are written",
        "conv2d_simt.cu",
        "                       : -1;\n  }\n  __syncthreads();",
        "                       : -1;\n  }",
        CONV,
    ),
    Mutant(
        "conv: the row stride of a window is that of the output",
        "conv2d_simt.cu",
        "(y * s.w.read + x) * s.in_channels + c;",
        "(y * s.w.written + x) * s.in_channels + c;",
        CONV,
    ),
    Mutant(
        "conv: bias added in the padding columns too",
        "conv2d_simt.cu",
        "n < s.columns ? s.bias[filter0 + n] : 0.0f",
        "s.bias[filter0 + n]",
        CONV,
    ),
    Mutant(
        "conv dw: the last part goes past the pixels",
        "conv2d_weight_simt.cu",
        "(end < s.pixels ? end : s.pixels) - first",
        "end - first",
        CONV,
    ),
    Mutant(
        "conv dw: rows past the last filter are stored",
        "conv2d_weight_simt.cu",
        ">= 0 : m0 + row < s.rows;",
        ">= 0 : true;",
        CONV,
    ),
    Mutant(
        "depthwise: no barrier before the filters are replaced",
        "conv2d_depthwise.cu",
        "    __syncthreads();  // the taps before these have been used\n",
        "",
        "ops/test_conv2d.py",
    ),
    Mutant(
        "depthwise dw: one row of the block is left out",
        "conv2d_depthwise.cu",
        "for (int r = 0; r < rows; ++r) sum += from[r * s.lanes];",
        "for (int r = 1; r < rows; ++r) sum += from[r * s.lanes];",
        "ops/test_conv2d.py",
    ),
    Mutant(
        "slot sum: one slot too many",
        "slot_sum.cu",
        "slot < s.slots; slot += Slices",
        "slot <= s.slots; slot += Slices",
        CONV,
    ),
    # -- maps, pools, norms ----------------------------------------------------------------------
    Mutant(
        "map: the ragged end is left out",
        "device/elementwise.cuh",
        "for (std::int64_t i = 4 * vectors + first; i < n; i += step)",
        "for (std::int64_t i = 4 * vectors + first; i < n - 1; i += step)",
        "ops/test_add.py",
    ),
    Mutant(
        "map: one vector too many",
        "device/elementwise.cuh",
        "for (std::int64_t i = first; i < vectors; i += step)",
        "for (std::int64_t i = first; i <= vectors; i += step)",
        "ops/test_add.py",
    ),
    Mutant(
        "map: vectors where memory is not aligned to them",
        "device/elementwise.cuh",
        "const bool wide = aligned16(y) && (... && aligned16(in));",
        "const bool wide = true;",
        "ops/test_dropout.py ops/test_add.py ops/test_optimizers.py ops/test_semi_sync.py",
    ),
    Mutant(
        "dropout: element i is word i mod 4 of the wrong counter",
        "dropout.cu",
        "static_cast<std::uint64_t>(q));",
        "static_cast<std::uint64_t>(q) + 1);",
        "ops/test_dropout.py",
    ),
    Mutant(
        "dropout: no bound in the last counter",
        "dropout.cu",
        "if (4 * q + i < n) y[4 * q + i]",
        "y[4 * q + i]",
        "ops/test_dropout.py",
    ),
    Mutant(
        "max pool: the taps beyond the right edge are read",
        "max_pool2d.cu",
        "&& w + s >= 0 && w + s < g.W;",
        "&& w + s >= 0;",
        "ops/test_pool2d.py",
    ),
    Mutant(
        "max pool: threads past the end write",
        "device/max_pool2d.cuh",
        "max_pool2d_forward_2x2_kernel(std::uint32_t n, Pool g, Pixels out, Source source, float* y,\n"
        "                                  std::uint8_t* index) {\n"
        "  const std::uint32_t i = blockIdx.x * kPoolThreads + threadIdx.x;\n  if (i >= n) return;",
        "max_pool2d_forward_2x2_kernel(std::uint32_t n, Pool g, Pixels out, Source source, float* y,\n"
        "                                  std::uint8_t* index) {\n"
        "  const std::uint32_t i = blockIdx.x * kPoolThreads + threadIdx.x;\n  if (i > n) return;",
        "ops/test_pool2d.py",
    ),
    Mutant(
        "max pool: a NaN does not stay",
        "device/max_pool2d.cuh",
        "if (!(v.v[e] <= value.v[e]) && value.v[e] == value.v[e]) {",
        "if (v.v[e] > value.v[e]) {",
        "ops/test_pool2d.py",
    ),
    Mutant(
        "batch norm: sums of a chunk are joined without its shift",
        "device/batch_norm.cuh",
        "S[0][e] += sum + n * d;",
        "S[0][e] += sum;",
        "ops/test_batch_norm.py",
    ),
    Mutant(
        "cross-entropy: the first of equals is not the best",
        "cross_entropy.cu",
        "b.value == a.value && b.index < a.index",
        "b.value == a.value && b.index > a.index",
        "ops/test_cross_entropy.py",
    ),
    Mutant(
        "cross-entropy: the row past the last one is written",
        "cross_entropy.cu",
        "if (here && lane == 0) per_sample[row]",
        "if (lane == 0) per_sample[row]",
        "ops/test_cross_entropy.py",
    ),
    Mutant(
        "sgd: the block's elements begin one vector late",
        "optimizers.cu",
        "std::int64_t{blockIdx.x - table.first[low]} * kBlock;",
        "std::int64_t{blockIdx.x - table.first[low]} * (kBlock - 4);",
        "ops/test_sgd_update_many.py ops/test_optimizers.py",
    ),
    Mutant(
        "maxout: an index outside its array",
        "maxout.cu",
        "for (int p = 1; p < K; ++p) take(best[u], v[u * K + p], p);",
        "for (int p = 1; p <= K; ++p) take(best[u], v[u * K + p], p);",
        "ops/test_maxout.py",
    ),
    # -- lazy momentum ---------------------------------------------------------------------------
    Mutant(
        "lazy product: c v is added behind the barrier",
        "linear_lazy.cu",
        "    add_up(step, slice + floats_a);\n    __syncthreads();",
        "    __syncthreads();\n    add_up(step, slice + floats_a);",
        LAZY,
    ),
    Mutant(
        "lazy product: a slice too few has arrived",
        "linear_lazy.cu",
        "cp_async_wait<kStages - 2>();",
        "cp_async_wait<kStages - 1>();",
        LAZY,
    ),
    Mutant(
        "lazy update: the active group keeps its m",
        "semi_sync_lazy.cu",
        "coef[2 * g] = g == active ? 1.0f : m;",
        "coef[2 * g] = m;",
        "ops/test_semi_sync_lazy.py",
    ),
    Mutant(
        "lazy update: the momentum is that of before it was idle",
        "semi_sync_lazy.cu",
        "keep = momentum * coef[2 * a.group]",
        "keep = momentum",
        "ops/test_semi_sync_lazy.py",
    ),
]
