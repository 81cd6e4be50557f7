"""Find the pass of a pipeline that costs too much accuracy, starting from a model file or a variants file."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fastscnn_opt.bisecting.bisector import find_first_failing
from fastscnn_opt.bisecting.graphs import Workspace
from fastscnn_opt.bisecting.inputs import from_pipeline, from_variant
from fastscnn_opt.bisecting.losses import AccuracyLoss, Deviation
from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import RunError
from fastscnn_opt.model.sampling.given import read_inputs
from fastscnn_opt.processes.limits import DEFAULT_LIMITS, Limits
from fastscnn_opt.scoring.model_name import model_file
from fastscnn_opt.targets.spec import TargetSpec

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from fastscnn_opt.bisecting.inputs import BisectInput
    from fastscnn_opt.bisecting.losses import LossMetric
    from fastscnn_opt.bisecting.result import Bisection
    from fastscnn_opt.scoring.stages.executor import Executor


def bisect(  # noqa: PLR0913  # each argument is an option of the verb, or takes notes
    model: str | os.PathLike[str],
    passes: str | None = None,
    *,
    variant: str | None = None,
    max_drop: float | None = None,
    max_diff: float | None = None,
    nodes: bool = False,
    data: str | os.PathLike[str] | DataSource | None = None,
    limit: int | None = None,
    inputs: str | os.PathLike[str] | None = None,
    target: str | TargetSpec = "onnxruntime",
    limits: Limits = DEFAULT_LIMITS,
    note: Callable[[str], None] = lambda _: None,
    executor: Executor | None = None,
) -> Bisection:
    """Find the first pass of a pipeline after which a model has lost too much.

    The model before all passes and the model after some of them are run on the same images. A binary search takes at
    most log2(n) + 2 evaluations for n passes. A graph that does not run is over every limit. Contracts are not checked.

    Parameters
    ----------
    model
        The ONNX file that the passes start from, or ``RUN:NAME``; or a variants file, of which `variant` is taken.
    passes
        A pipeline text, or ``@FILE``.
    variant
        The variant of the variants file, in place of `passes`.
    max_drop
        Points of mIoU that may be lost; by default those of the variants file.
    max_diff
        Instead: how far an output may deviate, in its own unit.
    nodes
        Also find the smallest set of the pass's changes that causes the loss.
    data
        The root of a Cityscapes tree, a TOML file that describes a dataset, or a `DataSource`; by default the images of
        the variants file. With `max_diff` the graphs may run on made-up inputs instead.
    limit
        The first images of the variants file only.
    inputs
        With `max_diff`: an ``.npz`` file with arrays by the names of inputs, in place of images.
    target
        What runs the graphs, with `max_drop`: a name, or a `TargetSpec` with options.
    note
        Gets lines about the progress.
    executor
        Where the graphs run, with `max_drop`: by default on this machine; `on_cluster` gives another place.

    Raises
    ------
    RunError
        The arguments do not say what to search, or how much may be lost; or the variants file cannot be used.
    PipelineError, PassError
        The pipeline does not parse, or a pass cannot do its work.
    ModelError, DataError
        The model or the images cannot be used.
    TargetError
        There is no such target here, or it cannot run the model.
    """
    if (passes is None) == (variant is None):
        raise RunError("give either passes with a model, or variant with a variants file")
    if max_drop is not None and max_diff is not None:
        raise RunError("give either max_drop or max_diff")
    source = None if data is None else DataSource.at(data)
    with tempfile.TemporaryDirectory(prefix="fastscnn-opt-") as name:
        folder = Path(name)
        if passes is not None:
            searched = from_pipeline(model_file(model), passes, source)
        else:
            searched = from_variant(Path(model), str(variant), folder, source=source, limit=limit, limits=limits)
        graph = searched.load()
        metric: LossMetric
        if max_diff is None:
            allowed, metric = _accuracy(searched, max_drop, TargetSpec.of(target), limits, executor)
        else:
            allowed = max_diff
            metric = Deviation(searched.source, {} if inputs is None else read_inputs(Path(inputs), graph))
        found = find_first_failing(Workspace(folder), graph, searched.passes, metric, allowed, nodes=nodes, report=note)
        return replace(found, images=searched.source.describe() if searched.source else None)


def _accuracy(
    searched: BisectInput, max_drop: float | None, target: TargetSpec, limits: Limits, executor: Executor | None
) -> tuple[float, AccuracyLoss]:
    """Return how many points of mIoU may be lost, and what measures them."""
    allowed = searched.max_drop if max_drop is None else max_drop
    if allowed is None:
        raise RunError("nothing says how much may be lost", cure="give --max-drop or --max-diff")
    if searched.source is None:
        raise RunError("--max-drop needs images", cure="give --data ROOT or --synthetic N")
    return allowed, AccuracyLoss(searched.source, searched.complete(target), limits=limits, executor=executor)
