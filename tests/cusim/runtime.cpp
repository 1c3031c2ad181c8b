// The emulator as a backend: device memory with guard pages, work done at once, captures as lists.
#include "runtime.hpp"

#include <functional>
#include <memory>

#include "core/check.hpp"
#include "cuda/tables.hpp"
#include "cusim.hpp"

namespace cusim {

std::vector<Waiting>& orders() {
  static std::vector<Waiting> all;
  return all;
}

namespace {

using sentei::DeviceError;

void* allocate(std::size_t bytes) {
  void* const p = dev_alloc(bytes);
  if (!p) sentei::fail<DeviceError>("device cusim: memory of ", bytes, " bytes must be free");
  return p;
}

void release(void* p) {
  // Somebody wrote beside the buffer: there is no one to throw to.
  if (dev_free(p) != 0) {
    std::fprintf(stderr, "cusim: memory around a buffer was overwritten\n");
    std::abort();
  }
}

void run(std::function<void()> f) {
  if (recording())
    recording()->push_back(std::move(f));
  else
    f();
}

void upload(void* device, const void* host, std::size_t bytes) {
  SENTEI_CHECK(DeviceError, !recording(), "device cusim: upload: must not run inside a capture");
  std::memcpy(device, host, bytes);
}
void download(void* host, const void* device, std::size_t bytes) {
  SENTEI_CHECK(DeviceError, !recording(), "device cusim: download: must not run inside a capture");
  std::memcpy(host, device, bytes);
}
void copy(void* to, const void* from, std::size_t bytes) {
  run([=] { std::memmove(to, from, bytes); });
}
void fill(void* p, int byte, std::size_t bytes) {
  run([=] { std::memset(p, byte, bytes); });
}
void synchronize() {
  SENTEI_CHECK(DeviceError, !recording(),
               "device cusim: synchronize: must not run inside a capture");
}

void capture_begin() {
  SENTEI_CHECK(DeviceError, !recording(), "device cusim: capture: one at a time");
  recording() = new Recording;
}
void* capture_end() {
  Recording* const r = recording();
  recording() = nullptr;
  return r;
}
void replay(void* graph) {
  for (const auto& f : *static_cast<Recording*>(graph)) f();
}
void forget(void* graph) {
  if (!graph) {
    graph = recording();
    recording() = nullptr;
  }
  delete static_cast<Recording*>(graph);
}
void order(std::intptr_t stream, bool ours_first) { orders().push_back({stream, ours_first}); }

}  // namespace

const sentei::Backend& emulated_backend() {
  static const sentei::Backend b = {
      "cusim",     allocate,      release,     upload, download, copy,  fill,
      synchronize, capture_begin, capture_end, replay, forget,   order, sentei::cuda::find_table};
  return b;
}

}  // namespace cusim
