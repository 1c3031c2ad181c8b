// Joining and cutting along channels: copies only, 8 bytes per element. The table of the parts is a
// kernel parameter, kMost of them a launch. A block does all parts of its rows, some thousand
// elements, so that a sector which two parts share is whole before it leaves the cache; 16 bytes at
// a time where all widths and addresses allow, else 4.
#include "cuda/device/elementwise.cuh"
#include "cuda/table.cuh"
#include "kernels/concat.hpp"

namespace sentei::cuda {
namespace {

constexpr int kThreads = 256, kMost = 32, kEach = 4;
constexpr std::int64_t kBlockBytes = 32768;

struct Part {
  float* data;                 // (rows, width); read only when joining
  std::int64_t width, offset;  // columns, and where they start in the whole
};
struct Parts {
  Part part[kMost];
  int count;
};

// whole (rows, C): joined from the parts, or cut into them. Widths are counted in units of T.
template <bool Cut, class T>
__global__ void __launch_bounds__(kThreads)
    concat_forward_kernel(std::int64_t rows, std::int64_t C, std::int64_t per, Parts parts,
                          float* whole) {
  const std::int64_t begin = std::int64_t{blockIdx.x} * per;
  const std::int64_t here = rows - begin < per ? rows - begin : per;
  T* const joined = reinterpret_cast<T*>(whole) + begin * C;
  for (int i = 0; i < parts.count; ++i) {
    const std::int64_t width = parts.part[i].width, offset = parts.part[i].offset;
    T* const part = reinterpret_cast<T*>(parts.part[i].data) + begin * width;
    const std::int64_t n = here * width;  // per keeps it below 2^31, or it is one row
    const auto at = [&](std::int64_t e) {
      if (here == 1) return offset + e;
      const unsigned r = static_cast<unsigned>(e) / static_cast<unsigned>(width);
      return e + r * (C - width) + offset;
    };
    for (std::int64_t e = threadIdx.x; e < n; e += kThreads * kEach) {
      T v[kEach];  // all loads first: the compiler does not know that the two are apart
      std::int64_t to[kEach];
#pragma unroll
      for (int j = 0; j < kEach; ++j) {
        const std::int64_t k = e + j * kThreads;
        if (k < n) {
          to[j] = at(k);
          v[j] = Cut ? joined[to[j]] : part[k];
        }
      }
#pragma unroll
      for (int j = 0; j < kEach; ++j) {
        const std::int64_t k = e + j * kThreads;
        if (k < n) (Cut ? part[k] : joined[to[j]]) = v[j];
      }
    }
  }
}

template <bool Cut, class T>
void move(const char* name, std::int64_t rows, std::int64_t C, Parts& parts, float* whole) {
  constexpr std::int64_t kUnit = sizeof(T) / sizeof(float);
  std::int64_t columns = 0;  // of this launch
  for (int i = 0; i < parts.count; ++i) {
    columns += parts.part[i].width;
    parts.part[i].width /= kUnit;
    parts.part[i].offset /= kUnit;
  }
  const std::int64_t fit = kBlockBytes / static_cast<std::int64_t>(sizeof(float)) / columns;
  const std::int64_t per = fit > 1 ? fit : 1;
  launch(name, concat_forward_kernel<Cut, T>, static_cast<unsigned>(ceil_div(rows, per)), kThreads,
         0, rows, C / kUnit, per, parts, whole);
}

// part(i) gives the i-th part's memory.
template <bool Cut, class F>
void move_all(const char* name, std::int64_t rows, std::int64_t C, std::int64_t count,
              const std::int64_t* widths, float* whole, F part) {
  bool wide = aligned16(whole);
  for (std::int64_t i = 0; i < count; ++i)
    wide = wide && widths[i] % 4 == 0 && (widths[i] == 0 || aligned16(part(i)));
  Parts parts{};
  std::int64_t offset = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    if (widths[i] > 0) parts.part[parts.count++] = {part(i), widths[i], offset};
    offset += widths[i];
    if (parts.count == kMost || (i + 1 == count && parts.count > 0)) {
      wide ? move<Cut, float4>(name, rows, C, parts, whole)
           : move<Cut, float>(name, rows, C, parts, whole);
      parts.count = 0;
    }
  }
}

void forward(std::int64_t rows, std::int64_t count, const float* const* xs,
             const std::int64_t* widths, float* y) {
  std::int64_t C = 0;
  for (std::int64_t i = 0; i < count; ++i) C += widths[i];
  move_all<false>("concat_forward_kernel", rows, C, count, widths, y,
                  [=](std::int64_t i) { return const_cast<float*>(xs[i]); });
}

void split(std::int64_t rows, std::int64_t C, std::int64_t width, const float* x, float* head,
           float* rest) {
  const std::int64_t widths[2] = {width, C - width};
  move_all<true>("channel_split_forward_kernel", rows, C, 2, widths, const_cast<float*>(x),
                 [=](std::int64_t i) { return i == 0 ? head : rest; });
}

}  // namespace
}  // namespace sentei::cuda
SENTEI_CUDA_TABLE(ConcatKernels, concat_kernels, forward, split)
