"""Scores a variants file into a run folder: build, compile and accuracy row by row, then speed side by side."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastscnn_opt.machine import machine, versions
from fastscnn_opt.progress import ProgressBar, no_progress_bar
from fastscnn_opt.scoring.records import key_of, now
from fastscnn_opt.scoring.run_folder import open_run, read_run
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
        The folder cannot be used.
    ModelError, CheckpointError, DataError
        The model or the data of the variants file cannot be read.
    """
    source = _recorded_source(folder) if settings.stage is Stage.RUN else identify_source(variants)
    data = _recorded_data(folder) if settings.stage is Stage.COMPILE else variants.source.fingerprint()
    with open_run(folder, about_run(variants, source, data)) as run:
        RowScorer(run, variants, settings, source, data, note, progress).score_all()
    return run


def _recorded_source(folder: Path) -> SourceModel:
    """Return the model that a run folder was compiled from; its file need not be on this machine."""
    model = read_run(folder).about["model"]
    return SourceModel(Path(model["file"]), model["key"])


def _recorded_data(folder: Path) -> str:
    """Return the key of the data that a run folder was scored on before; the empty text if it was not."""
    return str(read_run(folder).about["data"]["key"]) if (folder / "run.json").is_file() else ""


def about_run(variants: Variants, source: SourceModel, data: str) -> dict[str, Any]:
    """Return the content of ``run.json``."""
    return {
        "started": now(),
        "machine": machine(),
        "versions": versions(),
        "variants_file": {"path": str(variants.file), "sha256": key_of(variants.text), "text": variants.text},
        "model": {"file": str(source.file), "key": source.key},
        "data": {"is": variants.source.describe(), "key": data, "source": _absolute(variants.source)},
        "baseline": variants.baseline,
        "baseline_target": variants.tables.score.baseline_target,
        "max_drop": variants.tables.score.max_drop,
        "rows": [asdict(row) for row in variants.rows],
    }


def _absolute(source: DataSource) -> dict[str, Any]:
    """Return the fields of `source`, its root such that it can be found again from another folder."""
    return asdict(source) | {"root": str(Path(source.root).absolute()) if source.root is not None else None}
