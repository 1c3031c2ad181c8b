// Device memory: poisoned, between guard pages, with a record of who owns which address.
#pragma once
#include <cstddef>
#include <string>

namespace cusim {

void* device_allocate(std::size_t bytes);  // null: no memory
// Ends the process when somebody wrote beside the buffer and no launch noticed.
void device_release(void* p);

bool in_device(const void* p);  // in a buffer or at its end
// What lies at an address: "4 bytes past the end of a buffer of 12 bytes".
std::string describe_device(const void* p);
// Which buffer has been written beside, as a sentence; empty: none. Mends what it finds.
std::string find_damage();

// Host code may touch device memory while one of these lives; without CUSIM_PROTECT always.
class DeviceAccess {
 public:
  DeviceAccess();
  ~DeviceAccess();
  DeviceAccess(const DeviceAccess&) = delete;
  DeviceAccess& operator=(const DeviceAccess&) = delete;
};

}  // namespace cusim
