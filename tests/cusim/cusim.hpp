// cusim.h - run CUDA C++ kernels on a CPU, one fiber per CUDA thread, one block at a time per OS thread.
// Prototype. g++ >= 12, x86-64 (assembly switch) or anything with ucontext (-DCUSIM_UCONTEXT).
// Build a kernel file:  g++ -std=c++17 -O2 -x c++ -include cusim.h kernels.cu
#pragma once
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>
#include <signal.h>
#include <sys/mman.h>
#include "core/check.hpp"
#include <unistd.h>
#if defined(CUSIM_UCONTEXT)
#include <ucontext.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define CUSIM_ASAN 1
#else
#define CUSIM_ASAN 0
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#define CUSIM_TSAN 1
extern "C" { void AnnotateIgnoreReadsBegin(const char*, int); void AnnotateIgnoreReadsEnd(const char*, int); void AnnotateIgnoreWritesBegin(const char*, int); void AnnotateIgnoreWritesEnd(const char*, int); }
namespace cusim { struct Quiet {  // the scheduler's own data is not part of the program under test
  Quiet() { AnnotateIgnoreReadsBegin("", 0); AnnotateIgnoreWritesBegin("", 0); }
  ~Quiet() { AnnotateIgnoreWritesEnd("", 0); AnnotateIgnoreReadsEnd("", 0); } }; }
#define CUSIM_QUIET cusim::Quiet quiet_
#define CUSIM_PLAIN __attribute__((no_sanitize("thread"), noinline))
#else
#define CUSIM_TSAN 0
#define CUSIM_QUIET
#define CUSIM_PLAIN
#endif

// ---------------------------------------------------------------- CUDA vocabulary
#define __CUSIM__ 1
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __constant__ static
#define __grid_constant__
#define __align__(n) alignas(n)
#define __shared__ static thread_local  // plain form works, but only CU_SHARED is poisoned and bounds-checked
struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x, y, z; constexpr dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {} };
#define CUSIM_V2(T, N) struct alignas(2 * sizeof(T)) N##2 { T x, y; }; inline N##2 make_##N##2(T a, T b) { return {a, b}; }
#define CUSIM_V4(T, N) struct alignas(sizeof(T) == 8 ? 16 : 4 * sizeof(T)) N##4 { T x, y, z, w; }; inline N##4 make_##N##4(T a, T b, T c, T d) { return {a, b, c, d}; }
CUSIM_V2(float, float) CUSIM_V4(float, float) CUSIM_V2(int, int) CUSIM_V4(int, int)
CUSIM_V2(unsigned, uint) CUSIM_V4(unsigned, uint) CUSIM_V2(double, double) CUSIM_V4(unsigned char, uchar)
using std::max; using std::min;

namespace cusim {
constexpr int WARP = 32;
enum State : uint8_t { READY, AT_BLOCK, AT_WARP, AT_NAMED, AT_MBAR, DONE };
enum Order { FORWARD, REVERSE, RANDOM };
enum Async { EAGER, LAZY, MIXED };
struct Config {
  int order = RANDOM, async = LAZY, threads = 1, strict_exit = 1, protect = 0;
  uint64_t seed = 1; size_t stack = 64 << 10, smem_limit = 232448;
  Config() {
    auto e = [](const char* n, long d) { const char* v = getenv(n); return v ? strtol(v, nullptr, 0) : d; };
    order = e("CUSIM_ORDER", order); async = e("CUSIM_ASYNC", async); threads = e("CUSIM_THREADS", threads);
    seed = e("CUSIM_SEED", seed); strict_exit = e("CUSIM_STRICT_EXIT", strict_exit); protect = e("CUSIM_PROTECT", protect);
    stack = e("CUSIM_STACK", (CUSIM_ASAN || CUSIM_TSAN) ? 256 << 10 : stack);
    if (CUSIM_TSAN) threads = 1;
  }
};
inline Config& cfg() { static Config c; return c; }
inline std::atomic<int> n_sites{0};
struct Site { int id; Site() : id(n_sites++) {} };

// ---------------------------------------------------------------- fibers
struct Copy { void* dst; const void* src; int n, zfill; };
struct Fiber {
  void* sp = nullptr; char* lo = nullptr; size_t size = 0;
  uint3 tid{}; int lin = 0, line = 0; unsigned mask = 0; void* on = nullptr; State st = DONE; bool fenced = false;
  void *fake = nullptr, *tsan = nullptr;
  std::vector<Copy> pend; std::vector<int> groups;  // cp.async: copies not landed yet, sizes of committed groups
#if defined(CUSIM_UCONTEXT)
  ucontext_t uc;
#endif
};
struct alignas(16) Group { unsigned mask = 0, arrived = 0; int line = 0, gen = 0; const void* in[WARP]; void* out[WARP]; char hb[2]; };
struct Warp { Group g[WARP]; };
struct Shm { char* p; size_t n; };
struct MBar { void* at; int count, pending; long tx; unsigned phase; char hb; };  // phase: parity of the phase now open
struct Bulk { void* dst; const void* src; unsigned n; void* bar; };
struct Named { int want = 0, arrived = 0, gen = 0; char hb[2]; };
struct Block {
  dim3 gdim, bdim; uint3 bid{}; int n = 0, done = 0, arrived = 0, gen = 0, bar_line = 0; bool bad_line = false;
  std::vector<Fiber> f; std::vector<Warp> w; std::vector<int> ready; bool depth = true; std::vector<void*> old; std::vector<MBar> mbars; std::vector<Bulk> bulk; Named named[16];
  Fiber main_f, *cur = nullptr; char hb[2], hb_end;
  char* arena = nullptr; size_t arena_cap = 0, used = 0, dyn = 0; std::vector<Shm> shm;
  void (*entry)(void*) = nullptr; void* arg = nullptr; std::string err; uint64_t rng = 1, switches = 0; char* stacks = nullptr; size_t nstk = 0;
  uint64_t rnd() { rng ^= rng << 13; rng ^= rng >> 7; rng ^= rng << 17; return rng; }
};
inline thread_local Block* B __attribute__((tls_model("initial-exec"))) = nullptr;
inline std::atomic<uint64_t> total_switches{0};

#if !defined(CUSIM_UCONTEXT)
extern "C" void cusim_switch(void** save, void* load);
#define CUSIM_ASM asm(".text\n.weak cusim_switch\n.type cusim_switch,@function\ncusim_switch:\n" \
  "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n" \
  "movq %rsp,(%rdi)\nmovq %rsi,%rsp\n" \
  "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n.size cusim_switch,.-cusim_switch\n");
