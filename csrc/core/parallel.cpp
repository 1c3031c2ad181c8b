// A small pool: workers spin for a while, then sleep; tasks are handed out by an atomic counter.
// After a fork the child starts with no workers and makes new ones when first needed.
//
// To wake a sleeping worker takes a system call, 10 to 25 microseconds of the thread that asks
// where the machine is a virtual one: as much as a layer of a small network at batch 1. So a worker
// stays awake for longer than such a network spends between two jobs, and from kBusy on leaves its
// core to whoever wants it.
#include "core/parallel.hpp"

#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include "core/check.hpp"
#include "core/platform.hpp"

namespace sentei {
namespace {

thread_local bool inside_task = false;

using Clock = std::chrono::steady_clock;
constexpr std::chrono::microseconds kBusy{20}, kAwake{200};
constexpr std::size_t kLine = 128;  // two lines: the hardware fetches them in pairs

struct Job {
  TaskFn fn = nullptr;
  void* ctx = nullptr;
  std::int64_t tasks = 0;
  alignas(kLine) std::atomic<std::int64_t> next{0};

  void work() {
    inside_task = true;
    for (std::int64_t i = next.fetch_add(1); i < tasks; i = next.fetch_add(1)) fn(ctx, i);
    inside_task = false;
  }
};

class Pool {
 public:
  explicit Pool(int threads) {
    workers_.reserve(static_cast<std::size_t>(threads - 1));
    try {
      for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { loop(); });
    } catch (const std::system_error&) {
      const std::size_t started = workers_.size() + 1;
      stop();  // else the members go while workers still wait on them
      fail<DeviceError>("threads: the system must start ", threads, ", got ", started,
                        "; set_threads or SENTEI_NUM_THREADS asks for fewer");
    }
  }
  ~Pool() { stop(); }

  void run(std::int64_t tasks, TaskFn fn, void* ctx) {
    job_.fn = fn;
    job_.ctx = ctx;
    job_.tasks = tasks;
    job_.next.store(0);
    open_.store(true);
    announce();
    job_.work();
    // A worker that did not wake in time finds the job closed: nobody waits for it. One that is
    // inside may still run a task, and reads the job's fields.
    open_.store(false);
    for (int spins = 0; inside_.load() > 0; ++spins) {
      if (spins < 4000) {
        relax();
      } else {
        std::this_thread::yield();
      }
    }
  }

 private:
  void stop() {
    stop_.store(true);
    announce();
    for (auto& w : workers_) w.join();
  }

  // Either a worker that is about to sleep sees the new epoch, or it is seen here.
  void announce() {
    epoch_.fetch_add(1);
    if (asleep_.load() == 0) return;
    {
      std::lock_guard<std::mutex> lock(mutex_);
    }
    wake_.notify_all();
  }

  // Whether there is news within kAwake.
  bool watch(std::uint64_t seen) const {
    const auto start = Clock::now();
    for (auto passed = Clock::duration::zero(); passed < kAwake; passed = Clock::now() - start) {
      for (int spins = 0; spins < 16; ++spins) {
        if (epoch_.load(std::memory_order_acquire) != seen) return true;
        relax();
      }
      if (passed > kBusy) std::this_thread::yield();
    }
    return false;
  }

