// The stacks that the threads of a block run on, and the switch from one to another: fifteen
// instructions on x86-64, ucontext (two system calls) elsewhere.
#pragma once
#include <cstddef>
#include <memory>
#include <vector>

#include "pages.hpp"

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace cusim {

struct Stack {
  GuardedPages pages;
  const void* low = nullptr;  // of the pages; of the scheduler's own stack as the sanitizer says
  std::size_t size = 0;
  void* fake = nullptr;  // the sanitizer's
#if defined(__x86_64__)
  void* pointer = nullptr;
#else
  ucontext_t context;
#endif
};

void prepare(Stack& s, void (*entry)());  // entry runs at the first switch and never returns
// for_good: nobody switches back to `from` before it is prepared again.
void switch_stacks(Stack& from, Stack& to, bool for_good = false);

class StackPool {
 public:
  Stack& take();
  void give(Stack& s) { free_.push_back(&s); }
  void reset();  // none is in use any more
  bool overflowed(const void* p) const;

 private:
  std::vector<std::unique_ptr<Stack>> all_;
  std::vector<Stack*> free_;
};

}  // namespace cusim
