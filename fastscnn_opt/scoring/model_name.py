"""Find the model that a user names: an ONNX file, or a variant of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fastscnn_opt.errors import ModelError, RunError, TargetError
from fastscnn_opt.text import closest, joined, unknown

if TYPE_CHECKING:
    import os

    from fastscnn_opt.scoring.records import CompiledRecord, RowPlan, RowRecord
    from fastscnn_opt.scoring.run import Run


def model_file(name: str | os.PathLike[str]) -> Path:
    """Return the ONNX file that `name` means: a path, or ``RUN:NAME``, the model of a variant of a run.

    A file of that very name wins. Of the batch sizes of a variant, the smallest is taken.

    Raises
    ------
    ModelError, RunError
        There is neither such a file nor such a run, or the run has no such variant, or no model of it, or the file is
        not the model that was scored.
    """
    found = split_name(name)
    if found is None:
        return Path(name)
    folder, variant = found
    from fastscnn_opt.scoring.run_folder import read_run

    run = read_run(folder)
    return scored_file(run, built_row(run, variant))


def split_name(name: str | os.PathLike[str]) -> tuple[Path, str] | None:
    """Return run folder and variant of ``RUN:NAME``; None if `name` is the path of a file.

    Raises ModelError if it is neither.
    """
    text = str(name)
    if ":" not in text or Path(text).exists():
        return None
    colons = [place for place, character in enumerate(text) if character == ":"]  # names of variants may have some, too
    folder = next((place for place in colons if Path(text[:place], "run.json").is_file()), None)
    if folder is not None:
        return Path(text[:folder]), text[folder + 1 :]
    wanted = Path(text[: colons[-1]])
    near = closest(wanted.name, [file.parent.name for file in wanted.parent.glob("*/run.json")])
    raise ModelError(
        "there is no such file, and no such run folder before the colon",
        where=text,
        cure=f"did you mean the run {str(wanted.parent / near)!r}?" if near else "give an ONNX file, or RUN:NAME",
    )


def built_row(run: Run, variant: str) -> RowRecord | CompiledRecord:
    """Return the record of the row of `variant` that has its model, that of the smallest batch size.

    The model is the same for all targets, but for those that run a checkpoint itself. Raises RunError if there is no
    such variant, or no model of it.
    """
    plans = [plan for plan in run.plan if plan.variant == variant]
    if not plans:
        names = dict.fromkeys(plan.variant for plan in run.plan)
        raise RunError(unknown("variant", variant, names), where=run.folder)
    plans = [plan for plan in plans if not _runs_checkpoint(plan)]
    if not plans:
        others = [repr(plan.variant) for plan in run.plan if plan.variant != variant and not _runs_checkpoint(plan)]
        raise RunError(
            f"the variant {variant!r} is the checkpoint itself, which is no ONNX model",
            where=run.folder,
            cure=(f"name a variant that has one, such as {others[0]}, or " if others else "")
            + "make one with `fastscnn-opt export`",
        )
    reasons = []
    for plan in sorted(plans, key=lambda plan: plan.batch):
        row = run.record_of(plan)
        built = row if row is not None and row.model else run.last_compiled(plan)
        if built is not None and (run.folder / str(built.model)).is_file():
            return built
        reasons += [row.reason] if row is not None and row.reason else []
    raise RunError(
        f"there is no model of the variant {variant!r}{f' ({joined(reasons)})' if reasons else ''}",
        where=run.folder,
        cure="start `fastscnn-opt score` on this run again",
    )


def _runs_checkpoint(plan: RowPlan) -> bool:
    from fastscnn_opt.targets.base import RunsCheckpoint
    from fastscnn_opt.targets.spec import TargetSpec

    try:
        return isinstance(TargetSpec.of(plan.target).open(), RunsCheckpoint)
    except TargetError:  # a target of another machine, of which no more is asked here
        return False


def scored_file(run: Run, row: RowRecord | CompiledRecord) -> Path:
    """Return the model of a row. Raises ModelError if it is not the one that was scored; old runs did not record that.

    No native code sees the file.
    """
    from fastscnn_opt.model.external_data import attach
    from fastscnn_opt.model.reading.parsing import parse_file
    from fastscnn_opt.model.saving import fingerprint

    file = run.folder / str(row.model)
    if not row.model_sha256:
        return file
    model = parse_file(file)
    attach(model, file)
    if fingerprint(model) != row.model_sha256:
        raise ModelError(
            "is not the model that was scored",
            where=file,
            cure="remove it, and start `fastscnn-opt score` on the run again",
        )
    return file
