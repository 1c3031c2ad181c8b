#include "ops/scores.hpp"

#include "kernels/scores.hpp"
#include "ops/checks.hpp"

namespace sentei::ops {
namespace {

kernels::ScoreGeometry geometry(const Shape& x) {
  kernels::ScoreGeometry s{x[0], 1, x.back()};
  for (int i = 1; i < x.rank - 1; ++i) s.pixels *= x[i];
  return s;
}

Shape sample_shape(const Shape& x) {
  Shape s;
  for (int i = 1; i < x.rank; ++i) s[s.rank++] = x[i];
  return s;
}

void check_maps(const char* op, const Tensor& x) {
  check_float(op, "x", x);
  SENTEI_CHECK(ShapeError, x.shape().rank >= 2, op,
               ": x must have shape (N, H, W, C) or (N, C), got ", x.shape());
}

void check_double(const char* op, const char* name, const Tensor& t, const Shape& shape) {
  check_dtype(op, name, t, DType::f64);
  check_shape(op, name, t, shape);
}

double* scratch(const char* op, const Tensor& workspace, std::int64_t bytes) {
  return reinterpret_cast<double*>(check_workspace(op, workspace, static_cast<std::size_t>(bytes)));
}

}  // namespace

std::int64_t score_workspace(const Shape& x, std::int64_t rows, Device device) {
  return kernels::score_kernels(device).workspace(geometry(x), rows);
}

void score_accumulate(const Tensor& x, const Tensor* g, const Tensor& stats, const Tensor* sum_x,
                      const Tensor* sum_g, const Tensor& workspace) {
  const char* op = "score_accumulate";
  const Device device = device_of(op, {{"x", &x},
                                       {"g", g},
                                       {"stats", &stats},
                                       {"sum_x", sum_x},
                                       {"sum_g", sum_g},
                                       {"workspace", &workspace}});
  check_maps(op, x);
  const Shape sample = sample_shape(x.shape());
  check_double(op, "stats", stats, Shape{6, sample.back()});
  check_apart(op, "stats", stats, "x", x);
  if (g) {
    check_float(op, "g", *g);
    check_shape(op, "g", *g, x.shape());
    check_apart(op, "stats", stats, "g", *g);
  }
  SENTEI_CHECK(ValueError, !sum_x == !sum_g, op, ": sum_x and sum_g must be given together");
  SENTEI_CHECK(ValueError, !sum_g || g, op, ": g must be given with sum_g");
  if (sum_x) {
    check_double(op, "sum_x", *sum_x, sample);
    check_double(op, "sum_g", *sum_g, sample);
    check_apart(op, "sum_x", *sum_x, "sum_g", *sum_g);
    check_apart(op, "sum_x", *sum_x, "stats", stats);
    check_apart(op, "sum_g", *sum_g, "stats", stats);
    check_apart(op, "sum_x", *sum_x, "x", x);
    check_apart(op, "sum_x", *sum_x, "g", *g);
    check_apart(op, "sum_g", *sum_g, "x", x);
    check_apart(op, "sum_g", *sum_g, "g", *g);
  }
  double* work = scratch(op, workspace, score_workspace(x.shape(), g ? 2 : 1, device));
  kernels::score_kernels(device).accumulate(
      geometry(x.shape()), x.data<float>(), g ? g->data<float>() : nullptr, stats.data<double>(),
      sum_x ? sum_x->data<double>() : nullptr, sum_g ? sum_g->data<double>() : nullptr, work);
}

void trace_accumulate(const Tensor& x, const Tensor& mean_g, const Tensor& stats,
                      const Tensor& workspace) {
  const char* op = "trace_accumulate";
  const Device device =
      device_of(op, {{"x", &x}, {"mean_g", &mean_g}, {"stats", &stats}, {"workspace", &workspace}});
  check_maps(op, x);
  const Shape sample = sample_shape(x.shape());
  check_double(op, "mean_g", mean_g, sample);
  check_double(op, "stats", stats, Shape{2, sample.back()});
  check_apart(op, "stats", stats, "x", x);
  check_apart(op, "stats", stats, "mean_g", mean_g);
  double* work = scratch(op, workspace, score_workspace(x.shape(), 1, device));
  kernels::score_kernels(device).trace(geometry(x.shape()), x.data<float>(), mean_g.data<double>(),
                                       stats.data<double>(), work);
}

}  // namespace sentei::ops
