// Memory, copies, the stream and captured graphs.
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "core/check.hpp"
#include "cuda/runtime.hpp"
#include "cuda/tables.hpp"

namespace sentei::cuda {

void check(cudaError_t code, const char* what) {
  if (code == cudaSuccess) return;
  cudaGetLastError();  // later calls must not fail for this one
  fail<DeviceError>("device cuda: ", what, ": ", cudaGetErrorString(code));
}

namespace {

cudaStream_t make_stream() {
  cudaStream_t made = nullptr;
  check(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking), "stream");
  return made;
}

// A capture under way in this thread.
struct Recorder {
  cudaStream_t stream;
  std::vector<void*> released;  // freeing would spoil the capture: done when it has ended
};
thread_local Recorder* recorder = nullptr;

// What cannot be part of a graph; to try it would spoil the capture.
void check_not_recording(const char* what) {
  SENTEI_CHECK(DeviceError, !recorder, "device cuda: ", what, ": must not run inside a capture");
}

}  // namespace

cudaStream_t stream() {
  static const cudaStream_t s = make_stream();
  return s;
}

cudaStream_t launch_stream() { return recorder ? recorder->stream : stream(); }

namespace {

void* allocate(std::size_t bytes) {
  check_not_recording("allocate");
  const OnDevice here;
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

void release(void* p) {
  if (recorder) {
    try {
      recorder->released.push_back(p);
    } catch (const std::bad_alloc&) {  // leaked
    }
    return;
  }
  const OnDevice here;
  if (cudaFree(p) != cudaSuccess)  // waits for the work that uses it
    cudaGetLastError();            // the next launch must not be blamed
}

// Page-locked buffers: the host's array may be reused at once, and the copy runs beside kernels.
class Staging {
 public:
  void upload(std::byte* device, const std::byte* host, std::size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (std::size_t done = 0; done < bytes; done += kBytes) {
      Slot& slot = slots_[next_++ % kSlots];
      const std::size_t n = bytes - done < kBytes ? bytes - done : kBytes;
      slot.wait();
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
    cudaEvent_t free = nullptr;  // one that was never recorded is over at once
    void wait() {
      if (!free) check(cudaEventCreateWithFlags(&free, cudaEventDisableTiming), "upload");
      if (!buffer) check(cudaMallocHost(&buffer, kBytes), "upload");
      check(cudaEventSynchronize(free), "upload");
    }
  };
  std::mutex mutex_;
  Slot slots_[kSlots];
  std::size_t next_ = 0;
};

void upload(void* device, const void* host, std::size_t bytes) {
  check_not_recording("upload");
  const OnDevice here;
  static Staging& staging = *new Staging;  // outlives the driver's own end
  staging.upload(static_cast<std::byte*>(device), static_cast<const std::byte*>(host), bytes);
}

void download(void* host, const void* device, std::size_t bytes) {
  check_not_recording("download");
  const OnDevice here;
  check(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, stream()), "download");
  check(cudaStreamSynchronize(stream()), "download");
}

void copy(void* to, const void* from, std::size_t bytes) {
  const OnDevice here;
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, launch_stream()), "copy");
}

void fill(void* p, int byte, std::size_t bytes) {
  const OnDevice here;
  check(cudaMemsetAsync(p, byte, bytes, launch_stream()), "fill");
}

void synchronize() {
  check_not_recording("synchronize");
  const OnDevice here;
  check(cudaStreamSynchronize(stream()), "synchronize");
}

void capture_begin() {
  check_not_recording("capture");
  const OnDevice here;
  auto made = std::make_unique<Recorder>(Recorder{make_stream(), {}});
  // Thread-local: other threads may allocate and free meanwhile.
  const cudaError_t code = cudaStreamBeginCapture(made->stream, cudaStreamCaptureModeThreadLocal);
  if (code != cudaSuccess) cudaStreamDestroy(made->stream);
  check(code, "capture");
  recorder = made.release();
}

// The capture of this thread is over, whatever the outcome.
cudaError_t end_recording(cudaGraph_t* graph) {
  const std::unique_ptr<Recorder> done(std::exchange(recorder, nullptr));
  const cudaError_t code = cudaStreamEndCapture(done->stream, graph);
  cudaStreamDestroy(done->stream);
  for (void* p : done->released) release(p);
  return code;
}

void* capture_end() {
  SENTEI_CHECK(DeviceError, recorder,
               "device cuda: capture must end in the thread in which it began");
  const OnDevice here;
  cudaGraph_t graph = nullptr;
  check(end_recording(&graph), "capture");
  cudaGraphExec_t ready = nullptr;
  const cudaError_t code = cudaGraphInstantiate(&ready, graph, 0);
  cudaGraphDestroy(graph);
  check(code, "capture");
  return ready;
}

void replay(void* graph) {
  check_not_recording("replay");
  const OnDevice here;
  check(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), stream()), "replay");
}

void forget(void* graph) {
  const OnDevice here;
  if (graph) {
    cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph));  // a run under way comes to its end
  } else if (recorder) {
    cudaGraph_t unfinished = nullptr;
    end_recording(&unfinished);
    if (unfinished) cudaGraphDestroy(unfinished);
  }
  cudaGetLastError();
}

void order(std::intptr_t other, bool ours_first) {
  const OnDevice here;
  static std::mutex& mutex = *new std::mutex;  // record and wait belong together
  const std::lock_guard<std::mutex> lock(mutex);
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
