#include "warp.hpp"

#include <algorithm>

namespace cusim {

void check_full_warp(const char* what) {
  if (block.size - current->linear / kWarp * kWarp < kWarp) fail(what, " needs a full warp");
}

Group* arrive(unsigned mask, const void* in, void* out, const Place& here) {
  const int lane = current->linear % kWarp, first = current->linear - lane;
  const int live = std::min(kWarp, block.size - first);
  if (live < kWarp) mask &= (1u << live) - 1;
  if (!(mask >> lane & 1))
    fail("warp collective at ", text_of(here), ": lane ", lane, " is not in its own mask");
  Warp& warp = block.warps[static_cast<std::size_t>(first / kWarp)];
  Group* g = nullptr;
  int seen = 0;
  for (Group& other : warp.groups) {  // the one of this mask, else the first that is free
    if (!other.arrived) {
      if (!g) g = &other;
      if (seen == warp.open) break;
    } else if (other.mask == mask) {
      g = &other;
      break;
    } else {
      ++seen;
    }
  }
  if (!g->arrived) {
    ++warp.open;
    g->mask = mask;
    g->place = here;
  } else if (!same(g->place, here)) {
    fail("divergent warp: lanes meet in different collectives, at ", text_of(g->place), " and ",
         text_of(here));
  }
  g->in[lane] = in;
  g->out[lane] = out;
  g->arrived |= 1u << lane;
  if (g->arrived == mask) return g;
  current->state = State::in_warp;
  current->place = here;
  leave();
  return nullptr;
}

void release(Group& g) {
  const int lane = current->linear % kWarp;
  Thread* const warp = current - lane;
  g.arrived = 0;
  --block.warps[static_cast<std::size_t>(current->linear / kWarp)].open;
  const unsigned others = g.mask & ~(1u << lane);
  if (config().order == Order::forward)  // the one woken last runs first
    for (int l = kWarp - 1; l >= 0; --l) {
      if (others >> l & 1) wake(warp[l]);
    }
  else
    for_lanes(others, [&](int l) { wake(warp[l]); });
  if (!block.ahead && block.random.coin()) {
    wake(*current);
    leave();
  }
}

}  // namespace cusim
