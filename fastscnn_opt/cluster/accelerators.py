"""The resource of Ray that stands for the accelerator of a target."""

from __future__ import annotations

ACCELERATORS = {
    "ascend310": "NPU",
    "ascend310b": "NPU",
    "ascend310p": "NPU",
    "ascend910": "NPU",
    "tensorrt": "GPU",
}
"""Targets that run on an accelerator, and Ray's name for it: https://docs.ray.io/en/latest/ray-core/scheduling/accelerators.html"""
