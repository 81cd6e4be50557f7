"""The pictures of a report: the images whose label maps changed most, as every row saw them."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from fastscnn_opt.data.classes import CLASSES, IGNORE
from fastscnn_opt.data.dataset import Sample
from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import DataError, RunError
from fastscnn_opt.files import from_os_error
from fastscnn_opt.scoring.pictures.drawing import in_palette
from fastscnn_opt.scoring.pictures.predictions import KeptPredictions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from fastscnn_opt.report.content import Content

MOST_PICTURES = 6
BUDGET_BYTES = 5_000_000
"""Size of all pictures of a page together; they are made smaller until they fit."""

_SMALLER = (1, 2, 3, 4, 6, 8)
"""Steps between the kept pixels that are shown, tried in this order."""

SAME, BETTER, WORSE, OTHER = range(4)
"""What became of a pixel: the same class, right at last, wrong at last, or another class and wrong (or unlabelled)."""

_COLOURS = {SAME: (0, 0, 0, 0), BETTER: (0, 180, 90, 255), WORSE: (235, 40, 40, 255), OTHER: (255, 190, 0, 255)}


@dataclass(frozen=True)
class View:
    """How one row saw an image: its label map and where that differs from the baseline's, as data URLs.

    `changed` is the share of pixels that differ, `right` the share of labelled pixels that are right, if there are
    labels.
    """

    prediction: str
    difference: str
    changed: float
    right: float | None


@dataclass(frozen=True)
class Picture:
    """An image with its photograph and label, as data URLs where they were found, and the views of it by kept file."""

    name: str
    width: int
    height: int
    photo: str | None
    label: str | None
    views: dict[str, View]


@dataclass(frozen=True)
class Gallery:
    """All pictures, which file of label maps each row (by number) has, which is the baseline's, and what is missing."""

    pictures: tuple[Picture, ...] = ()
    files: dict[int, str] = field(default_factory=dict)
    baseline: str = ""
    classes: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


def make_gallery(content: Content, most: int = MOST_PICTURES) -> Gallery:
    """Return the pictures of a run, at most `most` of them; what cannot be shown is said in the notes."""
    try:
        return _gallery(content, most)
    except RunError as error:
        return Gallery(notes=(str(error),))


def _gallery(content: Content, most: int) -> Gallery:
    kept, notes = _kept(content)
    files = {number: name for name, (_, numbers) in kept.items() for number in numbers}
    base = next((files[entry.number] for entry in content.baselines if entry.number in files), None)
    if base is None:
        why = "the label maps of the baseline were not kept; score into a new folder to see pictures"
        return Gallery(notes=(*notes, why))
    maps = {name: predictions for name, (predictions, _) in kept.items()}
    for name in [name for name in maps if maps[name].images != maps[base].images]:
        left_out = ", ".join(entry.label for entry in content.entries if files.get(entry.number) == name)
        notes.append(f"{left_out}: its label maps are of other images or another size")
        del maps[name]
    chosen = _most_changed(maps, base)[:most]
    if not chosen:
        notes.append("every row gave the baseline's label maps to the pixel, so there is nothing to compare")
        chosen = list(range(len(maps[base].images.names)))[:1]
    samples, missing = _samples(content, maps[base], chosen)
    looks = [
        _Look(maps[base].images.names[index], {name: found.load(index) for name, found in maps.items()}, sample)
        for index, sample in zip(chosen, samples, strict=True)
    ]
    pictures: tuple[Picture, ...] = ()
    for step in _SMALLER:
        pictures = tuple(look.picture(base, step) for look in looks)
        if sum(map(_size, pictures)) <= BUDGET_BYTES:
            break
    classes = np.unique(np.concatenate([np.unique(labels) for look in looks for labels in look.all_labels()]))
    shown = tuple(int(value) for value in classes if value < len(CLASSES))
    files = {number: name for number, name in files.items() if name in maps}
    return Gallery(pictures, files, base, shown, (*notes, *missing))


def _kept(content: Content) -> tuple[dict[str, tuple[KeptPredictions, list[int]]], list[str]]:
    """Return each readable file of kept label maps with the numbers of the rows it belongs to, and what is missing."""
    kept: dict[str, tuple[KeptPredictions, list[int]]] = {}
    notes = []
    for entry in content.entries:
        name = entry.details.get("predictions")
        if name is None:
            if entry.row["mIoU"] is not None:
                notes.append(f"{entry.label}: scored by a release that kept no label maps")
            continue
        predictions = KeptPredictions(content.run.folder / name)
        try:
            _ = predictions.images
        except RunError as error:
            notes.append(f"{entry.label}: {error}")
            continue
        kept.setdefault(name, (predictions, []))[1].append(entry.number)
    return kept, notes


