// Builds and keeps what the convolution kernels read about a geometry: classes of pixels that see
// the same taps, lists of pixel pairs, the cut into tasks.
#include "cpu/conv2d_plan.hpp"

#include <algorithm>
#include <list>
#include <map>
#include <mutex>
#include <tuple>
#include <utility>
#include <vector>

namespace sentei::cpu {
namespace {

using std::int64_t;

// For every index of the output along one axis: the filter indices that fall on the input, and
// where.
struct Seen {
  int64_t filter, step;  // step: input index minus the first input index
  bool operator<(const Seen& o) const {
    return std::tie(filter, step) < std::tie(o.filter, o.step);
  }
};
struct Axis {
  std::vector<std::vector<Seen>> kinds;       // distinct sets of taps
  std::vector<std::vector<int64_t>> members;  // outputs of each kind
  std::vector<int64_t> origin;                // first input index of each output
  std::vector<int64_t> order;                 // filter index at each place of the packed filter

  template <class Input>  // input(out, filter) = input index or -1
  Axis(int64_t outs, const std::vector<int64_t>& packed, const Input& input)
      : origin(static_cast<std::size_t>(outs)), order(packed) {
    std::map<std::vector<Seen>, std::size_t> index;
    for (int64_t o = 0; o < outs; ++o) {
      std::vector<Seen> seen;
      int64_t first = 0;
      for (const int64_t f : packed) {
        const int64_t i = input(o, f);
        if (i < 0) continue;
        if (seen.empty()) first = i;
        seen.push_back({f, i - first});
      }
      origin[static_cast<std::size_t>(o)] = first;
      const auto at = index.emplace(seen, kinds.size());
      if (at.second) {
        kinds.push_back(std::move(seen));
        members.emplace_back();
      }
      members[at.first->second].push_back(o);
    }
  }
};

Axis forward_axis(int64_t in, int64_t out, int64_t filter, int64_t stride, int64_t padding,
                  int64_t dilation) {
  std::vector<int64_t> order;
  for (int64_t r = 0; r < filter; ++r) order.push_back(r);
  return Axis(out, order, [=](int64_t o, int64_t r) {
    const int64_t i = o * stride - padding + r * dilation;
    return i >= 0 && i < in ? i : int64_t{-1};
  });
}

// x[i] feeds y[o] through tap r where o stride = i + padding - r dilation. Taps of one parity stand
// side by side in the packed filter, last one first: then they meet dy in rising order and runs
// merge.
Axis backward_axis(int64_t in, int64_t out, int64_t filter, int64_t stride, int64_t padding,
                   int64_t dilation) {
  std::vector<int64_t> order;
  for (int64_t r = filter - 1; r >= 0; --r) order.push_back(r);
  std::stable_sort(order.begin(), order.end(), [=](int64_t a, int64_t b) {
    return a * dilation % stride < b * dilation % stride;
  });
  return Axis(in, order, [=](int64_t i, int64_t r) {
    const int64_t o = i + padding - r * dilation;
    return o >= 0 && o % stride == 0 && o / stride < out ? o / stride : int64_t{-1};
  });
}

struct SumPlanStore {
  Conv2dSumPlan plan{};
  std::vector<Conv2dClass> classes;
  std::list<std::vector<Conv2dPixel>> pixels;
  std::list<std::vector<Tap>> taps;
  std::list<std::vector<std::int32_t>> segments;
  std::vector<std::int32_t> order;
};

constexpr int64_t kSegmentRows = 2560;  // x kPanel floats = 640 KB of packed filter

std::shared_ptr<const Conv2dSumPlan> build_sum(const Axis& rows, const Axis& columns,
                                               int64_t in_width, int64_t in_channels,
                                               int64_t in_group, int64_t out_width,
                                               int64_t out_channels) {
  auto store = std::make_shared<SumPlanStore>();
  const auto S = static_cast<int64_t>(columns.order.size());
  const int64_t total = static_cast<int64_t>(rows.order.size()) * S * in_group;
  const int64_t segments = std::max<int64_t>(1, (total + kSegmentRows - 1) / kSegmentRows);
  std::vector<int64_t> row_place(rows.order.size()), column_place(columns.order.size());
  for (std::size_t i = 0; i < rows.order.size(); ++i)
    row_place[static_cast<std::size_t>(rows.order[i])] = static_cast<int64_t>(i);
  for (std::size_t i = 0; i < columns.order.size(); ++i)
    column_place[static_cast<std::size_t>(columns.order[i])] = static_cast<int64_t>(i);
  for (const int64_t r : rows.order)
    for (const int64_t s : columns.order)
      store->order.push_back(static_cast<std::int32_t>(r * S + s));

  for (std::size_t a = 0; a < rows.kinds.size(); ++a)
    for (std::size_t b = 0; b < columns.kinds.size(); ++b) {
      std::vector<Conv2dPixel> pixels;
      for (const int64_t p : rows.members[a])
        for (const int64_t q : columns.members[b]) {
          const int64_t in = rows.origin[static_cast<std::size_t>(p)] * in_width +
                             columns.origin[static_cast<std::size_t>(q)];
          pixels.push_back({static_cast<std::int32_t>(in * in_channels),
                            static_cast<std::int32_t>((p * out_width + q) * out_channels)});
        }
      std::vector<Tap> runs;
      for (const Seen& r : rows.kinds[a])
        for (const Seen& s : columns.kinds[b]) {
          const int64_t x = (r.step * in_width + s.step) * in_channels;
          const int64_t place = row_place[static_cast<std::size_t>(r.filter)] * S +
                                column_place[static_cast<std::size_t>(s.filter)];
          const int64_t w = place * in_group;
          if (!runs.empty() && runs.back().x + runs.back().n == x &&
              runs.back().w + runs.back().n == w) {
            runs.back().n += in_group;
          } else {
            runs.push_back({x, w, in_group});
          }
        }
      std::vector<Tap> taps;
      std::vector<std::int32_t> segment{0};
      for (int64_t i = 0; i < segments; ++i) {
        const int64_t begin = total * i / segments, end = total * (i + 1) / segments;
        for (const Tap& t : runs) {
          const int64_t w0 = std::max(begin, t.w), w1 = std::min(end, t.w + t.n);
          if (w0 < w1) taps.push_back({t.x + w0 - t.w, w0, w1 - w0});
        }
        segment.push_back(static_cast<std::int32_t>(taps.size()));
      }
      store->pixels.push_back(std::move(pixels));
      store->taps.push_back(std::move(taps));
      store->segments.push_back(std::move(segment));
      store->classes.push_back({store->pixels.back().data(),
                                static_cast<int64_t>(store->pixels.back().size()),
                                store->taps.back().data(), store->segments.back().data()});
    }
  store->plan = {total, segments, static_cast<int64_t>(store->classes.size()),
                 store->classes.data(), store->order.data()};
  return {store, &store->plan};
}

struct WeightPlanStore {
  Conv2dWeightPlan plan{};
  std::vector<Conv2dColumns> columns;
  std::list<std::vector<Offset>> lists;
};

// Output pixels per chunk: x and dy of one chunk stay in the L2 cache while all of dw passes over
// them.
constexpr int64_t kChunkPixels = 512;

struct Chunks {
  int64_t count, bands, images;
};
Chunks weight_chunks(const Conv2dGeometry& g) {
  const int64_t pixels = g.P * g.Q;
  if (pixels > kChunkPixels) {
    const int64_t bands = std::min(g.P, (pixels + kChunkPixels - 1) / kChunkPixels);
    return {g.N * bands, bands, 1};
  }
  // The lists count within a chunk in 32 bits.
  const int64_t most =
      (int64_t{1} << 31) / std::max((g.H + 2 * g.padding_h) * g.W * g.C, pixels * g.K);
  const int64_t per = std::max<int64_t>(1, std::min(kChunkPixels / pixels, most));
  const int64_t count = (g.N + per - 1) / per;
  return {count, 0, count ? g.N / count : 0};
}

std::shared_ptr<const Conv2dWeightPlan> build_weight(const Conv2dGeometry& g) {
  auto store = std::make_shared<WeightPlanStore>();
  const Conv2dWeightSplit split = conv2d_weight_split(g);
  const Chunks chunks = weight_chunks(g);
  const bool swap = split.mode == WeightMode::channels_in_lanes;
  const auto offset = [&](int64_t x, int64_t dy) {
    return swap ? Offset{static_cast<std::int32_t>(dy), static_cast<std::int32_t>(x)}
                : Offset{static_cast<std::int32_t>(x), static_cast<std::int32_t>(dy)};
  };
  store->plan = {chunks.count, chunks.bands, chunks.images, 0, nullptr};
  if (split.mode == WeightMode::windows) return {store, &store->plan};
  // Columns q by the taps s0 .. s1 they see; one tap at a time where taps are not neighbours in x.
  std::map<std::pair<int64_t, int64_t>, std::vector<int64_t>> seen;
  const bool packed = split.mode == WeightMode::filters_in_lanes;
  const bool merge = g.dilation_w == 1 && g.G == 1 && !packed;
  const int64_t C = packed ? 1 : g.C, K = packed ? 1 : g.K;
  for (int64_t q = 0; q < g.Q; ++q) {
    int64_t lo = g.S, hi = 0;
    for (int64_t s = 0; s < g.S; ++s) {
      const int64_t w = q * g.stride_w - g.padding_w + s * g.dilation_w;
      if (w < 0 || w >= g.W) continue;
      if (!merge) seen[{s, s + 1}].push_back(q);
      lo = std::min(lo, s), hi = s + 1;
    }
    if (merge && lo < hi) seen[{lo, hi}].push_back(q);
  }
  const int64_t rows = chunks.bands ? (g.P + chunks.bands - 1) / chunks.bands : g.P;
  for (const auto& [range, qs] : seen) {
    Conv2dColumns c{range.first, range.second, static_cast<int64_t>(qs.size()), {nullptr, nullptr}};
    for (int64_t extra = 0; extra < 2; ++extra) {
      store->lists.emplace_back();
      if (chunks.bands && extra) continue;
      for (int64_t p = 0; p < rows; ++p)
        for (int64_t n = 0; n < chunks.images + extra; ++n)
          for (const int64_t q : qs)
            store->lists.back().push_back(
                offset(((n * g.H + p * g.stride_h) * g.W + q * g.stride_w - g.padding_w +
                        range.first * g.dilation_w) *
                           C,
                       ((n * g.P + p) * g.Q + q) * K));
      c.list[extra] = store->lists.back().data();
    }
    store->columns.push_back(c);
  }
  store->plan.column_count = static_cast<int64_t>(store->columns.size());
  store->plan.columns = store->columns.data();
  return {store, &store->plan};
}

// The plans used last, most recent first. A network needs three per layer and batch size.
template <class Plan>
class Cache {
 public:
  template <class Build>
  std::shared_ptr<const Plan> get(const Conv2dGeometry& g, const Build& build) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      for (auto i = entries_.begin(); i != entries_.end(); ++i)
        if (i->first == g) {
          entries_.splice(entries_.begin(), entries_, i);
          return entries_.front().second;
        }
    }
    std::shared_ptr<const Plan> plan = build();
    const std::lock_guard<std::mutex> lock(mutex_);
    entries_.emplace_front(g, plan);
    if (entries_.size() > kEntries) entries_.pop_back();
    return plan;
  }

