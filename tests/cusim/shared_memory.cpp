#include "shared_memory.hpp"

#include <sys/mman.h>

#include <cstring>

#include "sanitize.hpp"

namespace cusim {
namespace {

constexpr std::size_t kAlign = 16;  // what a kernel may rely on

// Addresses for every variable of every kernel; each gets pages of its own and one closed page.
class Region {
 public:
  char* take(std::size_t bytes) {  // the end of what is taken lies at a closed page
    const std::size_t room = round_up(round_up(bytes, kAlign), page_size());
    if (used_ + room + page_size() > pages_.size()) fail("the emulator's shared memory is full");
    char* const begin = pages_.begin() + used_;
    used_ += room + page_size();
    mprotect(begin + room, page_size(), PROT_NONE);
    sanitize::forbid(begin, room);
    return begin + room - round_up(bytes, kAlign);
  }
  bool holds(const void* p) const {
    const auto* const c = static_cast<const char*>(p);
    return c >= pages_.begin() && c < pages_.end();
  }

 private:
  GuardedPages pages_{std::size_t{256} << 20};
  std::size_t used_ = 0;
};

Region& region() {
  static Region r;
  return r;
}

std::size_t dynamic_bytes = 0;

void poison(char* p, std::size_t bytes) {
  sanitize::allow(p, bytes);
  std::memset(p, kPoison, round_up(bytes, sanitize::kOn ? 1 : kAlign));
}

}  // namespace

void open_shared(SharedVariable& v, std::size_t bytes) {
  if (!v.data) v.data = region().take(bytes);
  v.serial = block.serial;
  block.shared_bytes += round_up(bytes, kAlign);
  if (block.shared_bytes > kSharedStatic)
    fail("a block may declare ", kSharedStatic, " bytes of shared memory, got ",
         block.shared_bytes);
  if (block.shared_bytes + dynamic_bytes > kSharedLimit)
    fail("a block may have ", kSharedLimit, " bytes of shared memory, got ",
         block.shared_bytes + dynamic_bytes);
  poison(v.data, bytes);
}

bool in_shared(const void* p) { return region().holds(p); }

void open_dynamic_shared(std::size_t bytes) {
  static char* const all = region().take(kSharedLimit);
  sanitize::forbid(all, kSharedLimit);
  dynamic_bytes = bytes;
  block.dynamic_shared = all + kSharedLimit - round_up(bytes, kAlign);
}

void poison_dynamic_shared() {
  if (dynamic_bytes > 0) poison(block.dynamic_shared, dynamic_bytes);
}

}  // namespace cusim
