"""Graph surgery, compilation and trustworthy scoring for segmentation networks such as FastSCNN."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastscnn_opt.diff import ModelDiff, diff_models
    from fastscnn_opt.errors import UserError
    from fastscnn_opt.model.loading import load_model
    from fastscnn_opt.model.saving import save_model
    from fastscnn_opt.rewriting.contract import Change, Contract, Labels, Pass, Skip
    from fastscnn_opt.rewriting.manager import PassManager
    from fastscnn_opt.rewriting.report import Result
    from fastscnn_opt.rewriting.select import Select

_HOMES = {
    "Change": "rewriting.contract",
    "Contract": "rewriting.contract",
    "Labels": "rewriting.contract",
    "ModelDiff": "diff",
    "Pass": "rewriting.contract",
    "PassManager": "rewriting.manager",
    "Result": "rewriting.report",
    "Select": "rewriting.select",
    "Skip": "rewriting.contract",
    "UserError": "errors",
    "diff_models": "diff",
    "load_model": "model.loading",
    "save_model": "model.saving",
}

__all__ = [
    "Change",
    "Contract",
    "Labels",
    "ModelDiff",
    "Pass",
    "PassManager",
    "Result",
    "Select",
    "Skip",
    "UserError",
    "diff_models",
    "load_model",
    "save_model",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that importing the package costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
