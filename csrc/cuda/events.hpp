// What benchmarks ask of the device: time on our stream, the speed of a plain copy, free memory.
#pragma once
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "cuda/runtime.hpp"

namespace sentei::cuda {

// A point in time of the stream.
class Event {
 public:
  Event();
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void record();
  double milliseconds_since(const Event& start) const;  // waits until this event has come

 private:
  cudaEvent_t event_ = nullptr;
};

// Milliseconds of each of `repeats` copies of `bytes` from one buffer to another, after a warm-up.
std::vector<double> copy_milliseconds(std::size_t bytes, int repeats);
std::pair<std::size_t, std::size_t> memory_info();  // free and all bytes of the device
std::int64_t l2_bytes();
inline std::intptr_t stream_handle() { return reinterpret_cast<std::intptr_t>(stream()); }

}  // namespace sentei::cuda
