"""Scores a variants file into a run folder: build, compile and accuracy row by row, then speed side by side."""

from __future__ import annotations

import logging
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import RunError
from fastscnn_opt.machine import machine, versions
from fastscnn_opt.model.loading import check_is_file
from fastscnn_opt.progress import ProgressBar, no_progress_bar
from fastscnn_opt.scoring.description import DataDescription, ModelDescription, RunDescription, VariantsText
from fastscnn_opt.scoring.model_name import model_file
from fastscnn_opt.scoring.records import RowPlan, now
from fastscnn_opt.scoring.run_folder import open_run, read_run, refuse_search
from fastscnn_opt.scoring.stages.compiling import SourceModel, identify_rows, identify_source
from fastscnn_opt.scoring.stages.executor import THIS_MACHINE, Executor
from fastscnn_opt.scoring.stages.scorer import RowScorer
from fastscnn_opt.scoring.stages.settings import Settings, Stage
from fastscnn_opt.scoring.variants import Variants, VariantsFile, read_variants
from fastscnn_opt.targets.spec import TargetSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastscnn_opt.scoring.run import Run

_log = logging.getLogger(__name__)

_DEFAULTS = Settings()


def score(
    variants: str | os.PathLike[str] | Variants,
    folder: str | os.PathLike[str],
    settings: Settings = _DEFAULTS,
    note: Callable[[str], None] = _log.info,
    progress: ProgressBar = no_progress_bar,
    *,
    data: str | os.PathLike[str] | DataSource | None = None,
    executor: Executor | None = None,
) -> Run:
    """Score all rows of a variants file into a run folder, and return what the folder then holds.

    Rows that the folder holds already are skipped. A row that fails, crashes, hangs or whose target is unavailable is
    recorded as such, and the others go on; rows that failed before are tried again. `check_outcome` says whether the
    result is good enough.

    Parameters
    ----------
    variants
        A variants file.
    folder
        The run folder; an existing one is continued.
    settings
        How to score; they take precedence over the variants file.
    note, progress
        Get lines about the progress; show how much of the work is done.
    data
        Images that take the place of those of the variants file: the root of a Cityscapes tree, a TOML file that
        describes a dataset, or a `DataSource`.
    executor
        Where rows are compiled, evaluated and timed: by default on this machine; `on_cluster` gives another place.

    Raises
    ------
    RunError
        The variants file or the folder cannot be used, or the folder holds a run of `search`.
    PipelineError, PatchError, TargetError
        The variants file names an unknown pass, option, patch or target.
    ModelError, CheckpointError, DataError
        The model or the data of the variants file cannot be read.
    """
    folder = Path(folder)
    if not isinstance(variants, Variants):
        images = None if data is None else DataSource.at(data)
        variants = read_variants(Path(variants), source=images, needs_model=settings.stage is not Stage.RUN)
    if variants.tables.cluster.address and executor is None:
        cure = "score it through on_cluster, or leave the address out to score it on this machine"
        raise RunError("names a cluster", where=f"{variants.file}: [cluster]", cure=cure)
    refuse_search(folder)
    if settings.stage is Stage.RUN:
        source, rows = _recorded_source(folder), _recorded_rows(folder, variants)
    else:
        limits = settings.limits(variants)
        source, rows = identify_source(variants, limits), identify_rows(variants.rows, limits)
    variants = replace(variants, rows=rows)
    if source.table is None and source.file.is_file():
        variants = replace(variants, source=variants.source.for_model_file(source.file))
    data = _recorded_data(folder) if settings.stage is Stage.COMPILE else variants.source.fingerprint()
    with open_run(folder, describe_run(variants, source, data)) as run:
        RowScorer(run, variants, settings, source, note, progress, executor or THIS_MACHINE).score_all()
    return run


def score_models(  # noqa: PLR0913 - one parameter for each option of the command
    old: str | os.PathLike[str],
    new: str | os.PathLike[str],
    data: str | os.PathLike[str] | DataSource,
    target: str | TargetSpec = "onnxruntime",
    settings: Settings = _DEFAULTS,
    *,
    max_drop: float | None = None,
    note: Callable[[str], None] = _log.info,
    progress: ProgressBar = no_progress_bar,
) -> Run:
    """Score two models on the same images, time them in one session, and return their run, whose folder is gone.

    `outcome_breaches` judges the run.

    Parameters
    ----------
    old, new
        ONNX files or ``RUN:NAME``, which their rows are called. `old` is the baseline.
    data
        The root of a Cityscapes tree, a TOML file that describes a dataset, or a `DataSource`.
    target
        What runs the models: a name, or a `TargetSpec` with options.
    settings
        How to score.
    max_drop
        Points of mIoU that `new` may lose.
    note, progress
        Get lines about the progress; show how much of the work is done.

    Raises
    ------
    RunError
        Both models are called the same.
    UserError
        What `score` and `model_file` raise.
    """
    source, target = DataSource.at(data), TargetSpec.of(target)
    names, files = [os.fspath(old), os.fspath(new)], [model_file(old).absolute(), model_file(new).absolute()]
    if names[0] == names[1]:
        raise RunError("this model is given twice", where=old, cure="give two different ones")
    for file in files:
        check_is_file(file)
    tables = VariantsFile.model_validate({
        "model": {"path": str(files[0])},
        "score": {"targets": [target.name], "max_drop": max_drop},
        "target": {target.name: dict(target.options)} if target.options else {},
        "variant": [{"name": names[0]}, {"name": names[1], "path": str(files[1])}],
    })  # fmt: skip
    paths = ("", str(files[1]))
    rows = tuple(RowPlan(name, "", (), target.name, 1, path=path) for name, path in zip(names, paths, strict=True))
    with tempfile.TemporaryDirectory(prefix="fastscnn-opt-") as folder:
        variants = Variants(Path("compare.toml").absolute(), "", tables, source, rows)
        run = score(variants, Path(folder) / "run", settings, note, progress)
    run.records[:] = [replace(row, model=None, artefact=None, reproduce="") for row in run.records]
    return run


def _recorded_source(folder: Path) -> SourceModel:
    """Return the model that a run folder was compiled from; its file need not be on this machine."""
    model = read_run(folder).description.model
    return SourceModel(Path(model.file), model.key)


def _recorded_rows(folder: Path, variants: Variants) -> tuple[RowPlan, ...]:
    """Return the rows of `variants` with the keys of their own models that a run folder was compiled from."""
    keys = {row.identity: row.path_key for row in read_run(folder).plan if row.path}
    return tuple(replace(row, path_key=keys.get(row.identity, "") if row.path else "") for row in variants.rows)


def _recorded_data(folder: Path) -> str:
    """Return the key of the data that a run folder was scored on before; the empty text if it was not."""
    return read_run(folder).description.data.key if (folder / "run.json").is_file() else ""


def describe_run(variants: Variants, source: SourceModel, data: str) -> RunDescription:
    """Return the content of ``run.json`` for a run that starts now; `data` is the key of the images."""
    return RunDescription(
        started=now(),
        machine=machine(),
        versions=versions(),
        variants_file=VariantsText.of(variants.file, variants.text),
        model=ModelDescription(str(source.file), source.key),
        data=DataDescription(words=variants.source.describe(), key=data, source=_absolute(variants.source)),
        baseline=variants.baseline,
        baseline_target=variants.tables.score.baseline_target,
        max_drop=variants.tables.score.max_drop,
        rows=tuple(variants.rows),
    )


def _absolute(source: DataSource) -> DataSource:
    """Return `source` with a root that can be found again from another folder."""
    return source if source.root is None else replace(source, root=str(Path(source.root).absolute()))
