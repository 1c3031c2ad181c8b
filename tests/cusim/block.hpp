// One block of threads and its scheduler. A thread runs until it waits for others; a thread that
// ends lends its stack to one that has not begun, so threads that never wait cost no switch.
#pragma once
#include <cstdint>
#include <source_location>
#include <sstream>
#include <string>
#include <vector>

#include "async_copy.hpp"
#include "config.hpp"
#include "stack.hpp"
#include "vectors.hpp"

namespace cusim {

using Place = std::source_location;   // of a barrier or collective in the kernel's source
std::string text_of(const Place& p);  // "add.cu:12"
bool same(const Place& a, const Place& b);

enum class State : std::uint8_t { ready, at_barrier, in_warp, done };

struct Thread {
  uint3 index{};   // threadIdx
  int linear = 0;  // its number in the block
  State state = State::done;
  Stack* stack = nullptr;  // null before it begins and after it ended
  Place place;             // where it waits
  AsyncCopies copies;
};

// Lanes that meet in one collective of a warp.
struct Group {
  unsigned mask = 0, arrived = 0;
  Place place;
  const void* in[kWarp];
  void* out[kWarp];
};
struct Warp {
  Group groups[kWarp];  // disjoint masks may be open at the same time
  int open = 0;         // of groups
};

struct Block {
  dim3 grid, dims;  // gridDim, blockDim
  uint3 index{};    // blockIdx
  int size = 0;     // threads
  int done = 0, arrived = 0;
  Place barrier;
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  std::vector<int> ready;  // a stack: the last one runs next
  bool ahead = true;       // woken lanes run at once; else they mix with all others
  Random random;
  std::uint64_t serial = 0;  // of this block among all that ever ran
  char* dynamic_shared = nullptr;
  std::size_t shared_bytes = 0;  // static ones so far
  void (*entry)(void*) = nullptr;
  void* arguments = nullptr;
  StackPool stacks;
  Stack scheduler;
  std::string error;
};
inline Block block;
inline Thread* current = nullptr;  // null: host code runs

std::string whereabouts();                    // "block (0,0,0), thread (3,0,0)"
[[noreturn]] void stop(std::string&& error);  // ends the block; the launch throws
template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  std::string s;
  {
    std::ostringstream text;
    (text << ... << parts);
    text << " in " << whereabouts();
    s = text.str();
  }
  stop(std::move(s));
}

void wake(Thread& t);
void leave();                         // current waits (its state says for what): others run
void sync_block(const Place& here);   // __syncthreads
void run_block(std::uint64_t index);  // on return every thread is done, or error says why not

}  // namespace cusim
