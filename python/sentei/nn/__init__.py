"""Layers and networks: calling a layer on a Symbol appends it to the Symbol's graph."""

from sentei.nn import models
from sentei.nn.activations import (
    ELU,
    Identity,
    LeakyReLU,
    PReLU,
    ReLU,
    Sigmoid,
    Softmax,
    Softplus,
    Step,
    Tanh,
)
from sentei.nn.build import Residual, Sequential, build, graph_of
from sentei.nn.linear import Conv2d, DepthwiseConv2d, Linear, Maxout, MaxoutConv2d
from sentei.nn.norm import BatchNorm, BatchNorm2d, ChannelScale
from sentei.nn.pool import AvgPool2d, GlobalAvgPool2d, MaxPool2d
from sentei.nn.shape import Add, Concat, Dropout, Flatten
from sentei.nn.symbol import Input, Layer, Symbol

__all__ = [
    "ELU",
    "Add",
    "AvgPool2d",
    "BatchNorm",
    "BatchNorm2d",
    "ChannelScale",
    "Concat",
    "Conv2d",
    "DepthwiseConv2d",
    "Dropout",
    "Flatten",
    "GlobalAvgPool2d",
    "Identity",
    "Input",
    "Layer",
    "LeakyReLU",
    "Linear",
    "MaxPool2d",
    "Maxout",
    "MaxoutConv2d",
    "PReLU",
    "ReLU",
    "Residual",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Step",
    "Symbol",
    "Tanh",
    "build",
    "graph_of",
    "models",
]
