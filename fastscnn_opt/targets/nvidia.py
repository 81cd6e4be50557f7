"""The NVIDIA GPUs of this machine, as their driver names them."""

from __future__ import annotations

from fastscnn_opt.processes.tool import probe


def gpu(number: int) -> str:
    """Return the name of a GPU and the version of its driver, on which every figure depends; or ``unknown``."""
    gpus = probe("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader") or ""
    lines = gpus.strip().splitlines()
    return lines[number] if number < len(lines) else "unknown"
