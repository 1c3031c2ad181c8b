// Convolution on tensor cores, the host's side: workspace, copies, grids of taps, launches.
// bfloat16: a pass makes packed copies of both operands, channels padded to 8 with zeros (6 bytes
// per element moved); tf32 reads float32 where it lies. Then one kernel (conv2d_mma_*.cu), and
// where the depth is split into slots a second one that adds their sums in order.
#include <algorithm>
#include <numeric>
#include <vector>

#include "core/check.hpp"
#include "cuda/conv2d_mma.hpp"
#include "cuda/device/elementwise.cuh"
#include "cuda/device/mma_load.cuh"
#include "cuda/mma_plan.hpp"

namespace sentei::cuda {
namespace {

using std::int64_t;

constexpr MmaRowLimit kAllRows = {nullptr, nullptr, 0};

int padded(int64_t channels, Precision p) {
  const int v = mma_vector(p);
  return static_cast<int>(std::max<int64_t>(1, ceil_div(channels, v)) * v);
}
int64_t steps(int64_t depth, Precision p) { return ceil_div(depth, mma_depth(p)); }

// Channels of a tensor as the kernels read it: of the copy, or of the float32 values themselves.
MmaChannels channels(int64_t count, Precision p, const void* x) {
  const int wide = padded(count, p);
  if (p == Precision::bfloat16) return {wide, wide, true};
  return {static_cast<int>(count), wide, count == wide && aligned16(x)};
}

// The workspace from its beginning, in whole 256 bytes.
std::size_t rounded(int64_t bytes) { return static_cast<std::size_t>(ceil_div(bytes, 256) * 256); }
std::size_t copy_bytes(int64_t rows, int64_t count, Precision p) {
  return p == Precision::bfloat16 ? rounded(rows * padded(count, p) * 2) : 0;
}
std::size_t slot_bytes(const MmaPlan& plan) { return rounded(plan.slots * plan.slot_floats * 4); }

class Carve {
 public:
  explicit Carve(void* at) : at_(static_cast<std::byte*>(at)) {}
  template <class T>
  T* take(std::size_t bytes) {
    std::byte* const p = at_;
    at_ += bytes;
    return reinterpret_cast<T*>(p);
  }

