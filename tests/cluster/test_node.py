"""The tasks that run on the nodes."""

import errno
import platform
from pathlib import Path

import pytest

from fastscnn_opt.cluster.node import compile_there
from fastscnn_opt.errors import UserError
from fastscnn_opt.processes.limits import DEFAULT_LIMITS
from fastscnn_opt.scoring.stages.job import CompiledModel
from fastscnn_opt.targets.spec import TargetSpec


def test_a_full_disk_is_an_error_of_the_node(monkeypatch, tmp_path):
    def write(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)  # which tasks remove
    monkeypatch.setattr(Path, "write_bytes", write)
    model = CompiledModel("net", TargetSpec("onnxruntime"), tmp_path, tmp_path)
    with pytest.raises(UserError, match=f"^node {platform.node()}: No space left on device; free some space"):
        compile_there(model, DEFAULT_LIMITS, {"net.onnx": b"weights"}, None)
