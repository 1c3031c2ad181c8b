#include "core/backend.hpp"

#include <atomic>

#include "core/check.hpp"

namespace sentei {
namespace {
std::atomic<const Backend*> installed{nullptr};
}

Device device_named(const std::string& name) {
  if (name == "cpu") return Device::cpu;
  if (name == "cuda") return Device::cuda;
  fail<ValueError>("device must be cpu or cuda, got ", name);
}

void install_backend(const Backend* b) { installed = b; }
const Backend* installed_backend() { return installed; }

const Backend& backend() {
  const Backend* const b = installed;
  SENTEI_CHECK(DeviceError, b, "device cuda: sentei.device.require(\"cuda\") must be called first");
  return *b;
}

const void* backend_table(const char* name) {
  const void* const table = backend().table(name);
  SENTEI_CHECK(DeviceError, table, "device ", backend().name,
               ": the operation must have kernels, got none for ", name);
  return table;
}

}  // namespace sentei