 private:
  std::byte* at_;
};

struct Rows {
  const float* x;
  int64_t rows, count;
};

// Both operands as the kernels read them.
struct Operands {
  const void *a, *b;
};
Operands operands(const char* name, Precision p, const Rows& a, const Rows& b, Carve& carve) {
  if (p != Precision::bfloat16) return {a.x, b.x};
  auto* const ya = carve.take<std::uint16_t>(copy_bytes(a.rows, a.count, p));
  auto* const yb = carve.take<std::uint16_t>(copy_bytes(b.rows, b.count, p));
  const auto part = [&](const Rows& r, std::uint16_t* y) {
    return MmaCast{r.x, y, r.rows, static_cast<int>(r.count), padded(r.count, p)};
  };
  launch_mma_cast(name, part(a, ya), part(b, yb));
  return {ya, yb};
}

void set_step(MmaGrid& grid, int channels_padded, Precision p) {
  const int taps = mma_depth(p) / channels_padded;
  grid.step_c = mma_depth(p) % channels_padded;
  grid.step_v = taps % grid.S;
  grid.step_u = taps / grid.S;
}

// Where taps stand for one axis: of a result at out + stride i, tap first + each u meets element
// base + i + delta u of dy; `count` taps in all.
struct Axis {
  int out, results, first, each, count, base, delta;
};
std::vector<Axis> axes(int64_t size, int64_t taps, int stride, int padding, int dilation) {
  const int common = std::gcd(stride, dilation), each = stride / common;
  std::vector<Axis> all;
  for (int out = 0; out < stride && out < size; ++out) {
    Axis a{out, static_cast<int>(ceil_div(size - out, stride)), 0, each, 0, 0, -dilation / common};
    for (int r = 0; r < taps && r < each; ++r) {
      const int64_t at = int64_t{out} + padding - int64_t{r} * dilation;
      if (at % stride != 0) continue;
      a.first = r;
      a.count = static_cast<int>((taps - 1 - r) / each + 1);
      a.base = static_cast<int>(at / stride);
      break;
    }
    all.push_back(a);
  }
  return all;
}

std::vector<MmaGrid> backward_input_grids(const Conv2dGeometry& g, Precision p) {
  std::vector<MmaGrid> grids;
  const auto columns = axes(g.W, g.S, g.stride_w, g.padding_w, g.dilation_w);
  for (const Axis& h : axes(g.H, g.R, g.stride_h, g.padding_h, g.dilation_h))
    for (const Axis& w : columns) {
      const bool any = h.count > 0 && w.count > 0 && g.K > 0;
      MmaGrid grid{any ? h.count : 0,
                   std::max(1, w.count),
                   h.base,
                   w.base,
                   h.results,
                   w.results,
                   h.out,
                   w.out,
                   static_cast<int>(h.first * g.S + w.first),
                   static_cast<int>(h.each * g.S),
                   w.each,
                   0,
                   0,
                   0};
      set_step(grid, padded(g.K, p), p);
      grids.push_back(grid);
    }
  return grids;
}

MmaPlan forward_plan(const Conv2dGeometry& g, Precision p) {
  const int64_t depth = g.C > 0 ? g.R * g.S * padded(g.C, p) : 0, m = g.N * g.P * g.Q;
  return mma_sum_plan(m, g.K, steps(depth, p), 1, m * g.K);
}

MmaPlan backward_input_plan(const Conv2dGeometry& g, Precision p,
                            const std::vector<MmaGrid>& grids) {
  int64_t depth = 0, m = 0;
  for (const MmaGrid& grid : grids) {
    depth = std::max(depth, int64_t{grid.R} * grid.S * padded(g.K, p));
    m = std::max(m, g.N * grid.P * grid.Q);
  }
  return mma_sum_plan(m, g.C, steps(depth, p), static_cast<int>(grids.size()),
                      g.N * g.H * g.W * g.C);
}

MmaPlan weight_plan(const Conv2dGeometry& g, Precision p, int most_slots = 256) {
  return mma_weight_plan(g.K, g.R * g.S * padded(g.C, p), steps(g.N * g.P * g.Q, p),
                         g.K * g.R * g.S * g.C, most_slots);
}

// Kernels count the pixels that the 128 results of a block reach in 32 bits.
void check_reach(const char* name, int64_t H, int64_t W, int64_t results) {
  SENTEI_CHECK(ShapeError, (128 / std::max<int64_t>(1, results) + 2) * H * W < int64_t{1} << 31,
               name, ": images must be smaller for tf32 and bfloat16 where the output has ",
               results, " pixels, got ", H, " x ", W);
}

bool pairs(int64_t width, const void* y) {
  return width % 2 == 0 && reinterpret_cast<std::uintptr_t>(y) % 8 == 0;
}

}  // namespace

int conv2d_mma_moments_rows(const Conv2dGeometry& g, Precision p) {
  const MmaPlan plan = forward_plan(g, p);
  return plan.slots == 1 ? mma_rows(plan.shape) : 0;
}

std::size_t conv2d_mma_forward_workspace(const Conv2dGeometry& g, Precision p) {
  return copy_bytes(g.N * g.H * g.W, g.C, p) + copy_bytes(g.K * g.R * g.S, g.C, p) +
         slot_bytes(forward_plan(g, p));
}

void mma_forward(const char* name, const Conv2dGeometry& g, Precision precision, const float* x,
                 const float* w, const float* bias, bool relu, float* y, void* workspace,
                 float* moments) {
  const int64_t results = g.N * g.P * g.Q * g.K;
  if (results == 0) return;
  check_reach(name, g.H, g.W, g.P * g.Q);
  const MmaPlan plan = forward_plan(g, precision);
  Carve carve(workspace);
  const Operands in =
      operands(name, precision, {x, g.N * g.H * g.W, g.C}, {w, g.K * g.R * g.S, g.C}, carve);
  float* const slots = plan.slots > 1 ? carve.take<float>(slot_bytes(plan)) : nullptr;

  MmaSumParams p{};
  p.x = in.a, p.w = in.b;
  p.N = g.N, p.H = static_cast<int>(g.H), p.W = static_cast<int>(g.W);
  p.channels = channels(g.C, precision, x);
  p.channels.wide = p.channels.wide && (precision == Precision::bfloat16 || aligned16(w));
  p.K = p.columns.count = p.filters = static_cast<int>(g.K);
  p.taps = static_cast<int>(g.R * g.S);
  p.step_h = g.stride_h, p.step_w = g.stride_w;
  p.delta_h = g.dilation_h, p.delta_w = g.dilation_w;
  MmaGrid& grid = p.grids[0];
  grid = {g.C > 0 ? static_cast<int>(g.R) : 0,
          static_cast<int>(g.S),
          -g.padding_h,
          -g.padding_w,
          static_cast<int>(g.P),
          static_cast<int>(g.Q),
          0,
          0,
          0,
          static_cast<int>(g.S),
          1,
          0,
          0,
          0};
  set_step(grid, p.channels.padded, precision);
  p.out_H = grid.P, p.out_W = grid.Q, p.out_step_h = p.out_step_w = 1;
  p.slots = plan.slots, p.slot_stride = plan.slot_floats;
  p.y = slots ? slots : y;
  p.bias = slots ? nullptr : bias;
  p.relu = !slots && relu;
  p.pairs = pairs(g.K, p.y);
  p.moments = moments;
  (moments ? launch_mma_statistics : launch_mma_forward)(name, precision, plan, p);
  if (slots) launch_mma_slot_sum(name, plan, results, slots, bias, p.K, relu, y, kAllRows, g.K);
}

std::size_t conv2d_mma_backward_input_workspace(const Conv2dGeometry& g, Precision p) {
  return copy_bytes(g.N * g.P * g.Q, g.K, p) + copy_bytes(g.K * g.R * g.S, g.C, p) +
         slot_bytes(backward_input_plan(g, p, backward_input_grids(g, p)));
}

void mma_backward_input(const char* name, const Conv2dGeometry& g, Precision precision,
                        const float* dy, const float* w, float* dx, void* workspace) {
  const int64_t results = g.N * g.H * g.W * g.C;
  if (results == 0) return;
  const auto grids = backward_input_grids(g, precision);
  for (const MmaGrid& grid : grids) check_reach(name, g.P, g.Q, int64_t{grid.P} * grid.Q);
  const MmaPlan plan = backward_input_plan(g, precision, grids);
  Carve carve(workspace);
  const Operands in =
      operands(name, precision, {dy, g.N * g.P * g.Q, g.K}, {w, g.K * g.R * g.S, g.C}, carve);
  float* const slots = plan.slots > 1 ? carve.take<float>(slot_bytes(plan)) : nullptr;

  MmaSumParams p{};
  p.x = in.a, p.w = in.b;
  p.N = g.N, p.H = static_cast<int>(g.P), p.W = static_cast<int>(g.Q);
  p.channels = channels(g.K, precision, dy);
  p.columns = channels(g.C, precision, w);
  p.K = static_cast<int>(g.C);
  p.filters = static_cast<int>(g.K);
  p.taps = static_cast<int>(g.R * g.S);
  p.step_h = p.step_w = 1;
  p.delta_h = -g.dilation_h / std::gcd(g.stride_h, g.dilation_h);
  p.delta_w = -g.dilation_w / std::gcd(g.stride_w, g.dilation_w);
  p.out_H = static_cast<int>(g.H), p.out_W = static_cast<int>(g.W);
  p.out_step_h = g.stride_h, p.out_step_w = g.stride_w;
  p.slots = plan.slots, p.slot_stride = plan.slot_floats;
  p.y = slots ? slots : dx;
  p.pairs = pairs(g.C, p.y);
  for (std::size_t first = 0; first < grids.size(); first += kMmaGrids) {
    const std::size_t parts = std::min<std::size_t>(kMmaGrids, grids.size() - first);
    std::copy_n(grids.begin() + static_cast<std::ptrdiff_t>(first), parts, p.grids);
    launch_mma_backward_input(name, precision, plan, static_cast<int>(parts), p);
  }
  if (slots)
    launch_mma_slot_sum(name, plan, results, slots, nullptr, p.K, false, dx, kAllRows, g.C);
}

std::size_t conv2d_mma_backward_weight_workspace(const Conv2dGeometry& g, Precision p) {
  return copy_bytes(g.N * g.H * g.W, g.C, p) + copy_bytes(g.N * g.P * g.Q, g.K, p) +
         slot_bytes(weight_plan(g, p));
}

void mma_backward_weight(const char* name, const Conv2dGeometry& all, Precision precision,
                         const float* x, const float* dy, float* dw,
                         const kernels::ActiveRows* active, std::size_t workspace_bytes,
                         void* workspace) {
  Conv2dGeometry g = all;
  if (active) g.K = std::min(g.K, active->most);
  const int64_t filter = g.R * g.S * g.C;
  if (g.K * filter == 0) return;
  Carve carve(workspace);
  MmaWeightParams p{};
  MmaPlan plan = weight_plan(g, precision);
  Rows gradient = {dy, g.N * g.P * g.Q, g.K};
  if (active) {
    p.limit = {active->offsets, active->group, active->groups};
    const int width = padded(g.K, precision);
    const std::size_t bytes = rounded(g.N * width * (precision == Precision::bfloat16 ? 2 : 4));
    void* const columns = carve.take<void*>(bytes);
    launch_mma_gather(name, precision, *active, p.limit, g.N, all.K, static_cast<int>(g.K), width,
                      dy, columns);
    gradient = {nullptr, 0, g.K};
    p.dy = columns;
    p.filters = {width, width, true};
    const std::size_t left = workspace_bytes - bytes - copy_bytes(g.N, g.C, precision);
    const auto fit = static_cast<int64_t>(left) / (ceil_div(g.K * filter, 64) * 256);
    plan = weight_plan(g, precision, static_cast<int>(std::clamp<int64_t>(fit, 1, 256)));
  } else {
    p.filters = channels(g.K, precision, dy);
  }
  const Operands in = operands(name, precision, {x, g.N * g.H * g.W, g.C}, gradient, carve);
  float* const slots = plan.slots > 1 ? carve.take<float>(slot_bytes(plan)) : nullptr;
  if (!active) p.dy = in.b;

  p.x = in.a;
  p.N = g.N;
  p.P = static_cast<int>(g.P), p.Q = static_cast<int>(g.Q);
  p.H = static_cast<int>(g.H), p.W = static_cast<int>(g.W);
  p.S = static_cast<int>(g.S);
  p.channels = channels(g.C, precision, x);
  p.taps = static_cast<int>(g.R * g.S);
  p.stride_h = g.stride_h, p.stride_w = g.stride_w;
  p.padding_h = g.padding_h, p.padding_w = g.padding_w;
  p.dilation_h = g.dilation_h, p.dilation_w = g.dilation_w;
  p.slots = plan.slots, p.slot_stride = plan.slot_floats;
  p.dw = slots ? slots : dw;
  p.K = static_cast<int>(g.K), p.C = static_cast<int>(g.C);
  p.pairs = pairs(g.C, p.dw);
  launch_mma_backward_weight(name, precision, plan, p);
  if (slots)
    launch_mma_slot_sum(name, plan, g.K * filter, slots, nullptr, 1, false, dw, p.limit, filter);
}

void conv2d_mma_forward(const Conv2dGeometry& g, Precision precision, const float* x,
                        const float* w, const float* bias, bool relu, float* y, void* workspace) {
  mma_forward("conv2d_forward_mma_kernel", g, precision, x, w, bias, relu, y, workspace);
}

void conv2d_mma_backward_input(const Conv2dGeometry& g, Precision precision, const float* dy,
                               const float* w, float* dx, void* workspace) {
  mma_backward_input("conv2d_backward_input_mma_kernel", g, precision, dy, w, dx, workspace);
}

void conv2d_mma_backward_weight(const Conv2dGeometry& g, Precision precision, const float* x,
                                const float* dy, float* dw, void* workspace) {
  mma_backward_weight("conv2d_backward_weight_mma_kernel", g, precision, x, dy, dw, nullptr, 0,
                      workspace);
}

}  // namespace sentei::cuda
