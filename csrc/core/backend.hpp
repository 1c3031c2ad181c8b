// A device beside the CPU. Its module (sentei._cuda, or the emulator of the tests) installs one
// Backend at run time; nothing here knows CUDA.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace sentei {

enum class Device : std::uint8_t { cpu, cuda };
inline const char* device_name(Device d) { return d == Device::cpu ? "cpu" : "cuda"; }
Device device_named(const std::string& name);  // ValueError on unknown names

// All work is ordered on one stream. Functions throw DeviceError with the device's own words.
struct Backend {
  const char* name;  // "cuda", or "cusim" for the emulator
  void* (*allocate)(std::size_t bytes);
  void (*release)(void* p);                                             // never throws
  void (*upload)(void* device, const void* host, std::size_t bytes);    // host may be reused
  void (*download)(void* host, const void* device, std::size_t bytes);  // waits for the stream
  void (*copy)(void* to, const void* from, std::size_t bytes);          // on the device
  void (*fill)(void* p, int byte, std::size_t bytes);
  void (*synchronize)();
  // Between begin and end launches are recorded instead of run; the result is replayed at will.
  void (*capture_begin)();
  void* (*capture_end)();
  void (*replay)(void* graph);
  void (*forget)(void* graph);  // also ends a capture that failed when graph is null; never throws
  // Makes `stream` (of another library) wait for ours, or ours for it.
  void (*order)(std::intptr_t stream, bool ours_first);
  // A kernel table by its name (kernels/table.hpp), or null.
  const void* (*table)(const char* name);
};

void install_backend(const Backend* b);  // null: none
const Backend* installed_backend();      // may be null
const Backend& backend();                // DeviceError when there is none
const void* backend_table(const char* name);

}  // namespace sentei
