#include "grid.hpp"

#include <cstdlib>
#include <numeric>

#include "core/check.hpp"
#include "device_memory.hpp"
#include "fault.hpp"
#include "shared_memory.hpp"

namespace cusim {

using sentei::DeviceError;

namespace {

long setting(const char* name, long otherwise, long most) {
  const char* const text = std::getenv(name);
  if (!text) return otherwise;
  char* end = nullptr;
  const long value = std::strtol(text, &end, 0);
  SENTEI_CHECK(ValueError, *text && !*end && value >= 0 && value <= most, "cusim: ", name,
               " must be a number from 0 to ", most, ", got ", text);
  return value;
}

// The order of blocks: forward, reverse, or a walk through all of them with a step of the seed's.
class BlockOrder {
 public:
  explicit BlockOrder(std::uint64_t count) : count_(count) {
    if (config().order != Order::random) return;
    Random random;
    random.seed(config().seed, count);
    start_ = random.next() % count;
    step_ = random.next() % count;
    while (std::gcd(step_, count) != 1) step_ = (step_ + 1) % count;
  }
  std::uint64_t operator()(std::uint64_t i) const {
    if (config().order == Order::reverse) return count_ - 1 - i;
    return static_cast<std::uint64_t>((start_ + static_cast<unsigned __int128>(step_) * i) %
                                      count_);
  }

 private:
  std::uint64_t count_, start_ = 0, step_ = 1;
};

void check_grid(const Grid& g) {
  const auto refuse = [&](const auto&... parts) {
    sentei::fail<DeviceError>("cusim: ", g.name, ": ", parts...);
  };
  const std::uint64_t threads = std::uint64_t{g.threads.x} * g.threads.y * g.threads.z;
  if (threads < 1 || threads > kMaxThreads || g.threads.z > 64)
    refuse("a block must have 1 to 1024 threads (z up to 64), got (", g.threads.x, ", ",
           g.threads.y, ", ", g.threads.z, ")");
  if (!g.blocks.x || !g.blocks.y || !g.blocks.z || g.blocks.x > 0x7fffffffu || g.blocks.y > 65535 ||
      g.blocks.z > 65535)
    refuse("a grid must have 1 to (2^31 - 1, 65535, 65535) blocks, got (", g.blocks.x, ", ",
           g.blocks.y, ", ", g.blocks.z, ")");
  if (g.shared > kSharedLimit)
    refuse("a block may have ", kSharedLimit, " bytes of shared memory, got ", g.shared);
}

void prepare_block(const Grid& g, void (*entry)(void*), void* arguments) {
  block.grid = g.blocks;
  block.dims = g.threads;
  block.size = static_cast<int>(g.threads.x * g.threads.y * g.threads.z);
  block.entry = entry;
  block.arguments = arguments;
  block.threads.resize(static_cast<std::size_t>(block.size));
  block.warps.resize(static_cast<std::size_t>((block.size + kWarp - 1) / kWarp));
  uint3 at{0, 0, 0};
  for (int i = 0; i < block.size; ++i) {
    block.threads[static_cast<std::size_t>(i)].index = at;
    block.threads[static_cast<std::size_t>(i)].linear = i;
    if (++at.x == g.threads.x) {
      at.x = 0;
      if (++at.y == g.threads.y) {
        at.y = 0;
        ++at.z;
      }
    }
  }
  block.scheduler.low = nullptr;  // another thread of the host may call this time
  open_dynamic_shared(g.shared);
}

// What a failed block left behind.
void clear_block() {
  current = nullptr;
  block.error.clear();
  block.stacks.reset();
  for (Thread& t : block.threads) {
    t.stack = nullptr;
    t.copies.clear();
  }
  for (Warp& w : block.warps) {
    w.open = 0;
    for (Group& g : w.groups) g.arrived = 0;
  }
}

void run_blocks(std::uint64_t count) {
  const BlockOrder order(count);
  for (std::uint64_t i = 0; i < count && block.error.empty(); ++i) run_block(order(i));
}

// False: a signal ended it. No local variables, which the jump might lose.
bool survives(FaultGuard& faults, std::uint64_t count) {
  if (sigsetjmp(faults.landing, 1) != 0) return false;
  run_blocks(count);
  return true;
}

}  // namespace

Config& config() {
  static Config c = {static_cast<Order>(setting("CUSIM_ORDER", 2, 2)),
                     static_cast<Copies>(setting("CUSIM_ASYNC", 1, 2)),
                     static_cast<std::uint64_t>(setting("CUSIM_SEED", 1, 1L << 62)),
                     setting("CUSIM_PROTECT", 0, 1) == 1};
  return c;
}

void check_pointer(const char* kernel, const void* p) {
  if (p && !in_device(p))
    sentei::fail<DeviceError>("cusim: ", kernel, ": host pointer passed to a kernel");
}

void run_grid(const Grid& grid, void (*entry)(void*), void* arguments) {
  check_grid(grid);
  prepare_block(grid, entry, arguments);
  const DeviceAccess access;
  {
    FaultGuard faults;
    if (!survives(faults, std::uint64_t{grid.blocks.x} * grid.blocks.y * grid.blocks.z))
      block.error = faults.describe() + " in " + whereabouts();
  }
  if (!block.error.empty()) {
    const std::string error = block.error;
    clear_block();
    sentei::fail<DeviceError>("cusim: ", grid.name, ": ", error);
  }
  if (const std::string damage = find_damage(); !damage.empty())
    sentei::fail<DeviceError>("cusim: ", grid.name, ": ", damage);
}

}  // namespace cusim