 private:
  static constexpr std::size_t kEntries = 128;
  std::mutex mutex_;
  std::list<std::pair<Conv2dGeometry, std::shared_ptr<const Plan>>> entries_;
};

Conv2dGeometry any_batch(Conv2dGeometry g) {
  g.N = 0;
  return g;
}

}  // namespace

Conv2dWeightSplit conv2d_weight_split(const Conv2dGeometry& g) {
  const int64_t Cg = g.group_channels(), Kg = g.group_filters(), rows = g.R * g.S * Cg;
  const int64_t run = (g.dilation_w == 1 && g.G == 1 ? g.S : 1) * Cg;
  Conv2dWeightSplit s{};
  s.row_parts = 1;
  if (g.depthwise()) {
    s.mode = WeightMode::depthwise;
    s.panels = (g.C + kPanel - 1) / kPanel;
    s.slot_floats = g.R * g.S * padded(g.C);
  } else if (g.G == 1 && g.S * Cg <= 16 && rows <= 512) {
    s.mode = WeightMode::windows;
    s.panels = (g.K + kPanel - 1) / kPanel;
    s.slot_floats = rows * padded(g.K);
    s.window_floats = padded((g.W + 2 * g.padding_w) * g.C);
    s.window_rows = std::max<int64_t>(1, std::min(g.P, 4096 / (g.Q * std::min(g.K, kPanel))));
    s.scratch_floats =
        ((s.window_rows - 1) * g.stride_h + (g.R - 1) * g.dilation_h + 1) * s.window_floats;
  } else if (run >= 16 && (Kg <= 32 || g.R * g.S == 1 || g.stride_h > 1 || g.stride_w > 1)) {
    s.mode = WeightMode::channels_in_lanes;
    // Every panel reads all of x, so few of them.
    constexpr int64_t panel = 32, most = 4;
    s.panels = g.G * std::min(most, (Kg + panel - 1) / panel);
    s.slot_floats = g.K * rows;
  } else {
    s.mode = WeightMode::filters_in_lanes;
    s.panels = g.G * ((Kg + kPanel - 1) / kPanel);
    s.slot_floats = g.G * rows * padded(Kg);
    const Chunks chunks = weight_chunks(g);
    const int64_t out_rows = chunks.bands ? (g.P + chunks.bands - 1) / chunks.bands : g.P;
    const int64_t seen = (out_rows - 1) * g.stride_h + (g.R - 1) * g.dilation_h + 1;
    const int64_t images = chunks.images + 1;
    s.x_floats = kPackedChannels * g.W * (chunks.bands ? std::min(g.H, seen) : g.H * images);
    s.scratch_floats = s.x_floats + images * out_rows * g.Q * kPanel;
  }
  // Enough tasks for 16 threads; but a copy of dw costs memory and as much time as about 100
  // pixels.
  constexpr int64_t wanted = 24, slot_bytes = 8 << 20, slot_pixels = 2048, task_madds = 1 << 20;
  const int64_t pixels = g.N * g.P * g.Q;
  s.slots = (wanted + s.panels - 1) / s.panels;
  s.slots = std::min(s.slots, slot_bytes / (4 * s.slot_floats));
  s.slots = std::min(s.slots, pixels / slot_pixels);
  s.slots = std::min(s.slots, pixels * g.K * rows / (s.panels * task_madds));
  if (s.mode != WeightMode::windows) s.slots = std::min(s.slots, weight_chunks(g).count);
  s.slots = std::max<int64_t>(s.slots, 1);
  if (s.slots * s.panels < wanted / 2 &&
      (s.mode == WeightMode::filters_in_lanes || s.mode == WeightMode::channels_in_lanes))
    s.row_parts = g.R;
  return s;
}

