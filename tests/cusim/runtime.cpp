// The emulator as a backend: device memory with guard pages, work done at once, captures as lists.
#include "runtime.hpp"

#include <cstring>
#include <utility>

#include "core/check.hpp"
#include "cuda/tables.hpp"
#include "device_memory.hpp"
#include "grid.hpp"

namespace cusim {

std::vector<Waiting>& orders() {
  static std::vector<Waiting> all;
  return all;
}

namespace {

using sentei::DeviceError;

void check_not_recording(const char* what) {
  SENTEI_CHECK(DeviceError, !recording, "device cusim: ", what, ": must not run inside a capture");
}

void* allocate(std::size_t bytes) {
  check_not_recording("allocate");
  void* const p = device_allocate(bytes);
  if (!p) sentei::fail<DeviceError>("device cusim: memory of ", bytes, " bytes must be free");
  return p;
}

void upload(void* device, const void* host, std::size_t bytes) {
  check_not_recording("upload");
  const DeviceAccess access;
  std::memcpy(device, host, bytes);
}
void download(void* host, const void* device, std::size_t bytes) {
  check_not_recording("download");
  const DeviceAccess access;
  std::memcpy(host, device, bytes);
}
void copy(void* to, const void* from, std::size_t bytes) {
  run_or_record([=] {
    const DeviceAccess access;
    std::memmove(to, from, bytes);
  });
}
void fill(void* p, int byte, std::size_t bytes) {
  run_or_record([=] {
    const DeviceAccess access;
    std::memset(p, byte, bytes);
  });
}
void synchronize() { check_not_recording("synchronize"); }

void capture_begin() {
  check_not_recording("capture");
  recording = new Recording;
}
void* capture_end() { return std::exchange(recording, nullptr); }
void replay(void* graph) {
  check_not_recording("replay");
  for (const auto& work : *static_cast<Recording*>(graph)) work();
}
void forget(void* graph) {
  delete static_cast<Recording*>(graph ? graph : std::exchange(recording, nullptr));
}
void order(std::intptr_t stream, bool ours_first) { orders().push_back({stream, ours_first}); }

}  // namespace

const sentei::Backend& emulated_backend() {
  static const sentei::Backend b = {"cusim",        allocate,
                                    device_release, upload,
                                    download,       copy,
                                    fill,           synchronize,
                                    capture_begin,  capture_end,
                                    replay,         forget,
                                    order,          sentei::cuda::find_table};
  return b;
}

}  // namespace cusim
