"""Graph surgery, compilation and trustworthy scoring for segmentation networks such as FastSCNN."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # the import of typing takes longer than this file, and an interrupt meanwhile shows a traceback
if TYPE_CHECKING:
    from typing import Any

    from fastscnn_opt.bisecting.bisect import bisect
    from fastscnn_opt.bisecting.result import Bisection
    from fastscnn_opt.cli.terminal import Bar
    from fastscnn_opt.cluster.executor import on_cluster
    from fastscnn_opt.data.checking import DataCheck, check_data
    from fastscnn_opt.data.dataset import Classes, Dataset, Sample
    from fastscnn_opt.data.source import DataSource, open_dataset
    from fastscnn_opt.deviations.result import TensorDeviation, ValuesDiff
    from fastscnn_opt.deviations.values import diff_values
    from fastscnn_opt.diff import ModelDiff, diff_models
    from fastscnn_opt.errors import (
        Breach,
        CheckFailedError,
        CheckpointError,
        ClusterError,
        ContractBreachError,
        DataError,
        GateError,
        ModelError,
        PassError,
        PatchError,
        PipelineError,
        RegistryError,
        RunError,
        TargetError,
        UserError,
    )
    from fastscnn_opt.linting.rules import Finding, RuleSet
    from fastscnn_opt.measuring.session import Session, TensorSpec, latencies_ms
    from fastscnn_opt.model.loading import load_model
    from fastscnn_opt.model.saving import save_model
    from fastscnn_opt.network.checking import ExportCheck, OutputCheck
    from fastscnn_opt.network.layout import Outputs, Pooling
    from fastscnn_opt.network.model_file import ExportedModel, export_to_file
    from fastscnn_opt.packaging.package import package
    from fastscnn_opt.packaging.writing import PackagedFile
    from fastscnn_opt.processes.death import ChildCrashedError, ChildEndedError, ChildHungError
    from fastscnn_opt.processes.limits import Limits
    from fastscnn_opt.progress import Advance, ProgressBar
    from fastscnn_opt.report.writing import write_report
    from fastscnn_opt.rewriting.applying import apply_to_file, plan_for_file
    from fastscnn_opt.rewriting.contract import Change, Contract, Feeds, Labels, Pass, Runner, Skip, Step, Tensor
    from fastscnn_opt.rewriting.manager import PassManager
    from fastscnn_opt.rewriting.registry import PassInfo, installed_passes
    from fastscnn_opt.rewriting.report import PassReport, Result
    from fastscnn_opt.rewriting.select import Select
    from fastscnn_opt.scoring.bench import BenchRow, BenchTable, bench
    from fastscnn_opt.scoring.effort import Effort
    from fastscnn_opt.scoring.model_name import model_file
    from fastscnn_opt.scoring.one_model import compile_model, evaluate, profile_model
    from fastscnn_opt.scoring.pictures.overlay import Style, draw_overlays
    from fastscnn_opt.scoring.records import AccuracyFigures
    from fastscnn_opt.scoring.run import Run
    from fastscnn_opt.scoring.run_folder import read_run
    from fastscnn_opt.scoring.score import score, score_models
    from fastscnn_opt.scoring.stages.settings import Settings, Stage
    from fastscnn_opt.scoring.tables.comparison import comparison_breaches
    from fastscnn_opt.scoring.tables.gate import check_outcome, outcome_breaches
    from fastscnn_opt.scoring.tables.limits import Gate
    from fastscnn_opt.scoring.tables.row import TableRow
    from fastscnn_opt.scoring.worker.counts import Evaluation
    from fastscnn_opt.searching.search import Budget, SearchResult, search
    from fastscnn_opt.targets.base import Availability, Target
    from fastscnn_opt.targets.onnxruntime.profile import OrtProfile
    from fastscnn_opt.targets.registry import get_target, lint_rules_of, target_names
    from fastscnn_opt.targets.signature import Signature, signature_of
    from fastscnn_opt.targets.spec import TargetSpec

    __version__: str

_HOMES = {
    "AccuracyFigures": "scoring.records",
    "Advance": "progress",
    "Availability": "targets.base",
    "Bar": "cli.terminal",
    "BenchRow": "scoring.bench",
    "BenchTable": "scoring.bench",
    "Bisection": "bisecting.result",
    "Breach": "errors",
    "Budget": "searching.search",
    "Change": "rewriting.contract",
    "CheckFailedError": "errors",
    "CheckpointError": "errors",
    "ClusterError": "errors",
    "ChildCrashedError": "processes.death",
    "ChildEndedError": "processes.death",
    "ChildHungError": "processes.death",
    "Classes": "data.dataset",
    "Contract": "rewriting.contract",
    "ContractBreachError": "errors",
    "DataCheck": "data.checking",
    "DataError": "errors",
    "DataSource": "data.source",
    "Dataset": "data.dataset",
    "Effort": "scoring.effort",
    "Evaluation": "scoring.worker.counts",
    "ExportCheck": "network.checking",
    "ExportedModel": "network.model_file",
    "Feeds": "rewriting.contract",
    "Finding": "linting.rules",
    "Gate": "scoring.tables.limits",
    "GateError": "errors",
    "Labels": "rewriting.contract",
    "Limits": "processes.limits",
    "ModelDiff": "diff",
    "ModelError": "errors",
    "OrtProfile": "targets.onnxruntime.profile",
    "OutputCheck": "network.checking",
    "Outputs": "network.layout",
    "PackagedFile": "packaging.writing",
    "Pass": "rewriting.contract",
    "PassError": "errors",
    "PassInfo": "rewriting.registry",
    "PassManager": "rewriting.manager",
    "PassReport": "rewriting.report",
    "PatchError": "errors",
    "PipelineError": "errors",
    "Pooling": "network.layout",
    "ProgressBar": "progress",
    "RegistryError": "errors",
    "Result": "rewriting.report",
    "RuleSet": "linting.rules",
    "Run": "scoring.run",
    "RunError": "errors",
    "Runner": "rewriting.contract",
    "Sample": "data.dataset",
    "SearchResult": "searching.search",
    "Select": "rewriting.select",
    "Session": "measuring.session",
    "Settings": "scoring.stages.settings",
    "Signature": "targets.signature",
    "Skip": "rewriting.contract",
    "Stage": "scoring.stages.settings",
    "Step": "rewriting.contract",
    "Style": "scoring.pictures.overlay",
    "TableRow": "scoring.tables.row",
    "Target": "targets.base",
    "TargetError": "errors",
    "TargetSpec": "targets.spec",
    "Tensor": "rewriting.contract",
    "TensorDeviation": "deviations.result",
    "TensorSpec": "measuring.session",
    "UserError": "errors",
    "ValuesDiff": "deviations.result",
    "apply_to_file": "rewriting.applying",
    "bench": "scoring.bench",
    "bisect": "bisecting.bisect",
    "check_data": "data.checking",
    "check_outcome": "scoring.tables.gate",
    "comparison_breaches": "scoring.tables.comparison",
    "compile_model": "scoring.one_model",
    "diff_models": "diff",
    "diff_values": "deviations.values",
    "draw_overlays": "scoring.pictures.overlay",
    "evaluate": "scoring.one_model",
    "export_to_file": "network.model_file",
    "get_target": "targets.registry",
    "installed_passes": "rewriting.registry",
    "latencies_ms": "measuring.session",
    "lint_rules_of": "targets.registry",
    "load_model": "model.loading",
    "model_file": "scoring.model_name",
    "on_cluster": "cluster.executor",
    "open_dataset": "data.source",
    "outcome_breaches": "scoring.tables.gate",
    "package": "packaging.package",
    "plan_for_file": "rewriting.applying",
    "profile_model": "scoring.one_model",
    "read_run": "scoring.run_folder",
    "save_model": "model.saving",
    "score": "scoring.score",
    "score_models": "scoring.score",
    "search": "searching.search",
    "signature_of": "targets.signature",
    "target_names": "targets.registry",
    "write_report": "report.writing",
}

__all__ = [
    "AccuracyFigures",
    "Advance",
    "Availability",
    "Bar",
    "BenchRow",
    "BenchTable",
    "Bisection",
    "Breach",
    "Budget",
    "Change",
    "CheckFailedError",
    "CheckpointError",
    "ChildCrashedError",
    "ChildEndedError",
    "ChildHungError",
    "Classes",
    "ClusterError",
    "Contract",
    "ContractBreachError",
    "DataCheck",
    "DataError",
    "DataSource",
    "Dataset",
    "Effort",
    "Evaluation",
    "ExportCheck",
    "ExportedModel",
    "Feeds",
    "Finding",
    "Gate",
    "GateError",
    "Labels",
    "Limits",
    "ModelDiff",
    "ModelError",
    "OrtProfile",
    "OutputCheck",
    "Outputs",
    "PackagedFile",
    "Pass",
    "PassError",
    "PassInfo",
    "PassManager",
    "PassReport",
    "PatchError",
    "PipelineError",
    "Pooling",
    "ProgressBar",
    "RegistryError",
    "Result",
    "RuleSet",
    "Run",
    "RunError",
    "Runner",
    "Sample",
    "SearchResult",
    "Select",
    "Session",
    "Settings",
    "Signature",
    "Skip",
    "Stage",
    "Step",
    "Style",
    "TableRow",
    "Target",
    "TargetError",
    "TargetSpec",
    "Tensor",
    "TensorDeviation",
    "TensorSpec",
    "UserError",
    "ValuesDiff",
    "__version__",
    "apply_to_file",
    "bench",
    "bisect",
    "check_data",
    "check_outcome",
    "comparison_breaches",
    "compile_model",
    "diff_models",
    "diff_values",
    "draw_overlays",
    "evaluate",
    "export_to_file",
    "get_target",
    "installed_passes",
    "latencies_ms",
    "lint_rules_of",
    "load_model",
    "model_file",
    "on_cluster",
    "open_dataset",
    "outcome_breaches",
    "package",
    "plan_for_file",
    "profile_model",
    "read_run",
    "save_model",
    "score",
    "score_models",
    "search",
    "signature_of",
    "target_names",
    "write_report",
]


os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# onnxruntime reads this once, when it is imported, and without it writes what it ran to the user's cache. It is set
# here because every module of this package runs this file first, and child processes inherit it.


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that importing the package costs nothing."""
    if name == "__version__":
        from importlib.metadata import version

        return version("fastscnn-opt")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Return the public names, so that notebooks and editors complete them."""
    return __all__
