#pragma once
#include <utility>
#include <vector>

#include "core/backend.hpp"

namespace cusim {

using Waiting =
    std::pair<std::intptr_t, bool>;  // a stream of others, and whether it waits for ours

// What was asked to be put in order, for tests of DLPack.
std::vector<Waiting>& orders();

const sentei::Backend& emulated_backend();

}  // namespace cusim
