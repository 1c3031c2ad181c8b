#pragma once
#include <cstddef>
#include <string>
#include <vector>

namespace sentei::cuda {

struct DeviceInfo {
  int index;
  std::string name;
  int major, minor;
  std::size_t memory_bytes;
  bool usable;          // our compiled code runs on it
  std::string problem;  // CUDA's own words where it is not
};

struct Devices {
  int driver_version = 0;   // 13000 for 13.0; 0: no driver
  int runtime_version = 0;  // what this module was compiled against
  std::string error;        // CUDA's own words when the devices cannot be listed
  std::vector<DeviceInfo> list;
};

Devices query_devices();  // never throws

}  // namespace sentei::cuda
