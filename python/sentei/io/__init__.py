"""Read and write models: one safetensors file, no pickle."""

from sentei.io.model_file import FORMAT, load, load_checkpoint, save

__all__ = ["FORMAT", "load", "load_checkpoint", "save"]
