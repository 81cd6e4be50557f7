"""The target for NVIDIA GPUs: TensorRT through trtexec or its Python package."""
