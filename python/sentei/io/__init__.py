"""Read and write models: one safetensors file, no pickle; PyTorch's names and layouts."""

from sentei.io.model_file import FORMAT, load, load_checkpoint, save
from sentei.io.torch_state import load_torch_state_dict, to_torch_state_dict

__all__ = [
    "FORMAT",
    "load",
    "load_checkpoint",
    "load_torch_state_dict",
    "save",
    "to_torch_state_dict",
]