  void loop() {
    std::uint64_t seen = 0;
    for (;;) {
      if (!watch(seen)) {
        std::unique_lock<std::mutex> lock(mutex_);
        asleep_.fetch_add(1);
        wake_.wait(lock, [&] { return epoch_.load() != seen; });
        asleep_.fetch_sub(1);
      }
      seen = epoch_.load();
      if (stop_.load()) return;
      inside_.fetch_add(1);
      if (open_.load()) job_.work();
      inside_.fetch_sub(1);
    }
  }

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<int> asleep_{0};  // workers; changed with mutex_ held
  // What the workers watch lies apart from what changes while a job runs.
  alignas(kLine) std::atomic<std::uint64_t> epoch_{0};
  std::atomic<bool> stop_{false};              // read by a worker that woke late, too
  std::atomic<bool> open_{false};              // the job takes workers
  alignas(kLine) std::atomic<int> inside_{0};  // workers that may be in the job
  alignas(kLine) Job job_;
};

struct State {
  std::mutex mutex;  // one parallel region at a time; others run inline
  Pool* pool = nullptr;
  std::atomic<int> threads{0};  // read without the lock
  std::atomic<const char*> source{""};
};

State* state = nullptr;

int positive_env(const char* name) {
  const char* text = std::getenv(name);
  if (!text || !*text) return 0;
  char* end = nullptr;
  const long n = std::strtol(text, &end, 10);
  return end && *end == 0 && n >= 1 && n <= 4096 ? static_cast<int>(n) : 0;
}

double read_quota() {  // CPUs that the cgroup grants, or 0 when unlimited or unknown
  if (std::FILE* f = std::fopen("/sys/fs/cgroup/cpu.max", "r")) {
    char quota[64] = {};
    double period = 0;
    const int got = std::fscanf(f, "%63s %lf", quota, &period);
    std::fclose(f);
    if (got == 2 && std::strcmp(quota, "max") != 0 && period > 0) return std::atof(quota) / period;
    return 0;
  }
  double values[2] = {0, 0};
  const char* files[2] = {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us",
                          "/sys/fs/cgroup/cpu/cpu.cfs_period_us"};
  for (int i = 0; i < 2; ++i) {
    if (std::FILE* f = std::fopen(files[i], "r")) {
      if (std::fscanf(f, "%lf", &values[i]) != 1) values[i] = 0;
      std::fclose(f);
    }
  }
  return values[0] > 0 && values[1] > 0 ? values[0] / values[1] : 0;
}

int find_default(const char** source) {
  const char* const ours = std::getenv("SENTEI_NUM_THREADS");
  if (ours && *ours) {  // said to us: never ignored in silence
    const int n = positive_env("SENTEI_NUM_THREADS");
    SENTEI_CHECK(ValueError, n, "SENTEI_NUM_THREADS: must be a whole number from 1 to 4096, got ",
                 ours);
    *source = "SENTEI_NUM_THREADS";
    return n;
  }
  if (const int n = positive_env("OMP_NUM_THREADS")) {
    *source = "OMP_NUM_THREADS";
    return n;
  }
  int n = allowed_cpus();
  *source = "CPU affinity";
  const double quota = read_quota();
  if (quota > 0 && std::ceil(quota) < n) {
    n = static_cast<int>(std::ceil(quota));
    *source = "cgroup CPU quota";
  }
  return n < 1 ? 1 : n;
}

State& shared() {
  static std::once_flag once;
  std::call_once(once, [] {
    state = new State;  // never destroyed: workers may outlive static destruction
    const char* source = "";
    state->threads = find_default(&source);
    state->source = source;
    on_fork([] { state->mutex.lock(); }, [] { state->mutex.unlock(); },
            [] {
              // The child owns no workers: forget the pool (its memory belongs to threads that are
              // gone), make the lock anew.
              state->pool = nullptr;
              new (&state->mutex) std::mutex;
              inside_task = false;
            });
  });
  return *state;
}

}  // namespace

void parallel_run(std::int64_t tasks, TaskFn fn, void* ctx) {
  if (tasks <= 0) return;
  State& s = shared();
  if (tasks > 1 && s.threads > 1 && !inside_task) {
    std::unique_lock<std::mutex> lock(s.mutex, std::try_to_lock);
    if (lock.owns_lock()) {
      if (!s.pool) s.pool = new Pool(s.threads);
      s.pool->run(tasks, fn, ctx);
      return;
    }
  }
  for (std::int64_t i = 0; i < tasks; ++i) fn(ctx, i);
}

int thread_count() { return shared().threads; }

void set_thread_count(int n) {
  State& s = shared();
  std::lock_guard<std::mutex> lock(s.mutex);
  if (n == s.threads) return;
  delete s.pool;
  s.pool = nullptr;
  s.threads = n;
  s.source = "set_threads";
}

int default_thread_count() {
  const char* source = "";
  return find_default(&source);
}

const char* thread_count_source() { return shared().source; }

}  // namespace sentei
