// Signals that a wrong kernel raises (bad address, trap of a compiler's check, division by zero)
// become the error of the launch.
#pragma once
#include <csetjmp>
#include <csignal>
#include <string>

namespace cusim {

// While one lives, a signal raised by a thread of the block jumps to `landing`; others go to
// whoever had them before.
class FaultGuard {
 public:
  FaultGuard();
  ~FaultGuard();
  FaultGuard(const FaultGuard&) = delete;
  FaultGuard& operator=(const FaultGuard&) = delete;
  sigjmp_buf landing;
  std::string describe() const;  // after the jump

 private:
  static constexpr int kSignals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
  static void handle(int signal, siginfo_t* info, void*);
  struct sigaction before_[5];
  stack_t stack_before_;
  int signal_ = 0;
  const void* address_ = nullptr;
};

}  // namespace cusim
