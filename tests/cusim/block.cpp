#include "block.hpp"

#include <cstring>
#include <string_view>
#include <utility>

#include "sanitize.hpp"
#include "shared_memory.hpp"

namespace cusim {

std::string text_of(const Place& p) {
  const std::string_view file = p.file_name();
  std::ostringstream text;
  text << file.substr(file.rfind('/') + 1) << ':' << p.line();
  return text.str();
}

bool same(const Place& a, const Place& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         (a.file_name() == b.file_name() || std::strcmp(a.file_name(), b.file_name()) == 0);
}

static std::ostream& operator<<(std::ostream& out, const uint3& i) {
  return out << '(' << i.x << ',' << i.y << ',' << i.z << ')';
}

std::string whereabouts() {
  std::ostringstream text;
  text << "block " << block.index;
  if (current) text << ", thread " << current->index;
  return text.str();
}

namespace {

Thread* next_ready() {
  if (block.ready.empty()) return nullptr;
  Thread* const t = &block.threads[static_cast<std::size_t>(block.ready.back())];
  block.ready.pop_back();
  return t;
}

// Everybody may run. The order says who first; in a random one that runs ahead, warps follow each
// other and lanes are turned.
void refill() {
  std::vector<int>& r = block.ready;
  Random& random = block.random;
  const Order order = config().order;
  const int n = block.size;
  r.resize(static_cast<std::size_t>(n));
  block.ahead = order != Order::random || random.coin();
  for (int i = 0; i < n; ++i)
    r[static_cast<std::size_t>(i)] = order == Order::forward ? n - 1 - i : i;
  if (order != Order::random) return;
  if (!block.ahead) {
    for (std::size_t i = r.size(); i > 1; --i) std::swap(r[i - 1], r[random.below(i)]);
    return;
  }
  int warps[kMaxThreads / kWarp];
  const int count = (n + kWarp - 1) / kWarp;
  for (int i = 0; i < count; ++i) warps[i] = i;
  for (int i = count; i > 1; --i)
    std::swap(warps[i - 1], warps[random.below(static_cast<std::size_t>(i))]);
  r.clear();
  for (int i = 0; i < count; ++i) {
    const int turn = static_cast<int>(random.below(kWarp));
    for (int lane = 0; lane < kWarp; ++lane)
      if (const int t = warps[i] * kWarp + (lane ^ turn); t < n) r.push_back(t);
  }
}

void check_nobody_left() {
  if (block.done > 0)
    fail("__syncthreads at ", text_of(block.barrier), " can never end: ", block.done, " of ",
         block.size, " threads have returned");
}

// Runs threads on one stack as long as the next one has not begun.
void work() {
  Stack& main = block.scheduler;  // the first stack of a launch is entered from it
  const bool first = !main.low;
  sanitize::finish_switch(nullptr, first ? &main.low : nullptr, first ? &main.size : nullptr);
  for (;;) {
    block.entry(block.arguments);
    current->state = State::done;
    current->copies.clear();
    ++block.done;
    if (block.arrived > 0 && block.arrived + block.done == block.size) check_nobody_left();
    Stack* const own = std::exchange(current->stack, nullptr);
    Thread* const next = next_ready();
    current = next;
    if (next && !next->stack) {
      next->stack = own;
      continue;
    }
    block.stacks.give(*own);
    switch_stacks(*own, next ? *next->stack : main, true);
  }
}

Stack& stack_of(Thread& t) {
  if (!t.stack) {
    t.stack = &block.stacks.take();
    prepare(*t.stack, work);
  }
  return *t.stack;
}

// Threads wait and none can run: say where they are.
std::string deadlock() {
  std::ostringstream text;
  text << "deadlock in block " << block.index << ": ";
  std::vector<std::pair<Thread*, int>> kinds;
  for (Thread& t : block.threads) {
    if (t.state == State::done) continue;
    bool known = false;
    for (auto& [first, count] : kinds)
      if (first->state == t.state && same(first->place, t.place)) {
        ++count;
        known = true;
        break;
      }
    if (!known) kinds.emplace_back(&t, 1);
  }
  for (const auto& [t, count] : kinds)
    text << count << " threads wait "
         << (t->state == State::at_barrier ? "for the block" : "for lanes of their warp") << " at "
         << text_of(t->place) << ", ";
  text << block.done << " have returned";
  return text.str();
}

}  // namespace

void stop(std::string&& error) {
  block.error = std::move(error);
  Thread& t = *current;
  current = nullptr;
  switch_stacks(*t.stack, block.scheduler, true);
  __builtin_unreachable();
}

void wake(Thread& t) {
  t.state = State::ready;
  block.ready.push_back(t.linear);
  if (!block.ahead)
    std::swap(block.ready.back(), block.ready[block.random.below(block.ready.size())]);
}

void leave() {
  Thread* const me = current;
  Thread* const next = next_ready();
  if (next == me) return;
  current = next;
  switch_stacks(*me->stack, next ? stack_of(*next) : block.scheduler);
}

void sync_block(const Place& here) {
  if (block.arrived == 0)
    block.barrier = here;
  else if (!same(block.barrier, here))
    fail("divergent __syncthreads: threads of one block wait at ", text_of(block.barrier), " and ",
         text_of(here));
  current->place = here;
  current->state = State::at_barrier;
  if (++block.arrived + block.done == block.size) {
    check_nobody_left();
    for (Thread& t : block.threads) t.state = State::ready;
    block.arrived = 0;
    refill();
  }
  leave();
}

void run_block(std::uint64_t index) {
  const dim3& g = block.grid;
  block.index = {static_cast<unsigned>(index % g.x), static_cast<unsigned>(index / g.x % g.y),
                 static_cast<unsigned>(index / g.x / g.y)};
  block.random.seed(config().seed, index);
  block.done = block.arrived = 0;
  ++block.serial;
  block.shared_bytes = 0;
  poison_dynamic_shared();
  for (Thread& t : block.threads) t.state = State::ready;
  refill();
  while (block.done < block.size && block.error.empty()) {
    Thread* const t = next_ready();
    if (!t) {
      block.error = deadlock();
      return;
    }
    current = t;
    switch_stacks(block.scheduler, stack_of(*t));
  }
}

}  // namespace cusim
