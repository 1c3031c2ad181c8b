// Small kernels that test the emulator itself: y = f(x), by name.
#pragma once
#include <cstdint>
#include <string>

namespace cusim {

struct Probe {
  const char* name;
  void (*run)(const float* x, std::int64_t n, float* y, std::int64_t m);  // device pointers
};
// Copies x to the device, runs the probe and copies y back. ValueError on unknown names.
void run_probe(const std::string& name, const float* x, std::int64_t n, float* y, std::int64_t m);

const Probe* find_right_probe(const std::string& name);  // probes.cu: what NumPy can check
const Probe* find_wrong_probe(const std::string& name);  // wrong.cu: each has one mistake

}  // namespace cusim
