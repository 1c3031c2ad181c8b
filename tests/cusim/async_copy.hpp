// cp.async of one thread: copies that land at once, at the wait for their group, or either.
#pragma once
#include <cstddef>
#include <vector>

namespace cusim {

class AsyncCopies {
 public:
  // size of 4, 8 or 16 bytes to shared memory: `bytes` from `from`, zeros for the rest.
  void add(void* to, const void* from, int size, int bytes);
  void commit();
  void wait(std::size_t left);  // until at most `left` committed groups are under way
  void clear() {                // what nobody waited for never lands
    if (open_ + groups_.size() == 0) return;
    copies_.clear();
    groups_.clear();
    open_ = 0;
  }

 private:
  struct Copy {
    void* to;
    const void* from;
    int size, bytes;
    void land() const;
  };
  std::vector<Copy> copies_;         // under way, oldest first
  std::vector<std::size_t> groups_;  // how many of them are in each committed group
  std::size_t open_ = 0;             // and in none yet
};

}  // namespace cusim
