// Multiply-adds in registers: the most a core can do in float32, and nothing else.
//
// Twelve sums are independent of one another (latency 4, two units: 8 would do), so the loop runs at the rate
// of the units. Built by peak.py with -march=native for the machine that is measured.
#include <chrono>
#include <cstdint>

#if defined(__AVX512F__)
constexpr int kBytes = 64;
#define KEEP(s) asm volatile("" : "+v"(s))  // stays in its register, and is not taken out of the loop
#elif defined(__AVX__)
constexpr int kBytes = 32;
#define KEEP(s) asm volatile("" : "+x"(s))
#else
constexpr int kBytes = 16;
#define KEEP(s) asm volatile("" : "+x"(s))
#endif
#define SUMS(DO) DO(a) DO(b) DO(c) DO(d) DO(e) DO(f) DO(g) DO(h) DO(i) DO(j) DO(k) DO(l)
#define MAKE(s) Vector s = Vector{} + 1.0F;
#define STEP(s) s = s * factor + addend; KEEP(s);
#define GIVE(s) *sink += s[0];

typedef float Vector __attribute__((vector_size(kBytes)));

// GFLOP/s of the calling thread over `rounds` rounds; a multiply-add counts 2.
extern "C" double fma_gflops(std::int64_t rounds, float* sink) {
  const Vector factor = Vector{} + 0.999F, addend = Vector{} + 1e-3F;
  SUMS(MAKE)
  const auto start = std::chrono::steady_clock::now();
  for (std::int64_t r = 0; r < rounds; ++r) {
    SUMS(STEP)
  }
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
  SUMS(GIVE)
  return 2.0 * 12 * (kBytes / 4) * static_cast<double>(rounds) / spent.count() / 1e9;
}
