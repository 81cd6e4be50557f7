"""Graph surgery, compilation and trustworthy scoring for segmentation networks such as FastSCNN."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # the import of typing takes longer than this file, and an interrupt meanwhile shows a traceback
if TYPE_CHECKING:
    from typing import Any

    from fastscnn_opt.diff import ModelDiff, diff_models
    from fastscnn_opt.errors import (
        CheckFailedError,
        CheckpointError,
        ContractBreachError,
        DataError,
        ModelError,
        PassError,
        PatchError,
        PipelineError,
        RegistryError,
        RunError,
        TargetError,
        UserError,
    )
    from fastscnn_opt.model.loading import load_model
    from fastscnn_opt.model.saving import save_model
    from fastscnn_opt.packaging.package import package
    from fastscnn_opt.packaging.writing import PackagedFile
    from fastscnn_opt.processes.limits import Limits
    from fastscnn_opt.rewriting.contract import Change, Contract, Feeds, Labels, Pass, Runner, Skip, Step, Tensor
    from fastscnn_opt.rewriting.manager import PassManager
    from fastscnn_opt.rewriting.report import Result
    from fastscnn_opt.rewriting.select import Select

_HOMES = {
    "Change": "rewriting.contract",
    "CheckFailedError": "errors",
    "CheckpointError": "errors",
    "Contract": "rewriting.contract",
    "ContractBreachError": "errors",
    "DataError": "errors",
    "Feeds": "rewriting.contract",
    "Labels": "rewriting.contract",
    "Limits": "processes.limits",
    "ModelDiff": "diff",
    "ModelError": "errors",
    "PackagedFile": "packaging.writing",
    "Pass": "rewriting.contract",
    "PassError": "errors",
    "PassManager": "rewriting.manager",
    "PatchError": "errors",
    "PipelineError": "errors",
    "RegistryError": "errors",
    "Result": "rewriting.report",
    "RunError": "errors",
    "Runner": "rewriting.contract",
    "Select": "rewriting.select",
    "Skip": "rewriting.contract",
    "Step": "rewriting.contract",
    "TargetError": "errors",
    "Tensor": "rewriting.contract",
    "UserError": "errors",
    "diff_models": "diff",
    "load_model": "model.loading",
    "package": "packaging.package",
    "save_model": "model.saving",
}

__all__ = [
    "Change",
    "CheckFailedError",
    "CheckpointError",
    "Contract",
    "ContractBreachError",
    "DataError",
    "Feeds",
    "Labels",
    "Limits",
    "ModelDiff",
    "ModelError",
    "PackagedFile",
    "Pass",
    "PassError",
    "PassManager",
    "PatchError",
    "PipelineError",
    "RegistryError",
    "Result",
    "RunError",
    "Runner",
    "Select",
    "Skip",
    "Step",
    "TargetError",
    "Tensor",
    "UserError",
    "diff_models",
    "load_model",
    "package",
    "save_model",
]


os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# onnxruntime reads this once, when it is imported, and without it writes what it ran to the user's cache. It is set
# here because every module of this package runs this file first, and child processes inherit it.


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that importing the package costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
