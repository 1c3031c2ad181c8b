"""Networks by function and by name: those of the methods page (section 9), ResNet-20 and ResNet-56."""

from sentei.nn.models.lenet import lenet5_disc_1, lenet5_disc_2, lenet5_prune, lenet5_sparse
from sentei.nn.models.registry import Network, build, graph, layers, names, network
from sentei.nn.models.resnet import f34, resnet18_like, resnet20, resnet56
from sentei.nn.models.vgg import deep_cnn, vgg13_like, vgg13_stl, vgg16

__all__ = [
    "Network",
    "build",
    "deep_cnn",
    "f34",
    "graph",
    "layers",
    "lenet5_disc_1",
    "lenet5_disc_2",
    "lenet5_prune",
    "lenet5_sparse",
    "names",
    "network",
    "resnet18_like",
    "resnet20",
    "resnet56",
    "vgg13_like",
    "vgg13_stl",
    "vgg16",
]
