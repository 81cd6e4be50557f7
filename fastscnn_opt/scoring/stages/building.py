"""Builds the model of a variant at the batch size of a row, and summarises what each pass did."""

from __future__ import annotations

import inspect
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from fastscnn_opt.errors import ModelError, RunError
from fastscnn_opt.files import MOST_TEXT_BYTES, read_bytes, sha256_of, write_atomically
from fastscnn_opt.machine import versions
from fastscnn_opt.model.interface import graph_inputs
from fastscnn_opt.model.loading import load_model
from fastscnn_opt.model.metadata import add_metadata
from fastscnn_opt.model.saving import fingerprint, save_model
from fastscnn_opt.rewriting.manager import PassManager
from fastscnn_opt.rewriting.registry import text_of
from fastscnn_opt.rewriting.verification.instrument import Verification
from fastscnn_opt.schema import parse_json
from fastscnn_opt.scoring.records import BuiltModel, StepSummary, adapter, as_json, key_of

if TYPE_CHECKING:
    import onnx

    from fastscnn_opt.model.metadata import Metadata
    from fastscnn_opt.rewriting.contract import Pass
    from fastscnn_opt.rewriting.report import PassReport

_VERIFIERS = ("fastscnn-opt", "onnx", "onnxruntime", "numpy")
"""Packages that a finding of the verification depends on, beside the graphs."""

_log = logging.getLogger(__name__)

_MOST_NODES = 100
"""Changed nodes, and skipped nodes, that the record of a step names at most; a pass may report thousands."""


def build_model(
    model: Path,
    passes: str,
    output: Path,
    *,
    batch: int | None,
    verify: bool,
    findings: Path | None = None,
    stated: Metadata | None = None,
) -> BuiltModel:
    """Run the pipeline `passes` on the file `model` and save the result as `output`.

    The model first gets what the description of the data has `stated` about it; passes read it there. Where `batch` is
    given and is not the model's own, the pass ``static-batch`` runs before the others. The folder `findings` holds
    the results of verifications, by the graphs before and after the pass, so that variants that begin alike verify
    their common passes once.

    If `output` is a folder, the first 16 digits of the model's hash name the file in it. A model whose weights are in a
    file of their own knows its name, so that neither could be renamed later.

    Raises
    ------
    ModelError
        The file is no usable model, or the pipeline itself makes another batch size.
    PipelineError, PassError, CheckFailedError
        As `PassManager.run` does.
    """
    graph = load_model(model)
    if stated is not None:
        add_metadata(graph, stated)
    remembered = [_RememberedVerification(findings)] if verify and findings is not None else []
    manager = PassManager(pipeline_for(graph, passes, batch), verify=verify and not remembered, instruments=remembered)
    result = manager.run(graph)
    graph = result.model
    if batch is not None and batch_of(graph) != batch:
        raise ModelError(
            f"the pipeline {passes!r} makes a batch of {batch_of(graph)}, but the row is for {batch}",
            cure="leave static-batch out of it and list the batch sizes as `batch`",
        )
    digest = fingerprint(graph)
    file = output / f"{digest[:16]}.onnx" if output.is_dir() else output
    if not (file.exists() and file.samefile(model)):  # a pipeline that changes nothing, on a model of a run folder
        save_model(graph, file)
    return BuiltModel(file, digest, tuple(map(_summary, result.steps)))


def pipeline_for(model: onnx.ModelProto, passes: str, batch: int | None) -> str:
    """Return the pipeline `passes`, behind ``static-batch`` where `batch` is given and is not the model's own."""
    first = f"static-batch{{n={batch}}}" if batch is not None and batch_of(model) != batch else ""
    return ",".join(part for part in (first, passes.strip()) if part)


def batch_of(model: onnx.ModelProto) -> int | None:
    """Return the leading dimension of the input of images, or None where the model leaves it open."""
    shapes = [value.type.tensor_type.shape.dim for value in graph_inputs(model)]
    dims = next((dims for dims in shapes if len(dims) == 4), shapes[0] if shapes else [])
    return int(dims[0].dim_value) if dims and dims[0].HasField("dim_value") else None


class _RememberedVerification(Verification):
    """Verifies each pass, unless the folder `findings` has the result for the same pass and graphs.

    The pass itself always runs: while somebody is writing it, its code changes without a new version for a key.
    """

    def __init__(self, findings: Path) -> None:
        super().__init__(reproducers=findings / "breaches")
        self._findings = findings

    def after(
        self, item: Pass, index: int, report: PassReport, before: onnx.ModelProto, after: onnx.ModelProto
    ) -> None:
        """Enter the stored result into the report, or else verify the pass and store the result."""
        promise = (str(item.promise()), item.tolerance)
        code = _code_of(item)
        key = key_of(fingerprint(before), fingerprint(after), text_of(item), promise, code, versions(_VERIFIERS))
        file = self._findings / f"step-{key[:16]}.json"
        if (known := _known_step(file)) is not None and known.text == text_of(item):
            report.seconds, report.verified, report.max_abs_diff = known.seconds, known.verified, known.max_abs_diff
            return
        super().after(item, index, report, before, after)
        step = as_json(_summary(report))
        write_atomically(file, json.dumps(step, indent=2, ensure_ascii=False).encode() + b"\n")


def _known_step(file: Path) -> StepSummary | None:
    """Return a stored result; None if there is none, or if it is damaged, which is logged."""
    try:
        known: StepSummary = parse_json(read_bytes(file, MOST_TEXT_BYTES), file, adapter(StepSummary))
    except FileNotFoundError:
        return None
    except RunError as error:
        _log.warning("%s; the pass is verified again", error)
        return None
    return known


def _code_of(item: Pass) -> str:
    """Return a hash of the file that defines a pass, and so the outputs that its verification expects."""
    file = inspect.getsourcefile(type(item))
    return sha256_of(Path(file)) if file else ""


def _summary(report: PassReport) -> StepSummary:
    """Count what a pass changed and skipped, and name the first of each; ``apply`` shows all of them."""
    known = report.to_json()
    changes, skips = known["changes"], known["skips"]
    nodes = {"changes": changes[:_MOST_NODES], "skips": skips[:_MOST_NODES]}
    step = {**known, "changes": len(changes), "skips": len(skips), "nodes": nodes}
    summary: StepSummary = adapter(StepSummary).validate_python(step)
    return summary