def _most_changed(maps: Mapping[str, KeptPredictions], base: str) -> list[int]:
    """Return the numbers of the images that any row changed, from the one that rows changed most, on average."""
    shares = []
    for index in range(len(maps[base].images.names)):
        reference = maps[base].load(index)
        others = [float((found.load(index) != reference).mean()) for name, found in maps.items() if name != base]
        shares.append(sum(others))
    return [index for index in sorted(range(len(shares)), key=lambda index: -shares[index]) if shares[index] > 0]


def _samples(
    content: Content, kept: KeptPredictions, chosen: Iterable[int]
) -> tuple[list[Sample | None], tuple[str, ...]]:
    """Return the photographs and labels of the chosen images, at the kept size, and what is missing."""
    chosen = list(chosen)
    source: dict[str, Any] | None = content.run.about["data"].get("source")
    if source is None:
        return [None] * len(chosen), (
            "the run does not say where its images are, so photographs and labels are left out",
        )
    try:
        dataset = DataSource(**source).open(scene_size=kept.images.size)
        same = dataset.names[: len(kept.images.names)] == kept.images.names and dataset.size == kept.images.size
        samples = [_reduced(dataset.load(index), kept.images.step) for index in chosen] if same else []
    except (DataError, OSError) as error:
        why = str(from_os_error(error) if isinstance(error, OSError) else error)
        return [None] * len(chosen), (f"photographs and labels are left out: {why}",)
    if not same:
        return [None] * len(chosen), ("photographs and labels are left out: the data are other images now",)
    return list(samples), ()


def _reduced(sample: Sample, step: int) -> Sample:
    """Return a sample of which every `step`-th row and column of labels is kept, and the photograph is averaged."""
    label = np.ascontiguousarray(sample.label[::step, ::step])
    photo = Image.fromarray(sample.image).resize((label.shape[1], label.shape[0]), Image.Resampling.BOX)
    return Sample(sample.name, np.asarray(photo), label)


@dataclass(frozen=True)
class _Look:
    """An image as it was kept: the label map of each file, and the photograph with its label, if they were found."""

    name: str
    maps: dict[str, NDArray[np.uint8]]
    sample: Sample | None

    def all_labels(self) -> list[NDArray[np.uint8]]:
        """Return every label map, the right one included."""
        return [*self.maps.values(), *([self.sample.label] if self.sample else [])]

    def picture(self, base: str, step: int) -> Picture:
        """Draw everything with every `step`-th pixel."""
        sample = _reduced(self.sample, step) if self.sample else None
        maps = {name: labels[::step, ::step] for name, labels in self.maps.items()}
        label = sample.label if sample else None
        height, width = maps[base].shape
        return Picture(
            self.name,
            width,
            height,
            _photo_url(sample.image) if sample else None,
            _png_url(in_palette(label)) if label is not None else None,
            {name: _view(labels, maps[base], label) for name, labels in maps.items()},
        )


def _view(labels: NDArray[np.uint8], base: NDArray[np.uint8], label: NDArray[np.uint8] | None) -> View:
    fate = fates(labels, base, label)
    picture = Image.fromarray(fate)
    picture.putpalette(bytes(value for colour in _COLOURS.values() for value in colour), "RGBA")
    right = None
    if label is not None and (counted := label != IGNORE).any():
        right = float((labels == label)[counted].mean())
    return View(_png_url(in_palette(labels)), _png_url(picture), float((fate != SAME).mean()), right)


def fates(labels: NDArray[np.uint8], base: NDArray[np.uint8], label: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """Return what became of each pixel from the map `base` to `labels`, given the right `label`, all H, W."""
    fate = np.where(labels == base, SAME, OTHER).astype(np.uint8)
    if label is not None:
        changed = (labels != base) & (label != IGNORE)
        fate[changed & (labels == label)] = BETTER
        fate[changed & (base == label)] = WORSE
    return fate


def _size(picture: Picture) -> int:
    urls = [
        picture.photo,
        picture.label,
        *(url for view in picture.views.values() for url in (view.prediction, view.difference)),
    ]
    return sum(len(url) for url in urls if url)


def _png_url(picture: Image.Image) -> str:
    content = io.BytesIO()
    picture.save(content, format="PNG", optimize=True)
    return _url("png", content)


def _photo_url(photo: NDArray[np.uint8]) -> str:
    content = io.BytesIO()
    Image.fromarray(photo).save(content, format="JPEG", quality=80, optimize=True)
    return _url("jpeg", content)


def _url(kind: str, content: io.BytesIO) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content.getvalue()).decode('ascii')}"
