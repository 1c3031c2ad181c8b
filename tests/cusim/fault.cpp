#include "fault.hpp"

#include <cstdio>
#include <iterator>
#include <sstream>

#include "block.hpp"
#include "device_memory.hpp"
#include "sanitize.hpp"
#include "shared_memory.hpp"

namespace cusim {
namespace {

FaultGuard* active = nullptr;
alignas(16) char signal_stack[64 << 10];  // the thread's own may be what overflowed

}  // namespace

void FaultGuard::handle(int signal, siginfo_t* info, void*) {
  FaultGuard& me = *active;
  if (!current) {  // not a kernel's: let it happen again with the handler of before
    for (std::size_t i = 0; i < std::size(kSignals); ++i)
      if (kSignals[i] == signal) sigaction(signal, &me.before_[i], nullptr);
    return;
  }
  me.signal_ = signal;
  me.address_ = info->si_addr;
  siglongjmp(me.landing, 1);
}

FaultGuard::FaultGuard() {
  active = this;
  if constexpr (sanitize::kOn) {  // it prints a better report and ends the process
    static const bool once = [] {
      sanitize::at_death([] {
        if (current) std::fprintf(stderr, "cusim: the error is in %s\n", whereabouts().c_str());
      });
      return true;
    }();
    (void)once;
    return;
  }
  stack_t own{};
  own.ss_sp = signal_stack;
  own.ss_size = sizeof signal_stack;
  sigaltstack(&own, &stack_before_);
  struct sigaction action{};
  action.sa_sigaction = handle;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  for (std::size_t i = 0; i < std::size(kSignals); ++i)
    sigaction(kSignals[i], &action, &before_[i]);
}

FaultGuard::~FaultGuard() {
  active = nullptr;
  if constexpr (sanitize::kOn) return;
  for (std::size_t i = 0; i < std::size(kSignals); ++i)
    sigaction(kSignals[i], &before_[i], nullptr);
  sigaltstack(&stack_before_, nullptr);
}

std::string FaultGuard::describe() const {
  if (signal_ == SIGFPE) return "division by zero";
  if (signal_ == SIGILL || signal_ == SIGTRAP)
    return "undefined behaviour: a misaligned address, an index outside its array, an integer "
           "overflow or a shift too far (a build with SENTEI_SANITIZE=undefined names the line)";
  std::ostringstream text;
  text << "bad access to ";
  if (block.stacks.overflowed(address_))
    text << "the stack: local variables must fit in it";
  else if (in_shared(address_))
    text << "shared memory outside of every variable";
  else if (const std::string where = describe_device(address_); !where.empty())
    text << where;
  else
    text << "address " << address_;
  return text.str();
}

}  // namespace cusim
