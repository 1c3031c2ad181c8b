#include "ops/sparse_penalty.hpp"

#include "kernels/sparse_penalty.hpp"
#include "ops/elementwise.hpp"

namespace sentei::ops {
namespace {

struct Geometry {
  std::int64_t n, pixels, c;
  bool channel;
  double scale;  // lam / (N D)
};

Geometry geometry(const char* op, const Shape& u, double lam, const std::string& form) {
  SENTEI_CHECK(ShapeError, u.rank >= 2, op, ": u must have 2 to 4 axes (N, ..., C), got shape ", u);
  SENTEI_CHECK(ValueError, form == "neuron" || form == "channel", op,
               ": form must be 'neuron' or 'channel', got '", form, "'");
  check_not_negative(op, "lam", static_cast<float>(lam));
  Geometry g{u[0], 1, u.back(), form == "channel", 0.0};
  for (int i = 1; i < u.rank - 1; ++i) g.pixels *= u[i];
  const auto size = static_cast<double>(u.size());
  g.scale = size > 0 ? lam / size : 0.0;
  return g;
}

}  // namespace

std::size_t sparse_penalty_workspace(const std::vector<std::int64_t>& shape,
                                     const std::string& form, Device device) {
  Shape u;
  SENTEI_CHECK(ShapeError, shape.size() <= Shape::kMaxRank,
               "sparse_penalty_forward: u must have 2 to 4 axes (N, ..., C), got ", shape.size());
  for (const std::int64_t d : shape) u[u.rank++] = d;
  const Geometry g = geometry("sparse_penalty_forward", u, 0.0, form);
  return kernels::sparse_penalty_kernels(device).workspace(g.n, g.pixels, g.c, g.channel);
}

void sparse_penalty_forward(const Tensor& u, const Tensor& value, double lam,
                            const std::string& form, const Tensor& workspace) {
  const char* op = "sparse_penalty_forward";
  const Device device = device_of(op, {{"u", &u}, {"value", &value}, {"workspace", &workspace}});
  check_float(op, "u", u);
  check_float(op, "value", value);
  const Geometry g = geometry(op, u.shape(), lam, form);
  check_shape(op, "value", value, Shape{1});
  check_apart(op, "value", value, "u", u);
  const kernels::SparsePenaltyKernels& table = kernels::sparse_penalty_kernels(device);
  check_workspace(op, workspace, table.workspace(g.n, g.pixels, g.c, g.channel));
  table.forward(g.n, g.pixels, g.c, g.channel, u.data<float>(), value.data<float>(), g.scale,
                workspace.data<double>());
}

void sparse_penalty_backward(const Tensor& u, const Tensor& dvalue, const Tensor& du, double lam,
                             const std::string& form) {
  const char* op = "sparse_penalty_backward";
  const Device device = device_of(op, {{"u", &u}, {"dvalue", &dvalue}, {"du", &du}});
  check_float(op, "u", u);
  check_float(op, "dvalue", dvalue);
  check_float(op, "du", du);
  const Geometry g = geometry(op, u.shape(), lam, form);
  check_shape(op, "dvalue", dvalue, Shape{1});
  check_shape(op, "du", du, u.shape());
  check_same_or_apart(op, "du", du, "u", u);
  check_apart(op, "du", du, "dvalue", dvalue);
  kernels::sparse_penalty_kernels(device).backward(g.n, g.pixels, g.c, g.channel, u.data<float>(),
                                                   dvalue.data<float>(), du.data<float>(), g.scale);
}

}  // namespace sentei::ops
