// Shared memory: poisoned for every block, and every variable before a page that nobody may touch.
#pragma once
#include "block.hpp"

namespace cusim {

// One declaration in a kernel (of one template instance). Constant-initialised: no guard at run
// time.
struct SharedVariable {
  char* data = nullptr;
  std::uint64_t serial = 0;  // the block that it is poisoned for
};
void open_shared(SharedVariable& v, std::size_t bytes);
inline void* shared_at(SharedVariable& v, std::size_t bytes) {
  if (v.serial != block.serial) open_shared(v, bytes);
  return v.data;
}

bool in_shared(const void* p);
void open_dynamic_shared(std::size_t bytes);  // of the launch that begins
void poison_dynamic_shared();                 // for the block that begins

}  // namespace cusim