std::shared_ptr<const Conv2dSumPlan> conv2d_forward_plan(const Conv2dGeometry& g) {
  static Cache<Conv2dSumPlan> cache;
  return cache.get(any_batch(g), [&] {
    return build_sum(forward_axis(g.H, g.P, g.R, g.stride_h, g.padding_h, g.dilation_h),
                     forward_axis(g.W, g.Q, g.S, g.stride_w, g.padding_w, g.dilation_w), g.W, g.C,
                     g.group_channels(), g.Q, g.K);
  });
}

std::shared_ptr<const Conv2dSumPlan> conv2d_backward_input_plan(const Conv2dGeometry& g) {
  static Cache<Conv2dSumPlan> cache;
  return cache.get(any_batch(g), [&] {
    return build_sum(backward_axis(g.H, g.P, g.R, g.stride_h, g.padding_h, g.dilation_h),
                     backward_axis(g.W, g.Q, g.S, g.stride_w, g.padding_w, g.dilation_w), g.Q, g.K,
                     g.group_filters(), g.W, g.C);
  });
}

std::shared_ptr<const Conv2dWeightPlan> conv2d_backward_weight_plan(const Conv2dGeometry& g) {
  static Cache<Conv2dWeightPlan> cache;
  return cache.get(g, [&] { return build_weight(g); });
}

}  // namespace sentei::cpu
