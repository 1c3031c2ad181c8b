#include "device_memory.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <new>

#include "config.hpp"
#include "pages.hpp"
#include "sanitize.hpp"

namespace cusim {
namespace {

constexpr std::size_t kAlign =
    64;  // of a buffer, as of one on the CPU; its end is close to the guard
constexpr std::size_t kEdge = 64;  // bytes before a buffer that every launch looks at

struct Buffer {
  GuardedPages pages;
  char* data;
  std::size_t bytes;

  char* end() const { return data + bytes; }
  // The first byte of [from, to) that is no longer poison, or null.
  static char* touched(char* from, char* to) {
    for (; from < to; ++from)
      if (*from != static_cast<char>(kPoison)) return from;
    return nullptr;
  }
  char* damage(std::size_t before) const {
    const auto room = static_cast<std::size_t>(data - pages.begin());
    char* const front = touched(data - (before < room ? before : room), data);
    return front ? front : touched(end(), pages.end());
  }
};

std::map<const char*, Buffer>& buffers() {                // by their beginnings
  static auto& all = *new std::map<const char*, Buffer>;  // tensors may outlive static objects
  return all;
}

int open_accesses = 0;

void permit_all(bool access) {
  for (auto& [start, b] : buffers()) b.pages.permit(access);
}

std::string say(const Buffer& b, const char* p) {
  const std::string buffer = "a buffer of " + std::to_string(b.bytes) + " bytes";
  if (p < b.data) return std::to_string(b.data - p) + " bytes before " + buffer;
  if (p >= b.end()) return std::to_string(p - b.end()) + " bytes past the end of " + buffer;
  return "byte " + std::to_string(p - b.data) + " of " + buffer;
}

}  // namespace

void* device_allocate(std::size_t bytes) try {
  GuardedPages pages(round_up(bytes, kAlign));
  std::memset(pages.begin(), kPoison, pages.size());
  char* const data = pages.end() - round_up(bytes, kAlign);
  sanitize::forbid(pages.begin(), pages.size());
  sanitize::allow(data, bytes);
  if (config().protect && open_accesses == 0) pages.permit(false);
  buffers().emplace(data, Buffer{std::move(pages), data, bytes});
  return data;
} catch (const std::bad_alloc&) {
  return nullptr;
}

void device_release(void* p) {
  if (!p) return;
  const auto at = buffers().find(static_cast<const char*>(p));
  if (at == buffers().end()) {
    std::fprintf(stderr, "cusim: release of an address that is not the beginning of a buffer\n");
    std::abort();
  }
  Buffer& b = at->second;
  if (config().protect && open_accesses == 0) b.pages.permit(true);
  if constexpr (!sanitize::kOn) {
    if (const char* const q = b.damage(b.pages.size())) {  // there is no one to throw to
      std::fprintf(stderr, "cusim: somebody wrote %s\n", say(b, q).c_str());
      std::abort();
    }
  }
  buffers().erase(at);
}

bool in_device(const void* p) {
  auto at = buffers().upper_bound(static_cast<const char*>(p));
  if (at == buffers().begin()) return false;
  return static_cast<const char*>(p) <= (--at)->second.end();
}

std::string describe_device(const void* p) {
  for (const auto& [start, b] : buffers())
    if (b.pages.near(p)) return say(b, static_cast<const char*>(p));
  return {};
}

std::string find_damage() {
  if constexpr (sanitize::kOn) return {};  // it sees the write itself
  for (auto& [start, b] : buffers()) {
    char* const p = b.damage(kEdge);
    if (!p) continue;
    std::memset(b.pages.begin(), kPoison, static_cast<std::size_t>(b.data - b.pages.begin()));
    std::memset(b.end(), kPoison, static_cast<std::size_t>(b.pages.end() - b.end()));
    return "somebody wrote " + say(b, p);
  }
  return {};
}

DeviceAccess::DeviceAccess() {
  if (config().protect && open_accesses++ == 0) permit_all(true);
}

DeviceAccess::~DeviceAccess() {
  if (config().protect && --open_accesses == 0) permit_all(false);
}

}  // namespace cusim
