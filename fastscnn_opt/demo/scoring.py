"""Score the bundled variants file on the bundled network."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from typing import TYPE_CHECKING

from fastscnn_opt.data.source import DataSource
from fastscnn_opt.demo.network import demo_model
from fastscnn_opt.files import write_atomically
from fastscnn_opt.model.saving import save_model
from fastscnn_opt.progress import ProgressBar, no_progress_bar
from fastscnn_opt.scoring.run_folder import refuse_other_content, refuse_search
from fastscnn_opt.scoring.score import score
from fastscnn_opt.scoring.variants import read_variants

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fastscnn_opt.scoring.run import Run
    from fastscnn_opt.scoring.stages.settings import Settings

VARIANTS = "demo.toml"
MODEL = "demo.onnx"


def score_demo(
    folder: Path,
    settings: Settings,
    *,
    scenes: int | None,
    note: Callable[[str], None],
    progress: ProgressBar = no_progress_bar,
) -> Run:
    """Put the bundled network and its variants file into a run folder and score them there, on `scenes` scenes.

    A variants file that is there already stays, so that a user's changes to it count. Raises the errors of `score`.
    """
    refuse_other_content(folder)
    refuse_search(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / MODEL).exists():
        save_model(demo_model(), folder / MODEL)
    if not (folder / VARIANTS).exists():
        write_atomically(folder / VARIANTS, files("fastscnn_opt.demo").joinpath(VARIANTS).read_bytes())
    note(f"the variants file is {folder / VARIANTS}")
    variants = read_variants(folder / VARIANTS)
    if scenes is not None:
        variants = replace(variants, source=DataSource(synthetic=scenes, seed=variants.source.seed))
    return score(variants, folder, settings, note, progress)
