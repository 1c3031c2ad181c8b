#pragma once
#include "core/backend.hpp"

namespace cusim {

const sentei::Backend& emulated_backend();

}  // namespace cusim
