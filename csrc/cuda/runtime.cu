// Memory, copies, the stream and captured graphs.
#include <cstring>
#include <mutex>

#include "core/check.hpp"
#include "cuda/runtime.hpp"
#include "cuda/tables.hpp"

namespace sentei::cuda {

void check(cudaError_t code, const char* what) {
  if (code == cudaSuccess) return;
  cudaGetLastError();  // later calls must not fail for this one
  fail<DeviceError>("device cuda: ", what, ": ", cudaGetErrorString(code));
}

cudaStream_t stream() {
  static const cudaStream_t s = [] {
    cudaStream_t made = nullptr;
    check(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking), "stream");
    return made;
  }();
  return s;
}

namespace {

void* allocate(std::size_t bytes) {
  void* p = nullptr;
  const cudaError_t code = cudaMalloc(&p, bytes);
  if (code != cudaSuccess) {
    cudaGetLastError();
    std::size_t left = 0, all = 0;
    cudaMemGetInfo(&left, &all);
    fail<DeviceError>("device cuda: memory of ", bytes, " bytes must be free, got ", left, " of ",
                      all, " (", cudaGetErrorString(code), ")");
  }
  return p;
}

void release(void* p) { cudaFree(p); }  // waits for the work that uses it

// Page-locked buffers: the host's array may be reused at once, and the copy runs beside kernels.
class Staging {
 public:
  void upload(std::byte* device, const std::byte* host, std::size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (std::size_t done = 0; done < bytes; done += kBytes) {
      Slot& slot = slots_[next_++ % kSlots];
      const std::size_t n = bytes - done < kBytes ? bytes - done : kBytes;
      if (slot.buffer)
        check(cudaEventSynchronize(slot.free), "upload");
      else
        slot.make();
      std::memcpy(slot.buffer, host + done, n);
      check(cudaMemcpyAsync(device + done, slot.buffer, n, cudaMemcpyHostToDevice, stream()),
            "upload");
      check(cudaEventRecord(slot.free, stream()), "upload");
    }
  }

 private:
  static constexpr std::size_t kBytes = std::size_t{4} << 20, kSlots = 4;
  struct Slot {
    void* buffer = nullptr;
    cudaEvent_t free = nullptr;
    void make() {
      check(cudaEventCreateWithFlags(&free, cudaEventDisableTiming), "upload");
      check(cudaMallocHost(&buffer, kBytes), "upload");
    }
  };
  std::mutex mutex_;
  Slot slots_[kSlots];
  std::size_t next_ = 0;
};

void upload(void* device, const void* host, std::size_t bytes) {
  static Staging& staging = *new Staging;  // outlives the driver's own end
  staging.upload(static_cast<std::byte*>(device), static_cast<const std::byte*>(host), bytes);
}

void download(void* host, const void* device, std::size_t bytes) {
  check(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, stream()), "download");
  check(cudaStreamSynchronize(stream()), "download");
}

void copy(void* to, const void* from, std::size_t bytes) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream()), "copy");
}

void fill(void* p, int byte, std::size_t bytes) {
  check(cudaMemsetAsync(p, byte, bytes, stream()), "fill");
}

void synchronize() { check(cudaStreamSynchronize(stream()), "synchronize"); }

void capture_begin() {
  check(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeThreadLocal), "capture");
}

void* capture_end() {
  cudaGraph_t graph = nullptr;
  check(cudaStreamEndCapture(stream(), &graph), "capture");
  cudaGraphExec_t ready = nullptr;
  const cudaError_t code = cudaGraphInstantiate(&ready, graph, 0);
  cudaGraphDestroy(graph);
  check(code, "capture");
  return ready;
}

void replay(void* graph) {
  check(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), stream()), "replay");
}

void forget(void* graph) {
  if (graph) {
    cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph));
  } else {
    cudaGraph_t unfinished = nullptr;
    cudaStreamEndCapture(stream(), &unfinished);
    if (unfinished) cudaGraphDestroy(unfinished);
  }
  cudaGetLastError();
}

void order(std::intptr_t other, bool ours_first) {
  static const cudaEvent_t event = [] {
    cudaEvent_t made = nullptr;
    check(cudaEventCreateWithFlags(&made, cudaEventDisableTiming), "order");
    return made;
  }();
  const auto theirs = reinterpret_cast<cudaStream_t>(other);
  check(cudaEventRecord(event, ours_first ? stream() : theirs), "order");
  check(cudaStreamWaitEvent(ours_first ? theirs : stream(), event, 0), "order");
}

}  // namespace

const Backend& cuda_backend() {
  static const Backend b = {"cuda", allocate, release,     upload,        download,
                            copy,   fill,     synchronize, capture_begin, capture_end,
                            replay, forget,   order,       find_table};
  return b;
}

}  // namespace sentei::cuda