CUSIM_ASM
#endif
CUSIM_PLAIN inline void go(Fiber* from, Fiber* to) {
  B->cur = to; B->switches++;
#if CUSIM_ASAN
  __sanitizer_start_switch_fiber(from->st == DONE && from != &B->main_f ? nullptr : &from->fake, to->lo, to->size);
#endif
#if CUSIM_TSAN
  __tsan_switch_to_fiber(to->tsan, __tsan_switch_to_fiber_no_sync);
#endif
#if defined(CUSIM_UCONTEXT)
  swapcontext(&from->uc, &to->uc);
#else
  cusim_switch(&from->sp, to->sp);
#endif
#if CUSIM_ASAN
  __sanitizer_finish_switch_fiber(from->fake, nullptr, nullptr);
#endif
}
inline std::string where(Fiber* f) {
  char s[120]; snprintf(s, sizeof s, "block (%u,%u,%u) thread (%u,%u,%u)", B->bid.x, B->bid.y, B->bid.z, f->tid.x, f->tid.y, f->tid.z); return s;
}
[[noreturn]] inline void fail(const std::string& m) {  // stop the block: the host side of launch() throws
  B->err = m + " at " + where(B->cur); Fiber* c = B->cur; c->st = DONE; go(c, &B->main_f); __builtin_unreachable();
}
inline void land(Fiber* f, size_t k);
// Runnable fibers are a stack. depth = true: woken lanes go on top, so one warp runs as far ahead as barriers allow;
// depth = false: woken lanes are mixed in at random. RANDOM flips a coin at every barrier; both extremes find different bugs.
inline Fiber* pick() { CUSIM_QUIET; auto& r = B->ready; if (r.empty()) return &B->main_f; Fiber* t = &B->f[r.back()]; r.pop_back(); return t; }
inline void next(Fiber* c) { Fiber* t = pick(); if (t != c) go(c, t); }
inline void wake(int i) {
  B->f[i].st = READY; B->ready.push_back(i);
  if (!B->depth) std::swap(B->ready.back(), B->ready[B->rnd() % B->ready.size()]);
}
inline void fill_ready() {
  auto& r = B->ready; r.clear(); int o = cfg().order; B->depth = o != RANDOM || (B->rnd() & 1);
  for (int i = B->n - 1; i >= 0; i--) if (B->f[i].st == READY) r.push_back(i);
  if (o == REVERSE) std::reverse(r.begin(), r.end());
  if (o != RANDOM) return;
  for (size_t i = r.size(); i > 1; i--) std::swap(r[i - 1], r[B->rnd() % i]);
  if (B->depth) { unsigned k = B->rnd(); std::stable_sort(r.begin(), r.end(), [k](int a, int b) { return ((a / WARP + 1) * 2654435761u ^ k) * 0x9e3779b1u < ((b / WARP + 1) * 2654435761u ^ k) * 0x9e3779b1u; }); }
}
inline void release_block() {  // every live thread has arrived
  if (B->bad_line) fail("divergent __syncthreads: threads of one block wait at different lines");
  if (cfg().strict_exit && B->done) fail("__syncthreads at line " + std::to_string(B->bar_line) + " after " + std::to_string(B->done) + " threads of the block exited");
  for (int i = 0; i < B->n; i++) if (B->f[i].st == AT_BLOCK) B->f[i].st = READY;
  B->arrived = 0; B->gen++; fill_ready();
}
inline void trampoline() {
  Fiber* c; void (*entry)(void*); void* arg; { CUSIM_QUIET; c = B->cur; entry = B->entry; arg = B->arg; }
#if CUSIM_ASAN
  __sanitizer_finish_switch_fiber(nullptr, B->main_f.lo ? nullptr : (const void**)&B->main_f.lo, B->main_f.lo ? nullptr : &B->main_f.size);
#endif
  entry(arg);
  bool left; { CUSIM_QUIET; left = !c->pend.empty(); } if (left) land(c, 0);
#if CUSIM_TSAN
  __tsan_release(&B->hb_end);
#endif
  { CUSIM_QUIET; c->st = DONE; B->done++; if (B->arrived && B->arrived + B->done == B->n && B->err.empty()) release_block(); }
  next(c); abort();
}
inline void prepare(Fiber* f) {
#if CUSIM_ASAN
  ASAN_UNPOISON_MEMORY_REGION(f->lo, f->size);
#endif
#if defined(CUSIM_UCONTEXT)
  getcontext(&f->uc); f->uc.uc_stack.ss_sp = f->lo; f->uc.uc_stack.ss_size = f->size; f->uc.uc_link = nullptr; makecontext(&f->uc, trampoline, 0);
#else
  void** s = (void**)(((uintptr_t)f->lo + f->size) & ~uintptr_t(15)); *--s = nullptr; *--s = (void*)trampoline;
  for (int i = 0; i < 6; i++) *--s = nullptr;
  f->sp = s;
#endif
}

