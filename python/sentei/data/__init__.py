"""Data sets: load, check, split, standardise, augment and cut into mini-batches."""

from sentei.data.augment import RandomCrop, RandomFlip, Resize, Transform
from sentei.data.binary import load_cifar10, load_cifar100, load_stl10
from sentei.data.dataset import Dataset
from sentei.data.fetch import Progress, download
from sentei.data.folder import load_folder
from sentei.data.idx import load_idx
from sentei.data.loader import Batch, Loader
from sentei.data.npz import load_npz
from sentei.data.sampling import ClassLimitedSampler, Sampler
from sentei.data.scaling import resize
from sentei.data.sources import NAMES, load
from sentei.data.standardize import Standardize

__all__ = [
    "NAMES",
    "Batch",
    "ClassLimitedSampler",
    "Dataset",
    "Loader",
    "Progress",
    "RandomCrop",
    "RandomFlip",
    "Resize",
    "Sampler",
    "Standardize",
    "Transform",
    "download",
    "load",
    "load_cifar10",
    "load_cifar100",
    "load_folder",
    "load_idx",
    "load_npz",
    "load_stl10",
    "resize",
]
