"""Scores a variants file into a run folder: build, compile and accuracy row by row, then speed side by side."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fastscnn_opt.machine import machine, versions
from fastscnn_opt.progress import ProgressBar, no_progress_bar
from fastscnn_opt.scoring.description import DataDescription, ModelDescription, RunDescription, VariantsText
from fastscnn_opt.scoring.records import now
from fastscnn_opt.scoring.run_folder import open_run, read_run, refuse_search
from fastscnn_opt.scoring.stages.compiling import SourceModel, identify_source
from fastscnn_opt.scoring.stages.scorer import RowScorer
from fastscnn_opt.scoring.stages.settings import Settings, Stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastscnn_opt.data.source import DataSource
    from fastscnn_opt.scoring.run import Run
    from fastscnn_opt.scoring.variants import Variants

_log = logging.getLogger(__name__)


def score(
    variants: Variants,
    folder: Path,
    settings: Settings,
    note: Callable[[str], None] = _log.info,
    progress: ProgressBar = no_progress_bar,
) -> Run:
    """Score all rows of `variants` into the run folder, skipping what it holds already, and return what it then holds.

    A row that fails, crashes, hangs or whose target is unavailable is recorded as such, and the others go on; rows that
    failed before are tried again. `note` takes lines about the progress, for people.

    Raises
    ------
    RunError
        The folder cannot be used, or holds a run of `search`.
    ModelError, CheckpointError, DataError
        The model or the data of the variants file cannot be read.
    """
    refuse_search(folder)
    if settings.stage is Stage.RUN:
        source = _recorded_source(folder)
    else:
        source = identify_source(variants, settings.limits(variants))
    if source.table is None and source.file.is_file():
        variants = replace(variants, source=variants.source.for_model_file(source.file))
    data = _recorded_data(folder) if settings.stage is Stage.COMPILE else variants.source.fingerprint()
    with open_run(folder, describe_run(variants, source, data)) as run:
        RowScorer(run, variants, settings, source, data, note, progress).score_all()
    return run


def _recorded_source(folder: Path) -> SourceModel:
    """Return the model that a run folder was compiled from; its file need not be on this machine."""
    model = read_run(folder).description.model
    return SourceModel(Path(model.file), model.key)


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
