// A convolution that also gives the statistics of its result, for the batch norm behind it.
#pragma once
#include "ops/conv2d.hpp"

namespace sentei::ops {

std::size_t conv2d_statistics_workspace(const Conv2dGeometry& g, Precision precision,
                                        Device device);

// y as conv2d_forward; mean and var (K) over its pixels, of which there must be one; var is biased.
void conv2d_statistics_forward(const Tensor& x, const Tensor& w, const Tensor* b, const Tensor& y,
                               const Tensor& mean, const Tensor& var, const Tensor* workspace,
                               const Conv2dAttrs& attrs);

}  // namespace sentei::ops
