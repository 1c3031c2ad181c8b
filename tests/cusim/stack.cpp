#include "stack.hpp"

#include <cstdint>

#include "sanitize.hpp"

#if defined(__x86_64__)
// void cusim_switch(void** save, void* load): saves what a call must keep, and changes stacks.
extern "C" void cusim_switch(void** save, void* load);
asm(R"(
.text
.type cusim_switch,@function
.hidden cusim_switch
.globl cusim_switch
cusim_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size cusim_switch, .-cusim_switch
)");
#endif

namespace cusim {

namespace {
constexpr std::size_t kStackBytes = std::size_t{sanitize::kOn ? 256 : 64} << 10;
}

void prepare(Stack& s, void (*entry)()) {
  sanitize::allow(s.low, s.size);  // frames that were left for good
#if defined(__x86_64__)
  auto* top = reinterpret_cast<void**>(s.pages.end());
  *--top = nullptr;  // where entry would return to; aligns its frame
  *--top = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  s.pointer = top;
#else
  getcontext(&s.context);
  s.context.uc_stack.ss_sp = s.pages.begin();
  s.context.uc_stack.ss_size = s.pages.size();
  s.context.uc_link = nullptr;
  makecontext(&s.context, entry, 0);
#endif
}

void switch_stacks(Stack& from, Stack& to, bool for_good) {
  sanitize::start_switch(for_good ? nullptr : &from.fake, to.low, to.size);
#if defined(__x86_64__)
  cusim_switch(&from.pointer, to.pointer);
#else
  swapcontext(&from.context, &to.context);
#endif
  sanitize::finish_switch(from.fake, nullptr, nullptr);
}

Stack& StackPool::take() {
  if (free_.empty()) {
    all_.push_back(std::make_unique<Stack>());
    Stack& s = *all_.back();
    s.pages = GuardedPages(kStackBytes);
    s.low = s.pages.begin();
    s.size = s.pages.size();
    free_.push_back(&s);
  }
  Stack& s = *free_.back();
  free_.pop_back();
  return s;
}

void StackPool::reset() {
  free_.clear();
  for (const auto& s : all_) free_.push_back(s.get());
}

bool StackPool::overflowed(const void* p) const {
  for (const auto& s : all_)
    if (s->pages.near(p) && p < s->low) return true;
  return false;
}

}  // namespace cusim
