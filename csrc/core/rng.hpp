// Counter-based random numbers: Philox 4x32-10 (Salmon et al. 2011, "Parallel random numbers: as
// easy as 1, 2, 3"). Number i of stream (seed, stream, step) is a pure function of those four, so
// every backend, thread count and order of evaluation draws the same.
#pragma once
#include <cstdint>

#if defined(__CUDACC__)
#define SENTEI_HD __host__ __device__
#else
#define SENTEI_HD
#endif

namespace sentei {
namespace {

struct Philox4 {
  std::uint32_t v[4];
};

// Counter (index, stream, step), key seed: four numbers for the quad `index`.
[[maybe_unused]] SENTEI_HD inline Philox4 philox(std::uint64_t seed, std::uint32_t stream,
                                                 std::uint32_t step, std::uint64_t index) {
  std::uint32_t c0 = static_cast<std::uint32_t>(index),
                c1 = static_cast<std::uint32_t>(index >> 32);
  std::uint32_t c2 = stream, c3 = step;
  std::uint32_t k0 = static_cast<std::uint32_t>(seed), k1 = static_cast<std::uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = static_cast<std::uint64_t>(0xD2511F53u) * c0;
    const std::uint64_t p1 = static_cast<std::uint64_t>(0xCD9E8D57u) * c2;
    c0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c1 = static_cast<std::uint32_t>(p1);
    c2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c3 = static_cast<std::uint32_t>(p0);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// 24 random bits as a float in [0, 1).
[[maybe_unused]] SENTEI_HD inline float unit_float(std::uint32_t bits) {
  return static_cast<float>(bits >> 8) * (1.0f / 16777216.0f);
}

}  // namespace
}  // namespace sentei
