#include "ops/distillation.hpp"

#include <cmath>

#include "kernels/distillation.hpp"
#include "ops/checks.hpp"
#include "ops/cross_entropy.hpp"

namespace sentei::ops {

void distillation_forward(const Tensor& logits, const Tensor& labels, const Tensor& teacher,
                          const Tensor& loss, const Tensor& per_sample, const Tensor& dlogits,
                          const Tensor& correct, bool mean, float alpha, float temperature) {
  constexpr const char* op = "distillation_forward";
  const Device device = device_of(op, {{"logits", &logits},
                                       {"labels", &labels},
                                       {"teacher", &teacher},
                                       {"loss", &loss},
                                       {"per_sample", &per_sample},
                                       {"dlogits", &dlogits},
                                       {"correct", &correct}});
  SENTEI_CHECK(ValueError, alpha >= 0 && alpha <= 1, op, ": alpha must lie in [0, 1], got ", alpha);
  SENTEI_CHECK(ValueError, temperature > 0 && std::isfinite(temperature), op,
               ": temperature must be above 0 and finite, got ", temperature);
  check_float(op, "logits", logits);
  check_rank(op, "logits", logits, 2);
  check_float(op, "teacher", teacher);
  check_shape(op, "teacher", teacher, logits.shape());
  check_apart(op, "loss", loss, "teacher", teacher);
  check_apart(op, "per_sample", per_sample, "teacher", teacher);
  check_apart(op, "dlogits", dlogits, "teacher", teacher);
  check_apart(op, "correct", correct, "teacher", teacher);
  // It checks the rest.
  softmax_cross_entropy_forward(logits, labels, loss, per_sample, dlogits, correct, mean);
  kernels::distillation_kernels(device).mix(
      logits.shape()[0], logits.shape()[1], logits.data<float>(), teacher.data<float>(), alpha,
      temperature, mean, loss.data<float>(), per_sample.data<float>(), dlogits.data<float>());
}

}  // namespace sentei::ops
