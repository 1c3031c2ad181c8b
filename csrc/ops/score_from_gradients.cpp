#include "ops/score_from_gradients.hpp"

#include <string>

#include "kernels/score_from_gradients.hpp"
#include "ops/checks.hpp"

namespace sentei::ops {

void score_from_gradients(const Tensor& stats, const std::vector<Tensor>& rows,
                          const std::vector<bool>& bias) {
  const char* op = "score_from_gradients";
  std::size_t need = 0;
  for (const bool b : bias) need += b ? 4 : 2;
  SENTEI_CHECK(ShapeError, rows.size() == need, op, ": rows must hold ", need, " tensors for ",
               bias.size(), " layers, got ", rows.size());
  check_dtype(op, "stats", stats, DType::f64);
  check_writable(op, "stats", stats);
  const Device device = stats.device();
  std::vector<kernels::ScoreRows> layers;
  std::int64_t width = 0;
  std::size_t at = 0;
  for (const bool with_bias : bias) {
    const Tensor& w = rows[at];
    const std::string first = "rows" + std::to_string(at);
    SENTEI_CHECK(ShapeError, w.shape().rank >= 1, op, ": ", first,
                 " must have shape (K, ...), got ", w.shape());
    const std::int64_t k = w.shape()[0];
    const float* data[4] = {};
    for (std::size_t i = 0; i < (with_bias ? 4u : 2u); ++i) {
      const Tensor& x = rows[at + i];
      const std::string name = "rows" + std::to_string(at + i);
      check_float(op, name.c_str(), x);
      check_shape(op, name.c_str(), x, i < 2 ? w.shape() : Shape{k});
      SENTEI_CHECK(DeviceError, x.bytes() == 0 || x.device() == device, op, ": ", name,
                   " must be on ", device_name(device), " as stats is, got ",
                   device_name(x.device()));
      check_apart(op, "stats", stats, name.c_str(), x);
      data[i] = x.data<float>();
    }
    layers.push_back({k, k ? w.size() / k : 0, data[0], data[1], data[2], data[3]});
    width += k;
    at += with_bias ? 4 : 2;
  }
  check_shape(op, "stats", stats, Shape{2, width});
  kernels::score_from_gradients_kernels(device).accumulate(
      static_cast<std::int64_t>(layers.size()), layers.data(), width, stats.data<double>());
}

}  // namespace sentei::ops
