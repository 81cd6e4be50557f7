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
from fastscnn_opt.scoring.model_name import model_file
from fastscnn_opt.scoring.one_model import opened_model
from fastscnn_opt.scoring.pictures.drawing import Colours, beside, blend, with_legend
from fastscnn_opt.scoring.pictures.predictions import limited
from fastscnn_opt.scoring.worker.commands import Predict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fastscnn_opt.targets.spec import TargetSpec


@dataclass(frozen=True)
class Style:
    """How label maps are drawn: `alpha` is the share of their colours, 0 to 1, and a `legend` names these below."""

    alpha: float = 0.5
    legend: bool = False


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


def draw_overlays(
    models: Sequence[Path],
    places: Mapping[Path, Path],
    *,
    target: TargetSpec,
    style: Style,
    source: DataSource | None = None,
    limits: Limits = DEFAULT_LIMITS,
    on_image: Callable[[int], None] | None = None,
) -> tuple[str, ...]:
    """Run each model on each image and write its picture to its place; two models stand side by side, with captions.

    `models` are ONNX files or ``RUN:NAME``. `source` describes the classes and the preprocessing. What it does not say
    comes from the models; where they name no classes, these are those of the default preset. Return notes for the user.
    Each model runs in a child process. Nothing is written before all models have seen all images. `on_image` gets
    the number of images that a model has seen since the last call.

    Raises
    ------
    DataError, ModelError, TargetError
        An image cannot be read, or a model cannot run on it; see `photographs.write_label_maps`. The models name
        different classes.
    """
    for image in places:
        read_image(image)  # so that an error comes before the first model is compiled
    loaded = [model_file(model) for model in models]
    stated = [read_metadata(file) for file in loaded]
    classes, assumed = _classes(source, stated)
    with tempfile.TemporaryDirectory(prefix="fastscnn-opt-") as name:
        maps: list[list[Path]] = []
        notes: list[str] = []
        for index, (file, metadata) in enumerate(zip(loaded, stated, strict=True)):
            folder = Path(name) / str(index)
            folder.mkdir()
            with opened_model(file, target, limits=limits) as (worker, _):
                told = worker.run(Predict(tuple(places), folder, classes, metadata, assumed), on_image)
            notes += told
            maps.append([folder / f"{index}.png" for index in range(len(places))])
        captions, colours = _captions(models), Colours(classes.classes)
        for (image, place), files in zip(places.items(), zip(*maps, strict=True), strict=True):
            place.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(place, _picture(image, files, captions, style, colours))
    return tuple(dict.fromkeys(notes))


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
