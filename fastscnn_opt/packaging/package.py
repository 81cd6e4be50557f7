"""Write a package: a model with all that is needed to use it on a machine that has no fastscnn-opt."""

from __future__ import annotations

import glob
import shutil
import sys
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from fastscnn_opt.data.images import write_png
from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import CheckFailedError, ModelError
from fastscnn_opt.measuring.image_input import open_for
from fastscnn_opt.model.loading import load_model
from fastscnn_opt.model.saving import files_of, save_model
from fastscnn_opt.packaging.configuration import config, ends_of, preprocessor_config
from fastscnn_opt.packaging.model_card import model_card
from fastscnn_opt.packaging.subject import find_subject
from fastscnn_opt.packaging.writing import new_package, packaged_files, write_json
from fastscnn_opt.processes.limits import DEFAULT_LIMITS, Limits
from fastscnn_opt.processes.tool import run_tool
from fastscnn_opt.scoring.one_model import compile_model, opened_model
from fastscnn_opt.scoring.worker.commands import Predict
from fastscnn_opt.targets.spec import TargetSpec

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from fastscnn_opt.packaging.configuration import Ends
    from fastscnn_opt.packaging.subject import Scored, Subject
    from fastscnn_opt.packaging.writing import PackagedFile

_ENGINE = TargetSpec("onnxruntime")
"""What ``segmenter.py`` runs the model in."""


def package(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    variant: str | None = None,
    data: str | os.PathLike[str] | DataSource | None = None,
    target: str | TargetSpec | None = None,
    limits: Limits = DEFAULT_LIMITS,
    note: Callable[[str], None] = lambda _: None,
) -> list[PackagedFile]:
    """Write a package and return its files.

    It has the model, its classes and preprocessing as JSON, a script that makes label maps, a model card, and an
    example with its labels. The script is run on the example before the package takes its place.

    Parameters
    ----------
    model
        An ONNX file, ``RUN:NAME``, or a run folder of which `variant` is taken.
    output
        The folder of the package; or its file, if it ends with ``.zip``. An earlier package is replaced.
    data
        Describes the classes and the preprocessing, and has the example: the root of a Cityscapes tree, a TOML file
        that describes a dataset, or a `DataSource`; by default the images of the run.
    target
        What the model is compiled for in addition: a name, or a `TargetSpec` with options.
    note
        Is called with what has to be assumed about the model.

    Raises
    ------
    UserError
        There is no such model, nothing describes it, it does not take images, or `output` holds something else.
    CheckFailedError
        The script gives other labels than `eval` counts.
    OSError
        The package cannot be written.
    """
    with new_package(Path(output)) as folder:
        subject = find_subject(Path(model), variant, None if data is None else DataSource.at(data))
        _copy_model(subject.file, folder / "model.onnx")
        ends = _make_example(subject, folder / "example", limits, note)
        write_json(folder / "config.json", config(subject, ends))
        write_json(folder / "preprocessor_config.json", preprocessor_config(ends))
        for name in ("predict.py", "segmenter.py"):
            (folder / name).write_bytes(files("fastscnn_opt.packaging").joinpath("shipped", name).read_bytes())
        _check(folder, limits)
        if target is not None:
            _compile(subject, TargetSpec.of(target), folder, limits)
        card = model_card(subject, ends, packaged_files(folder))
        (folder / "MODEL_CARD.md").write_bytes(card.encode(errors="replace"))
        return packaged_files(folder)


def _copy_model(file: Path, place: Path) -> None:
    """Copy a model byte by byte; one with weights in other files gets them in one file beside it."""
    if len(files_of(file)) == 1:
        shutil.copyfile(file, place)
    else:
        save_model(load_model(file), place)


def _make_example(subject: Subject, folder: Path, limits: Limits, note: Callable[[str], None]) -> Ends:
    """Write the first image and its label map, as `eval` makes it; return how the model is used."""
    with opened_model(subject.file, _ENGINE, limits=limits) as (worker, signature):
        ends = ends_of(subject, signature.inputs, signature.outputs)
        folder.mkdir()
        image = folder / "image.png"
        first = open_for(subject.source, signature.inputs, ends.image.preprocess).load(0)
        write_png(image, first.image)
        try:
            notes = worker.run(Predict((image,), folder, subject.source, subject.metadata))
        except ModelError as error:
            error.where = first.name  # the user knows the image, not its copy in a temporary folder
            raise
        for text in notes:
            note(f"note: {text}")
        (folder / "0.png").rename(folder / "labels.png")
    return ends


def _check(folder: Path, limits: Limits) -> None:
    """Run the script on the example. Raises CheckFailedError if it gives other labels."""
    with tempfile.TemporaryDirectory(prefix="fastscnn-opt-") as place:
        command = [sys.executable, "-B", "predict.py", "--check"]
        found = run_tool(command, log=Path(place) / "check.log", limit_s=limits.silence_s, folder=folder)
    if found.exit_code:
        said = found.output.strip().splitlines()
        raise CheckFailedError(
            f"predict.py does not give the labels of eval for this model ({said[-1] if said else 'it says nothing'})",
            cure="tell the authors of fastscnn-opt",
        )


def _compile(subject: Subject, target: TargetSpec, folder: Path, limits: Limits) -> None:
    """Put the model as `target` runs it into the folder: what the run has scored, if it has, or compiled now."""
    place = folder / f"model.{target.name}{target.open().artefact_suffix}"
    artefact = None if subject.scored is None else _scored_artefact(subject.scored, target)
    if artefact is None:
        compile_model(folder / "model.onnx", place, target, limits=limits)
        place.with_name(f"{place.name}.log").unlink(missing_ok=True)
        return
    for file in (artefact, *artefact.parent.glob(f"{glob.escape(artefact.name)}.*")):
        shutil.copyfile(file, place.with_name(place.name + file.name.removeprefix(artefact.name)))


def _scored_artefact(scored: Scored, target: TargetSpec) -> Path | None:
    """Return the artefact that a run has of the packaged row on `target`, with its options where some are given."""
    for plan in scored.run.plan:
        record = scored.run.last_compiled(plan)
        if record is None or (record.variant, record.batch) != (scored.row.variant, scored.row.batch):
            continue
        same_options = (TargetSpec.of(record.target).name, record.options) == (target.name, target.options)
        if record.target == target.text or same_options:
            return scored.run.folder / record.artefact
    return None
