#pragma once

namespace sentei::cuda {

const void* find_table(const char* name);  // null when there is none

}  // namespace sentei::cuda
