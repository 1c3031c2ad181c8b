// Events on the stream of the backend; see events.hpp.
#include <memory>

#include "cuda/events.hpp"

namespace sentei::cuda {

Event::Event() {
  const OnDevice here;
  check(cudaEventCreate(&event_), "event");
}
Event::~Event() { cudaEventDestroy(event_); }
void Event::record() {
  const OnDevice here;
  check(cudaEventRecord(event_, stream()), "event");
}

double Event::milliseconds_since(const Event& start) const {
  check(cudaEventSynchronize(event_), "event");
  float ms = 0;
  check(cudaEventElapsedTime(&ms, start.event_, event_), "event");
  return ms;
}

std::vector<double> copy_milliseconds(std::size_t bytes, int repeats) {
  const OnDevice here;
  const auto release = [](void* p) { cudaFree(p); };
  std::unique_ptr<void, decltype(release)> buffers[2] = {{nullptr, release}, {nullptr, release}};
  for (int i = 0; i < 2; ++i) {
    void* p = nullptr;
    check(cudaMalloc(&p, bytes), "copy_milliseconds");
    buffers[i].reset(p);
    check(cudaMemsetAsync(p, 0x35 + i, bytes, stream()), "copy_milliseconds");
  }
  Event before, after;
  std::vector<double> out;
  for (int i = -2; i < repeats; ++i) {
    before.record();
    check(cudaMemcpyAsync(buffers[1].get(), buffers[0].get(), bytes, cudaMemcpyDeviceToDevice,
                          stream()),
          "copy_milliseconds");
    after.record();
    const double ms = after.milliseconds_since(before);
    if (i >= 0) out.push_back(ms);
  }
  return out;
}

std::pair<std::size_t, std::size_t> memory_info() {
  const OnDevice here;
  std::size_t left = 0, all = 0;
  check(cudaMemGetInfo(&left, &all), "memory_info");
  return {left, all};
}

std::int64_t l2_bytes() {
  const OnDevice here;
  int device = 0, bytes = 0;
  check(cudaGetDevice(&device), "l2_bytes");
  check(cudaDeviceGetAttribute(&bytes, cudaDevAttrL2CacheSize, device), "l2_bytes");
  return bytes;
}

}  // namespace sentei::cuda