// ---------------------------------------------------------------- collectives
inline void sync_block(int line) {
  CUSIM_QUIET; Fiber* c = B->cur; int g = B->gen & 1; (void)g;
#if CUSIM_TSAN
  __tsan_release(&B->hb[g]);
#endif
  if (B->arrived == 0) { B->bar_line = line; B->bad_line = false; } else if (line != B->bar_line) B->bad_line = true;
  c->line = line; c->st = AT_BLOCK; B->arrived++;
  if (B->arrived + B->done == B->n) { release_block(); }
  next(c);
#if CUSIM_TSAN
  __tsan_acquire(&B->hb[g]);
#endif
}
// All lanes in mask meet here; the last one to arrive runs fn(group) for everybody. mem: also orders memory (only __syncwarp promises that).
template <class F> inline void meet(unsigned mask, const void* in, void* out, int line, bool mem, F fn) {
  CUSIM_QUIET; Fiber* c = B->cur; int lane = c->lin % WARP; Warp& w = B->w[c->lin / WARP];
  int live = std::min(WARP, B->n - c->lin / WARP * WARP); if (live < WARP) mask &= (1u << live) - 1;
  if (!(mask >> lane & 1)) fail("warp collective at line " + std::to_string(line) + ": calling lane is not in its mask");
  Group* q = nullptr; for (Group& s : w.g) if (s.arrived && s.mask == mask) { q = &s; break; } else if (!s.arrived && !q) q = &s;
  Group& g = *q; int gen = g.gen & 1; (void)gen; (void)mem;
  if (!g.arrived) { g.mask = mask; g.line = line; }
  else if (g.line != line) fail("divergent warp: lanes meet in different collectives (lines " + std::to_string(g.line) + " and " + std::to_string(line) + ")");
#if CUSIM_TSAN
  if (mem) __tsan_release(&g.hb[gen]);
#endif
  g.in[lane] = in; g.out[lane] = out; g.arrived |= 1u << lane;
  if (g.arrived == mask) {
    fn(g); g.arrived = 0; g.gen++;
    for (unsigned m = mask & ~(1u << lane); m; m &= m - 1) wake(c->lin - lane + __builtin_ctz(m));
    if (!B->depth && (B->rnd() & 1)) { wake(c->lin); next(c); }
  } else { c->st = AT_WARP; c->mask = mask; c->line = line; next(c); }
#if CUSIM_TSAN
  if (mem) __tsan_acquire(&g.hb[gen]);
#endif
}
inline void sync_warp(unsigned mask, int line) { meet(mask, nullptr, nullptr, line, true, [](Group&) {}); }
template <class T, class S> inline T shuffle(unsigned mask, T v, int width, int line, S src_of) {
  T r = v;
  meet(mask, &v, &r, line, false, [&](Group& g) {  // src_of is the last lane's, but carries only warp-uniform data
    T tmp[WARP];
    for (unsigned m = g.mask; m; m &= m - 1) {
      int l = __builtin_ctz(m), base = l & ~(width - 1), s = src_of(l, base, *(T*)g.in[l]);
      if (s < base || s >= base + width) s = l;
      if (g.mask >> s & 1) tmp[l] = *(const T*)g.in[s]; else memset(&tmp[l], 0xff, sizeof(T));  // undefined on the GPU
    }
    for (unsigned m = g.mask; m; m &= m - 1) { int l = __builtin_ctz(m); *(T*)g.out[l] = tmp[l]; }
  });
  return r;
}
inline unsigned vote(unsigned mask, bool p, int line) {
  int v = p; unsigned r = 0;
  meet(mask, &v, &r, line, false, [](Group& g) {
    unsigned b = 0; for (unsigned m = g.mask; m; m &= m - 1) { int l = __builtin_ctz(m); b |= unsigned(*(const int*)g.in[l]) << l; }
    for (unsigned m = g.mask; m; m &= m - 1) *(unsigned*)g.out[__builtin_ctz(m)] = b;
  });
  return r;
}
// bar.sync id, n: a barrier for some of the warps of a block
inline void sync_named(int id, int n, int line) {
  CUSIM_QUIET; Named& b = B->named[id]; Fiber* c = B->cur; int g = b.gen & 1; (void)g;
  if (id < 1 || id > 15 || n % WARP) fail("bar.sync: id must be 1..15 and the count a multiple of 32");
  if (b.arrived && b.want != n) fail("bar.sync: threads disagree on the count");
#if CUSIM_TSAN
  __tsan_release(&b.hb[g]);
#endif
  b.want = n; c->line = line;
  if (++b.arrived == n) { b.arrived = 0; b.gen++; for (auto& f : B->f) if (f.st == AT_NAMED && f.on == &b) wake(f.lin); if (!B->depth) { wake(c->lin); next(c); } }
  else { c->st = AT_NAMED; c->on = &b; next(c); }
#if CUSIM_TSAN
  __tsan_acquire(&b.hb[g]);
#endif
}
// ---------------------------------------------------------------- mbarrier and one-dimensional bulk copies (the copy engine is one more asynchronous agent)
inline MBar& mbar(void* p) { for (auto& m : B->mbars) if (m.at == p) return m; fail("mbarrier used before mbarrier.init"); }
inline void mbar_init(void* p, int count) { CUSIM_QUIET; for (auto& m : B->mbars) if (m.at == p) { m = {p, count, count, 0, 0, 0}; return; } B->mbars.reserve(256); B->mbars.push_back({p, count, count, 0, 0, 0}); }
inline void mbar_turn(MBar& m) {  // phase complete when every arrival and every expected byte is in
  if (m.pending || m.tx) return;
  m.phase ^= 1; m.pending = m.count;
  for (auto& f : B->f) if (f.st == AT_MBAR && f.on == m.at && f.mask != m.phase) wake(f.lin);
}
inline void mbar_arrive(void* p, unsigned expect) {
  CUSIM_QUIET; MBar& m = mbar(p); if (!m.pending) fail("mbarrier: more arrivals than its count");
#if CUSIM_TSAN
  __tsan_release(&m.hb);
#endif
  m.tx += expect; m.pending--; mbar_turn(m);
}
inline void mbar_wait(void* p, unsigned parity, int line) {
  CUSIM_QUIET; MBar& m = mbar(p); Fiber* c = B->cur;
  while (m.phase == parity) { c->st = AT_MBAR; c->on = p; c->mask = parity; c->line = line; next(c); }
#if CUSIM_TSAN
  __tsan_acquire(&m.hb);
#endif
}
inline void bulk_land(size_t i) {
  Bulk k = B->bulk[i]; B->bulk.erase(B->bulk.begin() + i); MBar& m = mbar(k.bar);
#if CUSIM_TSAN
  __tsan_acquire(&m.hb);
#endif
  memcpy(k.dst, k.src, k.n);
#if CUSIM_TSAN
  __tsan_release(&m.hb);
#endif
  m.tx -= k.n; mbar_turn(m);
}
inline void bulk_copy(void* d, const void* s, unsigned n, void* bar) {
  if ((uintptr_t)d % 16 || (uintptr_t)s % 16 || n % 16) fail("cp.async.bulk: address or size not a multiple of 16");
#if CUSIM_TSAN
  __tsan_release(&mbar(bar).hb);
#endif
  B->bulk.push_back({d, s, n, bar}); if (cfg().async == EAGER || (cfg().async == MIXED && (B->rnd() & 1))) bulk_land(B->bulk.size() - 1);
}
// ---------------------------------------------------------------- shared memory
inline void* shared_at(const Site& s, size_t n, size_t al) {
  CUSIM_QUIET;
  if ((size_t)s.id >= B->shm.size()) B->shm.resize(s.id + 64, {nullptr, 0});
  Shm& m = B->shm[s.id];
  if (!m.p) {
    size_t o = (B->used + 15) / 16 * 16; B->used = o + (n + 15) / 16 * 16 + (CUSIM_ASAN ? 64 : 0); (void)al;
    if (B->used > B->arena_cap) fail("shared memory arena exhausted");
    m = {B->arena + o, n};
#if CUSIM_ASAN
    ASAN_UNPOISON_MEMORY_REGION(m.p, n);
#endif
  }
  return m.p;
}
// ---------------------------------------------------------------- device memory: guard page behind every allocation, 0xff poison
struct Alloc { char *map, *p; size_t map_n, n; };
inline std::vector<Alloc>& allocs() { static std::vector<Alloc> a; return a; }
inline std::mutex& amu() { static std::mutex m; return m; }
inline void* dev_alloc(size_t n) {
  size_t pg = 4096, body = (n + 63) / 64 * 64, m = (body + pg - 1) / pg * pg;
  char* r = (char*)mmap(nullptr, m + 2 * pg, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (r == MAP_FAILED) return nullptr;
  mprotect(r, pg, PROT_NONE); mprotect(r + pg + m, pg, PROT_NONE);
#if CUSIM_ASAN
  ASAN_UNPOISON_MEMORY_REGION(r, m + 2 * pg);
#endif
  char* p = r + pg + m - body; memset(r + pg, 0xff, m);
#if CUSIM_ASAN
  ASAN_POISON_MEMORY_REGION(r + pg, m); ASAN_UNPOISON_MEMORY_REGION(p, n);
#endif
  std::lock_guard<std::mutex> l(amu()); allocs().push_back({r, p, m + 2 * pg, n}); return p;
}
inline int dev_free(void* p) {  // 0 ok, 1 not a device pointer, 2 somebody wrote into the slack around the buffer
  if (!p) return 0;
  std::lock_guard<std::mutex> l(amu());
  for (size_t i = 0; i < allocs().size(); i++) if (allocs()[i].p == p) {
    Alloc a = allocs()[i]; int bad = 0;
#if CUSIM_ASAN
    ASAN_UNPOISON_MEMORY_REGION(a.map + 4096, a.map_n - 8192);
#endif
    for (char* q = a.map + 4096; q < a.p; q++) bad |= (unsigned char)*q != 0xff;
    for (char* q = a.p + a.n; q < a.map + a.map_n - 4096; q++) bad |= (unsigned char)*q != 0xff;
    munmap(a.map, a.map_n); allocs().erase(allocs().begin() + i); return bad ? 2 : 0;
  }
  return 1;
}
inline void dev_access(bool on) {  // optional: device memory is out of reach for host code between launches
  if (!cfg().protect) return;
  for (auto& a : allocs()) mprotect(a.map + 4096, a.map_n - 8192, on ? PROT_READ | PROT_WRITE : PROT_NONE);
}
template <class T> inline void check_arg(const T& v) {
  static_assert(std::is_trivially_copyable<T>::value, "kernel parameters must be trivially copyable");
  if constexpr (std::is_pointer<T>::value) {
    if (!v) return;
    std::lock_guard<std::mutex> l(amu());
    for (auto& a : allocs()) if ((char*)v >= a.p && (char*)v <= a.p + a.n) return;
    throw sentei::DeviceError("cusim: host pointer passed to a kernel");
  }
}
inline void on_segv(int sig, siginfo_t* si, void*) {
  char s[200]; int n = snprintf(s, sizeof s, "cusim: signal %d: bad access to %p%s%s\n", sig, si->si_addr, B && B->cur ? " by " : " on the host", B && B->cur ? where(B->cur).c_str() : "");
  if (write(2, s, n)) {} signal(sig, SIG_DFL); raise(sig);
}
inline void install_handler() {
#if !CUSIM_ASAN && !CUSIM_TSAN
  static bool once = [] { stack_t ss{}; ss.ss_sp = malloc(65536); ss.ss_size = 65536; sigaltstack(&ss, nullptr);
    struct sigaction sa{}; sa.sa_sigaction = on_segv; sa.sa_flags = SA_SIGINFO | SA_ONSTACK; sigaction(SIGSEGV, &sa, nullptr); sigaction(SIGBUS, &sa, nullptr); return true; }();
  (void)once;
#endif
}
// ---------------------------------------------------------------- captures: launches put by instead of run
using Recording = std::vector<std::function<void()>>;
inline Recording*& recording() { static Recording* r = nullptr; return r; }
// ---------------------------------------------------------------- running a grid
inline std::mutex& mu_pool() { static std::mutex m; return m; }
inline void map_stacks(Block& b, int n) {
  size_t st = cfg().stack, per = st + 4096;
  if (CUSIM_TSAN && b.stacks) { munmap(b.stacks, b.nstk * per); b.stacks = nullptr; b.nstk = 0; }  // new shadow for new threads
  if (b.nstk >= (size_t)n) return;
#if CUSIM_ASAN
  if (b.stacks) ASAN_UNPOISON_MEMORY_REGION(b.stacks, b.nstk * per);
#endif
  if (b.stacks) munmap(b.stacks, b.nstk * per);
  b.stacks = (char*)mmap(nullptr, n * per, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0); b.nstk = n;
  if (b.stacks == (char*)MAP_FAILED) throw std::bad_alloc();
  for (int i = 0; i < n; i++) mprotect(b.stacks + i * per, 4096, PROT_NONE);
}
inline void run_block(Block& b, uint64_t idx) {
  CUSIM_QUIET;
  b.bid = {unsigned(idx % b.gdim.x), unsigned(idx / b.gdim.x % b.gdim.y), unsigned(idx / b.gdim.x / b.gdim.y)};
  b.done = b.arrived = b.gen = 0; b.mbars.clear(); b.bulk.clear(); for (auto& n : b.named) n.arrived = 0; b.cur = &b.main_f; b.rng = ((cfg().seed * 0x9e3779b97f4a7c15ull) ^ ((idx + 1) * 0xd1b54a32d192ed03ull)) | 1;
  if (CUSIM_TSAN && b.arena) { munmap(b.arena, b.arena_cap); b.arena = nullptr; }
  if (!b.arena) { b.arena_cap = cfg().smem_limit + (64 << 10); b.arena = (char*)mmap(nullptr, b.arena_cap, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }
#if CUSIM_ASAN
  ASAN_UNPOISON_MEMORY_REGION(b.arena, b.arena_cap);
#endif
  memset(b.arena, 0xff, std::max(b.used, b.dyn) + 16); b.used = b.dyn; b.shm.assign(b.shm.size(), {nullptr, 0});
#if CUSIM_ASAN
  ASAN_POISON_MEMORY_REGION(b.arena + b.dyn, b.arena_cap - b.dyn);
#endif
  map_stacks(b, b.n);
  size_t per = cfg().stack + 4096;
  for (int i = 0; i < b.n; i++) {
    Fiber& f = b.f[i]; f.lo = b.stacks + i * per + 4096; f.size = cfg().stack; f.lin = i; f.st = READY; f.fenced = false; f.pend.clear(); f.groups.clear();
    f.tid = {i % b.bdim.x, i / b.bdim.x % b.bdim.y, i / b.bdim.x / b.bdim.y}; prepare(&f);
#if CUSIM_TSAN
    f.tsan = __tsan_create_fiber(0);
#endif
  }
  for (auto& w : b.w) for (auto& g : w.g) g.arrived = 0;
  fill_ready();
  while (b.done < b.n && b.err.empty()) {
    if (b.ready.empty() && !b.bulk.empty()) { bulk_land(b.rnd() % b.bulk.size()); continue; }  // nothing else can run: a copy lands, in any order
    if (b.ready.empty()) {
      int nb = 0, nw = 0, lb = 0, lw = 0, nm = 0, lm = 0; for (auto& f : b.f) { if (f.st == AT_BLOCK) { nb++; lb = f.line; } if (f.st == AT_WARP) { nw++; lw = f.line; } if (f.st == AT_MBAR || f.st == AT_NAMED) { nm++; lm = f.line; } }
      char s[240]; snprintf(s, sizeof s, "deadlock in block (%u,%u,%u): %d threads at __syncthreads (line %d), %d in a warp collective (line %d), %d at an mbarrier or named barrier (line %d), %d exited", b.bid.x, b.bid.y, b.bid.z, nb, lb, nw, lw, nm, lm, b.done);
      b.err = s; break;
    }
    Fiber* t = &b.f[b.ready.back()]; b.ready.pop_back(); b.main_f.st = READY; go(&b.main_f, t);
  }
#if CUSIM_TSAN
  for (auto& f : b.f) b.old.push_back(f.tsan);  // kept to the end of the launch: a reused TSan slot would hide races between blocks
  if (b.old.size() > 6000 && b.err.empty()) { for (void* t : b.old) __tsan_destroy_fiber(t); b.old.clear(); }  // TSan's limit is 8128 at a time
#endif
}
inline void run_grid(dim3 g, dim3 d, size_t smem, const char* name, void (*entry)(void*), void* arg) {
  uint64_t nb = (uint64_t)g.x * g.y * g.z; int n = d.x * d.y * d.z; auto bad = [&](const char* m) { throw sentei::DeviceError(std::string("cusim: ") + name + ": " + m); };
  if (!nb || n < 1 || n > 1024 || d.z > 64 || g.x > 0x7fffffffu || g.y > 65535 || g.z > 65535) bad("invalid launch configuration");
  if (smem > cfg().smem_limit) bad("too much shared memory");
  install_handler(); dev_access(true);
  std::vector<uint64_t> ord(nb); for (uint64_t i = 0; i < nb; i++) ord[i] = cfg().order == REVERSE ? nb - 1 - i : i;
  uint64_t r = cfg().seed | 1; if (cfg().order == RANDOM) for (uint64_t i = nb; i > 1; i--) { r = r * 6364136223846793005ull + 1442695040888963407ull; std::swap(ord[i - 1], ord[(r >> 33) % i]); }
  std::atomic<uint64_t> at{0}; std::string err; std::mutex mu; std::atomic<bool> stop{false};
  auto work = [&] {
    static std::vector<Block*> pool; Block* keep = nullptr;  // stacks and arenas are kept between launches
    { std::lock_guard<std::mutex> l(mu_pool()); if (!pool.empty()) { keep = pool.back(); pool.pop_back(); } }
    if (!keep) keep = new Block;
    Block& b = *keep; B = &b; b.gdim = g; b.bdim = d; b.n = n; b.dyn = (smem + 15) / 16 * 16; b.entry = entry; b.arg = arg; b.err.clear();
    b.f.resize(n); b.w.resize((n + WARP - 1) / WARP); b.switches = 0;
#if CUSIM_TSAN
    b.main_f.tsan = __tsan_get_current_fiber();
#endif
#if CUSIM_ASAN
    b.main_f.lo = nullptr;
#endif
    for (uint64_t i; !stop && (i = at++) < nb;) { run_block(b, ord[i]); if (!b.err.empty()) { std::lock_guard<std::mutex> l(mu); if (err.empty()) err = b.err; stop = true; } }
#if CUSIM_TSAN
    __tsan_acquire(&b.hb_end); if (err.empty()) for (void* t : b.old) __tsan_destroy_fiber(t);
    b.old.clear();
#endif
    total_switches += b.switches; b.cur = nullptr; B = nullptr;
    { std::lock_guard<std::mutex> l(mu_pool()); pool.push_back(keep); }
  };
  int nt = (int)std::min<uint64_t>(std::max(1, cfg().threads), nb);
  if (nt == 1) work(); else { std::vector<std::thread> t; for (int i = 0; i < nt; i++) t.emplace_back(work); for (auto& x : t) x.join(); }
  dev_access(false);
  if (!err.empty()) throw sentei::DeviceError(std::string("cusim: ") + name + ": " + err);
}
template <class... P> struct Launch {
  void (*k)(P...); dim3 g, d; size_t smem; const char* name;
  template <class... A> void operator()(A&&... a) const {
    std::tuple<P...> args(static_cast<P>(a)...);
    std::apply([](auto&... p) { (check_arg(p), ...); }, args);
    auto run = [l = *this, args]() mutable {
      struct Pack { void (*k)(P...); std::tuple<P...>* a; } pk{l.k, &args};
      run_grid(l.g, l.d, l.smem, l.name, [](void* v) { Pack* p = (Pack*)v; std::apply(p->k, *p->a); }, &pk);
    };
    if (recording()) recording()->push_back(run); else run();
  }
};
template <class... P> inline Launch<P...> launch(const char* name, void (*k)(P...), dim3 g, dim3 d, size_t smem = 0, void* = nullptr) { return {k, g, d, smem, name}; }

// ---------------------------------------------------------------- cp.async: may land at once, at the wait, or anywhere between
inline void copy_now(Copy c) { memcpy(c.dst, c.src, c.n - c.zfill); memset((char*)c.dst + c.n - c.zfill, 0, c.zfill); }
inline Copy pending(Fiber* f, size_t i) { CUSIM_QUIET; return f->pend[i]; }
inline void land(Fiber* f, size_t keep) {
  size_t n = 0, out = 0; { CUSIM_QUIET; while (f->groups.size() - out > keep) n += f->groups[out++]; if (keep == 0) n = f->pend.size(); }
  for (size_t i = 0; i < n; i++) copy_now(pending(f, i));
  CUSIM_QUIET; f->pend.erase(f->pend.begin(), f->pend.begin() + n); f->groups.erase(f->groups.begin(), f->groups.begin() + out);
}
inline void cp_async(void* d, const void* s, int n, int src_n) {
  if ((uintptr_t)d % n || (uintptr_t)s % n) fail("cp.async: misaligned address");
  Copy c{d, s, n, n - src_n}; bool now;
  { CUSIM_QUIET; now = cfg().async == EAGER || (cfg().async == MIXED && (B->rnd() & 1)); if (!now) B->cur->pend.push_back(c); }
  if (now) copy_now(c);
}
inline void cp_commit() { CUSIM_QUIET; Fiber* f = B->cur; int in = 0; for (int k : f->groups) in += k; f->groups.push_back((int)f->pend.size() - in); }
// ---------------------------------------------------------------- tensor cores: the last lane computes for the warp
inline float bits_f(uint32_t u) { float f; memcpy(&f, &u, 4); return f; }
inline uint32_t f_bits(float f) { uint32_t u; memcpy(&u, &f, 4); return u; }
struct Frag { const uint32_t *a, *b; const float* c; };
template <int K, class LA, class LB> inline void mma16n8(Group& g, LA la, LB lb) {
  float A[16][K], Bm[K][8];
  for (int l = 0; l < WARP; l++) { const Frag& q = *(const Frag*)g.in[l]; la(A, q.a, l / 4, l % 4); lb(Bm, q.b, l / 4, l % 4); }
  for (int l = 0; l < WARP; l++) {
    const Frag& q = *(const Frag*)g.in[l]; float r[4];
    for (int i = 0; i < 4; i++) { int row = l / 4 + 8 * (i / 2), col = l % 4 * 2 + i % 2; double s = 0; for (int k = 0; k < K; k++) s += (double)A[row][k] * Bm[k][col]; r[i] = (float)(s + q.c[i]); }
    memcpy(g.out[l], r, sizeof r);  // c may alias d: each lane owns its own c, so writing lane by lane is safe
  }
}
inline void full_warp(const char* what) { if (B->n - B->cur->lin / WARP * WARP < WARP) fail(std::string(what) + " needs a full warp"); }
inline void mma_tf32(float* d, const uint32_t* a, const uint32_t* b, const float* c, int line) {
  full_warp("mma"); for (int i = 0; i < 6; i++) if ((i < 4 ? a[i] : b[i - 4]) & 0x1fff) fail("mma tf32 operand not rounded to tf32 (cvt.rna missing)");
  Frag q{a, b, c};
  meet(~0u, &q, d, line, false, [](Group& g) { mma16n8<8>(g,
    [](float (*A)[8], const uint32_t* a, int gr, int t) { A[gr][t] = bits_f(a[0]); A[gr + 8][t] = bits_f(a[1]); A[gr][t + 4] = bits_f(a[2]); A[gr + 8][t + 4] = bits_f(a[3]); },
    [](float (*Bm)[8], const uint32_t* b, int gr, int t) { Bm[t][gr] = bits_f(b[0]); Bm[t + 4][gr] = bits_f(b[1]); }); });
}
inline void mma_bf16(float* d, const uint32_t* a, const uint32_t* b, const float* c, int line) {
  full_warp("mma"); Frag q{a, b, c};
  auto lo = [](uint32_t v) { return bits_f(v << 16); }; auto hi = [](uint32_t v) { return bits_f(v & 0xffff0000u); };
  meet(~0u, &q, d, line, false, [=](Group& g) { mma16n8<16>(g,
    [=](float (*A)[16], const uint32_t* a, int gr, int t) { for (int i = 0; i < 4; i++) { int r = gr + 8 * (i & 1), k = 2 * t + 8 * (i >> 1); A[r][k] = lo(a[i]); A[r][k + 1] = hi(a[i]); } },
    [=](float (*Bm)[8], const uint32_t* b, int gr, int t) { for (int i = 0; i < 2; i++) { Bm[2 * t + 8 * i][gr] = lo(b[i]); Bm[2 * t + 8 * i + 1][gr] = hi(b[i]); } }); });
}
template <int N> inline void ldmatrix(uint32_t* r, const void* row, bool trans, int line) {  // lane i of each group of 8 gives the address of a 16-byte row
  full_warp("ldmatrix"); if ((uintptr_t)row % 16) fail("ldmatrix: row address not 16-byte aligned");
  char own[16]; memcpy(own, row, 16);  // every lane does its own read, so that a race detector sees it
  meet(~0u, own, r, line, false, [=](Group& g) {
    for (int m = 0; m < N; m++) { uint16_t t[8][8]; for (int i = 0; i < 8; i++) memcpy(t[i], g.in[m * 8 + i], 16);
      for (int l = 0; l < WARP; l++) { int i = l / 4, j = l % 4 * 2; ((uint32_t*)g.out[l])[m] = trans ? t[j][i] | (uint32_t)t[j + 1][i] << 16 : t[i][j] | (uint32_t)t[i][j + 1] << 16; } }
  });
}
inline int order_of() { return CUSIM_TSAN && B->cur->fenced ? __ATOMIC_ACQ_REL : __ATOMIC_RELAXED; }
template <class T, class F> inline T rmw(T* p, F f) {
  T o; __atomic_load(p, &o, __ATOMIC_RELAXED); for (;;) { T n = f(o); if (__atomic_compare_exchange(p, &o, &n, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) return o; }
}
}  // namespace cusim

// ---------------------------------------------------------------- CUDA names
#define threadIdx (cusim::B->cur->tid)
#define blockIdx (cusim::B->bid)
#define blockDim (cusim::B->bdim)
#define gridDim (cusim::B->gdim)
#define warpSize 32
#define __syncthreads() cusim::sync_block(__LINE__)
#define CUSIM_MASK(m, ...) m
#define __syncwarp(...) cusim::sync_warp(cusim_first(__VA_ARGS__), __LINE__)
inline unsigned cusim_first(unsigned m = ~0u) { return m; }
// the lane argument of a shuffle may differ from lane to lane: it travels with the value
template <class T> struct cusim_sv { T v; int a; };
#define CUSIM_SHFL(NAME, EXPR) template <class T> inline T NAME(int line, unsigned mask, T v, int a, int width = 32) { cusim_sv<T> s{v, a}; \
  return cusim::shuffle(mask, s, width, line, [width](int l, int base, const cusim_sv<T>& q) { (void)base; (void)q; int a = q.a; (void)a; return EXPR; }).v; }
CUSIM_SHFL(cusim_shfl, base + (a & (width - 1))) CUSIM_SHFL(cusim_shfl_up, l - a < base ? l : l - a)
CUSIM_SHFL(cusim_shfl_down, l + a) CUSIM_SHFL(cusim_shfl_xor, l ^ a)
#define __shfl_sync(...) cusim_shfl(__LINE__, __VA_ARGS__)
#define __shfl_up_sync(...) cusim_shfl_up(__LINE__, __VA_ARGS__)
#define __shfl_down_sync(...) cusim_shfl_down(__LINE__, __VA_ARGS__)
#define __shfl_xor_sync(...) cusim_shfl_xor(__LINE__, __VA_ARGS__)
#define __ballot_sync(m, p) cusim::vote(m, p, __LINE__)
#define __any_sync(m, p) (cusim::vote(m, p, __LINE__) != 0)
#define __all_sync(m, p) (cusim::vote(m, !(p), __LINE__) == 0)
template <class T> inline T __ldg(const T* p) { return *p; }
template <class T> inline T __ldcs(const T* p) { return *p; }
template <class T> inline void __stcs(T* p, T v) { *p = v; }
template <class T, class U> inline T atomicAdd(T* p, U v) { if constexpr (std::is_integral<T>::value) return __atomic_fetch_add(p, (T)v, cusim::order_of()); else return cusim::rmw(p, [=](T o) { return (T)(o + (T)v); }); }
template <class T, class U> inline T atomicMax(T* p, U v) { return cusim::rmw(p, [=](T o) { return o < (T)v ? (T)v : o; }); }
template <class T, class U> inline T atomicMin(T* p, U v) { return cusim::rmw(p, [=](T o) { return (T)v < o ? (T)v : o; }); }
template <class T, class U> inline T atomicExch(T* p, U v) { return cusim::rmw(p, [=](T) { return (T)v; }); }
template <class T, class U> inline T atomicCAS(T* p, U c, U v) { T e = (T)c, n = (T)v; __atomic_compare_exchange(p, &e, &n, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE); return e; }
inline unsigned atomicInc(unsigned* p, unsigned lim) { return cusim::rmw(p, [=](unsigned o) { return o >= lim ? 0u : o + 1; }); }
inline void __threadfence() { cusim::B->cur->fenced = true; }
inline void __threadfence_block() { cusim::B->cur->fenced = true; }
inline int __popc(unsigned v) { return __builtin_popcount(v); }
inline int __ffs(int v) { return __builtin_ffs(v); }
inline int __clz(int v) { return v ? __builtin_clz(v) : 32; }
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline float __expf(float x) { return std::exp(x); }
inline float __logf(float x) { return std::log(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __uint_as_float(unsigned u) { return cusim::bits_f(u); }
inline unsigned __float_as_uint(float f) { return cusim::f_bits(f); }
