"""Draws the label maps of one model, or of two side by side, over photographs."""

from __future__ import annotations

import io
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from fastscnn_opt.data.images import read_image, read_mask
from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import DataError, ModelError
from fastscnn_opt.files import write_atomically
from fastscnn_opt.model.metadata import Metadata, read_metadata
from fastscnn_opt.processes.limits import DEFAULT_LIMITS, Limits
from fastscnn_opt.progress import ProgressBar, no_progress_bar
from fastscnn_opt.scoring.model_name import model_file
from fastscnn_opt.scoring.one_model import opened_model
from fastscnn_opt.scoring.pictures.drawing import Colours, beside, blend, with_legend
from fastscnn_opt.scoring.pictures.predictions import limited
from fastscnn_opt.scoring.worker.commands import Predict
from fastscnn_opt.targets.spec import TargetSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True)
class Style:
    """How label maps are drawn: `alpha` is the share of their colours, 0 to 1, and a `legend` names these below."""

    alpha: float = 0.5
    legend: bool = False


_STYLE = Style()


def places_for(images: Sequence[Path], folder: Path, *, overwrite: bool = False) -> dict[Path, Path]:
    """Return the file for the picture of each image: its name, as PNG, in `folder`.

    Raises
    ------
    DataError
        Two images would get one name, an image itself would be replaced, or a picture is there and is not to be
        replaced.
    """
    if folder.exists() and not folder.is_dir():
        raise DataError("is a file", where=folder, cure="give a folder for the pictures")
    places = [folder / f"{image.stem}.png" for image in images]
    originals = {os.path.realpath(image) for image in images}
    taken: dict[str, Path] = {}
    for image, place in zip(images, places, strict=True):
        name = place.name.casefold()  # some disks take names that differ in case for one
        if name in taken:
            raise DataError(
                f"its picture would be {place}, as that of {taken[name]}", where=image, cure="rename one of them"
            )
        taken[name] = image
        if os.path.realpath(place) in originals:
            raise DataError("the picture would replace an image itself", where=place, cure="give another folder")
        if place.exists() and not overwrite:
            raise DataError("exists already", where=place, cure="give another folder, or --overwrite")
    return dict(zip(images, places, strict=True))


def draw_overlays(  # noqa: PLR0913  # each argument is an option of the verb, or shows progress
    models: Sequence[str | os.PathLike[str]],
    images: Sequence[str | os.PathLike[str]],
    folder: str | os.PathLike[str],
    *,
    target: str | TargetSpec = "onnxruntime",
    style: Style = _STYLE,
    data: str | os.PathLike[str] | DataSource | None = None,
    overwrite: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    note: Callable[[str], None] = lambda _: None,
    progress: ProgressBar = no_progress_bar,
) -> list[Path]:
    """Draw the label maps of one model, or of two side by side, over photographs; return the files of the pictures.

    The picture of ``street.jpg`` is ``street.png`` in `folder`. Each model runs in a child process. Nothing is written
    before all models have seen all images.

    Parameters
    ----------
    models
        One or two ONNX files, or ``RUN:NAME``, the models of variants of a run.
    images
        The photographs.
    target
        What compiles and runs the models: a name, or a `TargetSpec` with options.
    style
        How the label maps are drawn.
    data
        Describes the classes and the preprocessing: a TOML file or a `DataSource`. What it does not say comes from the
        models; where they name no classes, these are those of the default preset.
    overwrite
        Replace pictures that are there already.
    note, progress
        Get what was assumed about the models; show how many images were seen by a model.

    Raises
    ------
    DataError
        An image cannot be read, or a picture cannot go to its place.
    ModelError, RunError, TargetError
        A model cannot run on an image, or the models name different classes.
    """
    places, spec = (
        places_for([Path(image) for image in images], Path(folder), overwrite=overwrite),
        TargetSpec.of(target),
    )
    source = None if data is None else DataSource.at(data)
    for image in places:
        read_image(image)  # so that an error comes before the first model is compiled
    loaded = [model_file(model) for model in models]
    stated = [read_metadata(file) for file in loaded]
    classes, assumed = _classes(source, stated)
    with (
        tempfile.TemporaryDirectory(prefix="fastscnn-opt-") as name,
        progress(len(models) * len(places), "images") as advance,
    ):
        maps: list[list[Path]] = []
        notes: list[str] = []
        for index, (file, metadata) in enumerate(zip(loaded, stated, strict=True)):
            maps_folder = Path(name) / str(index)
            maps_folder.mkdir()
            with opened_model(file, spec, limits=limits) as (worker, _):
                told = worker.run(Predict(tuple(places), maps_folder, classes, metadata, assumed), advance)
            notes += told
            maps.append([maps_folder / f"{index}.png" for index in range(len(places))])
        captions, colours = _captions([Path(model) for model in models]), Colours(classes.classes)
        for (image, place), files in zip(places.items(), zip(*maps, strict=True), strict=True):
            place.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(place, _picture(image, files, captions, style, colours))
    for text in dict.fromkeys(notes):
        note(f"note: {text}")
    return [*places.values()]


def _classes(source: DataSource | None, stated: Sequence[Metadata]) -> tuple[DataSource, bool]:
    """Return the description with classes, and whether these are assumed because nothing names them."""
    if source is not None and source.has_classes:
        return source, False
    named = {metadata.names: metadata for metadata in stated if metadata.names}
    if len(named) > 1:
        raise ModelError("the two models name different classes", cure="describe common ones in a TOML file for --data")
    if not named and source is None:
        return DataSource(root="."), True
    described = source or DataSource(root=".", description={"preset": "folder"})
    return described.for_model(next(iter(named.values()), Metadata())), False


def _captions(models: Sequence[Path]) -> list[str]:
    """Return captions for two models: their file names, or their paths if the names are the same."""
    if len(models) == 1:
        return [""]
    names = [model.name for model in models]
    return names if len(set(names)) == len(names) else [str(model) for model in models]


def _picture(image: Path, files: Sequence[Path], captions: Sequence[str], style: Style, colours: Colours) -> bytes:
    """Return an image with each label map laid over it, as the content of a PNG file."""
    photo = read_image(image)
    maps = [limited(read_mask(file), colours.beyond) for file in files]
    picture = beside([blend(photo, labels, style.alpha, colours) for labels in maps], captions)
    if style.legend:
        picture = with_legend(picture, [int(number) for number in np.unique(np.stack(maps))], colours)
    content = io.BytesIO()
    Image.fromarray(picture).save(content, format="PNG")
    return content.getvalue()
