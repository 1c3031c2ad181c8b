# What was built, for `sentei doctor`.
set(sentei_cuda_flag 0)
if(sentei_cuda_built)
  set(sentei_cuda_flag 1)
  set(SENTEI_CUDA_ARCHS "${CMAKE_CUDA_ARCHITECTURES}")  # which may have been set beside it
endif()
file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/generated/build_info.hpp CONTENT [[
#pragma once
#define SENTEI_VERSION "@PROJECT_VERSION@"
#define SENTEI_COMPILER "@CMAKE_CXX_COMPILER_ID@ @CMAKE_CXX_COMPILER_VERSION@"
#define SENTEI_BUILD_TYPE "@CMAKE_BUILD_TYPE@"
#define SENTEI_SANITIZE_NAME "@SENTEI_SANITIZE@"
#define SENTEI_CUDA_BUILT @sentei_cuda_flag@
#define SENTEI_CUDA_ARCHS "@SENTEI_CUDA_ARCHS@"
#define SENTEI_CUDA_REASON "@sentei_cuda_reason@"
]])
