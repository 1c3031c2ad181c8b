// One function per file of bindings; module.cpp calls them all.
#pragma once
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <vector>

#include "core/precision.hpp"
#include "core/tensor.hpp"

// Devices and precisions are plain words in Python.
namespace pybind11::detail {
template <>
struct type_caster<sentei::Device> {
  PYBIND11_TYPE_CASTER(sentei::Device, const_name("str"));
  bool load(handle source, bool) {
    if (!isinstance<str>(source)) return false;
    value = sentei::device_named(source.cast<std::string>());
    return true;
  }
  static handle cast(sentei::Device d, return_value_policy, handle) {
    return str(sentei::device_name(d)).release();
  }
};
template <>
struct type_caster<sentei::Precision> {
  PYBIND11_TYPE_CASTER(sentei::Precision, const_name("str"));
  bool load(handle source, bool) {
    if (!isinstance<str>(source)) return false;
    value = sentei::precision_named(source.cast<std::string>());
    return true;
  }
  static handle cast(sentei::Precision p, return_value_policy, handle) {
    return str(sentei::precision_name(p)).release();
  }
};
}  // namespace pybind11::detail

namespace sentei::bindings {

namespace py = pybind11;

// Kernels run without the GIL. Pass as the last argument of def().
using nogil = py::call_guard<py::gil_scoped_release>;

Shape shape_from(const std::vector<std::int64_t>& dims);  // ShapeError beyond four axes
std::vector<std::int64_t> dims_of(const Shape& shape);
DType dtype_from(const std::string& name);  // DTypeError on unknown names

void make_ready(Device device);  // installs the CUDA module; DeviceError with the reason why not

void bind_backend(py::module_& m);
void bind_errors(py::module_& m);
void bind_tensor(py::module_& m);
void bind_dlpack(py::module_& m, py::class_<Tensor>& tensor);
void bind_runtime(py::module_& m);
void bind_add(py::module_& m);
void bind_bias(py::module_& m);
void bind_conv2d(py::module_& m);
void bind_batch_norm(py::module_& m);
void bind_batch_norm_fused(py::module_& m);
void bind_channel_scale(py::module_& m);
void bind_concat(py::module_& m);
void bind_pad2d(py::module_& m);
void bind_pool2d(py::module_& m);
void bind_fill(py::module_& m);
void bind_gate(py::module_& m);
void bind_gather_batch(py::module_& m);
void bind_record(py::module_& m);
void bind_linear(py::module_& m);
void bind_linear_lazy(py::module_& m);
void bind_cross_entropy(py::module_& m);
void bind_losses(py::module_& m);
void bind_score_from_gradients(py::module_& m);
void bind_scores(py::module_& m);
void bind_semi_sync(py::module_& m);
void bind_gather_channels(py::module_& m);
void bind_semi_sync_adaptive(py::module_& m);
void bind_semi_sync_lazy(py::module_& m);
void bind_optimizers(py::module_& m);
void bind_vmath(py::module_& m);
void bind_activations(py::module_& m);
void bind_prelu(py::module_& m);
void bind_softmax(py::module_& m);
void bind_dropout(py::module_& m);
void bind_maxout(py::module_& m);
void bind_sparse_penalty(py::module_& m);
void bind_discriminant_penalty(py::module_& m);
void bind_distillation(py::module_& m);

}  // namespace sentei::bindings
