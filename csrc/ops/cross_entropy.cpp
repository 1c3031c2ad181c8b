#include "ops/cross_entropy.hpp"

#include "kernels/cross_entropy.hpp"
#include "ops/checks.hpp"

namespace sentei::ops {
namespace {

void check_cross_entropy(const char* op, Device device, const Tensor& logits, const Tensor& labels,
                         const Tensor& loss, const Tensor& per_sample, const Tensor& dlogits,
                         const Tensor& correct) {
  check_float(op, "logits", logits);
  check_rank(op, "logits", logits, 2);
  const std::int64_t n = logits.shape()[0], k = logits.shape()[1];
  SENTEI_CHECK(ShapeError, k >= 1, op, ": logits must have at least one class, got shape ",
               logits.shape());
  check_dtype(op, "labels", labels, DType::i64);
  check_shape(op, "labels", labels, Shape{n});
  check_float(op, "loss", loss);
  check_shape(op, "loss", loss, Shape{1});
  check_float(op, "per_sample", per_sample);
  check_shape(op, "per_sample", per_sample, Shape{n});
  check_float(op, "dlogits", dlogits);
  check_shape(op, "dlogits", dlogits, logits.shape());
  check_dtype(op, "correct", correct, DType::i64);
  check_shape(op, "correct", correct, Shape{1});
  const struct {
    const char* name;
    const Tensor& tensor;
  } outs[] = {
      {"loss", loss}, {"per_sample", per_sample}, {"dlogits", dlogits}, {"correct", correct}};
  for (const auto& out : outs) {
    check_apart(op, out.name, out.tensor, "logits", logits);
    check_apart(op, out.name, out.tensor, "labels", labels);
    for (const auto& other : outs) {
      if (&other == &out) break;
      check_apart(op, out.name, out.tensor, other.name, other.tensor);
    }
  }
  if (device != Device::cpu) return;  // there the kernel makes the loss NaN
  const std::int64_t* label = labels.data<std::int64_t>();
  for (std::int64_t i = 0; i < n; ++i)
    SENTEI_CHECK(ValueError, label[i] >= 0 && label[i] < k, op, ": labels must lie in [0, ", k,
                 "), got ", label[i], " at index ", i);
}

}  // namespace

void softmax_cross_entropy_forward(const Tensor& logits, const Tensor& labels, const Tensor& loss,
                                   const Tensor& per_sample, const Tensor& dlogits,
                                   const Tensor& correct, bool mean) {
  const Device device = device_of("softmax_cross_entropy_forward", {{"logits", &logits},
                                                                    {"labels", &labels},
                                                                    {"loss", &loss},
                                                                    {"per_sample", &per_sample},
                                                                    {"dlogits", &dlogits},
                                                                    {"correct", &correct}});
  check_cross_entropy("softmax_cross_entropy_forward", device, logits, labels, loss, per_sample,
                      dlogits, correct);
  kernels::cross_entropy_kernels(device).softmax(
      logits.shape()[0], logits.shape()[1], logits.data<float>(), labels.data<std::int64_t>(), mean,
      loss.data<float>(), per_sample.data<float>(), dlogits.data<float>(),
      correct.data<std::int64_t>());
}

void sigmoid_cross_entropy_forward(const Tensor& logits, const Tensor& labels, const Tensor& loss,
                                   const Tensor& per_sample, const Tensor& dlogits,
                                   const Tensor& correct, bool mean) {
  const Device device = device_of("sigmoid_cross_entropy_forward", {{"logits", &logits},
                                                                    {"labels", &labels},
                                                                    {"loss", &loss},
                                                                    {"per_sample", &per_sample},
                                                                    {"dlogits", &dlogits},
                                                                    {"correct", &correct}});
  check_cross_entropy("sigmoid_cross_entropy_forward", device, logits, labels, loss, per_sample,
                      dlogits, correct);
  kernels::cross_entropy_kernels(device).sigmoid(
      logits.shape()[0], logits.shape()[1], logits.data<float>(), labels.data<std::int64_t>(), mean,
      loss.data<float>(), per_sample.data<float>(), dlogits.data<float>(),
      correct.data<std::int64_t>());
}

}  // namespace sentei::ops
