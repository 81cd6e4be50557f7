"""The pictures of a report: the images whose predictions changed most, with the prediction of every row."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from fastscnn_opt.data.dataset import Sample
from fastscnn_opt.errors import DataError, RunError
from fastscnn_opt.files import from_os_error
from fastscnn_opt.scoring.pictures.drawing import Colours, in_palette
from fastscnn_opt.scoring.pictures.predictions import SavedImages, SavedPredictions, step_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fastscnn_opt.report.content import ReportContent

MOST_PICTURES = 6
BUDGET_BYTES = 5_000_000
"""Size of all pictures of a page together; they are made smaller until they fit."""

_STEPS = (1, 2, 3, 4, 6, 8)
"""Show every n-th of the saved pixels; tried in this order until the pictures fit."""

SAME, CORRECTED, BROKEN, OTHER = range(4)
"""How a pixel changed: not at all, to the correct class, away from it, or otherwise (also if it has no label)."""

_COLOURS = {SAME: (0, 0, 0, 0), CORRECTED: (0, 180, 90, 255), BROKEN: (235, 40, 40, 255), OTHER: (255, 190, 0, 255)}


@dataclass(frozen=True)
class View:
    """One row's prediction of an image, and its difference from the baseline's prediction, as data URLs.

    `changed` is the share of pixels that differ, and `correct` the share of labelled pixels with the correct class; it
    is None without labels.
    """

    prediction: str
    difference: str
    changed: float
    correct: float | None


@dataclass(frozen=True)
class Picture:
    """An image with its views by file of label maps; photo and label are data URLs, or None if they are missing."""

    name: str
    width: int
    height: int
    photo: str | None
    label: str | None
    views: dict[str, View]


@dataclass(frozen=True)
class Gallery:
    """All pictures of a report.

    Attributes
    ----------
    files
        The file of label maps of each row, by the number of the row.
    baseline
        The file of the baseline.
    legend
        The name and the colour (RGB) of each class that occurs in the pictures.
    ignored
        The colour of ignored pixels in words.
    notes
        What is missing, and why.
    """

    pictures: tuple[Picture, ...] = ()
    files: dict[int, str] = field(default_factory=dict)
    baseline: str = ""
    legend: tuple[tuple[str, tuple[int, ...]], ...] = ()
    ignored: str = ""
    notes: tuple[str, ...] = ()


def make_gallery(content: ReportContent, most: int = MOST_PICTURES) -> Gallery:
    """Return the pictures of a run, at most `most` of them; the notes say what cannot be shown."""
    try:
        return _gallery(content, most)
    except (RunError, DataError) as error:
        return Gallery(notes=(str(error),))


def _gallery(content: ReportContent, most: int) -> Gallery:
    colours = Colours(content.run.description.data.classes)
    predictions, files, notes = _read_predictions(content, colours.beyond)
    base = next((files[entry.number] for entry in content.baselines if entry.number in files), None)
    if base is None:
        why = "the label maps of the baseline were not saved; score into a new folder to see pictures"
        return Gallery(notes=(*notes, why))
    images = predictions[base].images
    for name in [name for name in predictions if predictions[name].images != images]:
        left_out = ", ".join(entry.label for entry in content.entries if files.get(entry.number) == name)
        notes.append(f"{left_out}: its label maps are of other images or another size")
        del predictions[name]
    chosen = _most_changed(predictions, base)[:most]
    if not chosen:
        notes.append("every row has exactly the label maps of the baseline, so there is nothing to compare")
        chosen = list(range(len(images.names)))[:1]
    samples, missing = _samples(content, images, chosen, colours)
    saved = [
        _SavedImage(
            images.names[index], {name: found.load(index) for name, found in predictions.items()}, sample, colours
        )
        for index, sample in zip(chosen, samples, strict=True)
    ]
    pictures: tuple[Picture, ...] = ()
    for step in _STEPS:
        pictures = tuple(image.picture(base, step) for image in saved)
        if sum(map(_bytes_of, pictures)) <= BUDGET_BYTES:
            break
    found = {int(value) for image in saved for labels in image.all_labels() for value in np.unique(labels)}
    legend = tuple(
        (colours.names[value], tuple(colours.table[value].tolist())) for value in sorted(found - {colours.ignored})
    )
    files = {number: name for number, name in files.items() if name in predictions}
    return Gallery(pictures, files, base, legend, colours.ignored_colour, (*notes, *missing))


def _read_predictions(
    content: ReportContent, classes: int
) -> tuple[dict[str, SavedPredictions], dict[int, str], list[str]]:
    """Return the readable files of label maps by name, the file of each row by number, and notes on what is missing."""
    predictions: dict[str, SavedPredictions] = {}
    files: dict[int, str] = {}
    notes = []
    for entry in content.entries:
        name = entry.details.predictions
        if name is None:
            if entry.row.mIoU is not None:
                notes.append(f"{entry.label}: the release that scored it did not save its label maps")
            continue
        found = predictions.get(name) or SavedPredictions(content.run.folder / name, classes)
        try:
            _ = found.images
        except RunError as error:
            notes.append(f"{entry.label}: {error}")
            continue
        predictions[name] = found
        files[entry.number] = name
    return predictions, files, notes


def _most_changed(predictions: Mapping[str, SavedPredictions], base: str) -> list[int]:
    """Return the numbers of the images that any row changed, those with the most changed pixels first."""
    shares = []
    for index in range(len(predictions[base].images.names)):
        reference = predictions[base].load(index)
        others = [float((found.load(index) != reference).mean()) for name, found in predictions.items() if name != base]
        shares.append(sum(others))
    return [index for index in sorted(range(len(shares)), key=lambda index: -shares[index]) if shares[index] > 0]


def _samples(
    content: ReportContent, images: SavedImages, chosen: Sequence[int], colours: Colours
) -> tuple[Sequence[Sample | None], tuple[str, ...]]:
    """Return the photographs and labels of the chosen images, at the saved size, and a note if they are missing."""
    absent = [None] * len(chosen)
    source = content.run.description.data.source
    if source is None:
        return absent, ("the run does not say where its images are, so photographs and labels are left out",)
    try:
        dataset = source.open(scene_size=images.sizes[0])
        samples = [dataset.load(index) for index in chosen if index < len(dataset)]
        sizes = [sample.label.shape for sample in samples]
        if dataset.names[: len(images.names)] != images.names or sizes != [images.sizes[index] for index in chosen]:
            return absent, ("photographs and labels are left out: the data are other images now",)
        drawn = [replace(sample, label=colours.of_label(sample.label)) for sample in samples]
        return [_reduced(sample, step_of(images.sizes[index])) for sample, index in zip(drawn, chosen, strict=True)], ()
    except (DataError, OSError) as error:
        why = from_os_error(error) if isinstance(error, OSError) else error
        return absent, (f"photographs and labels are left out: {why}",)


def _reduced(sample: Sample, step: int) -> Sample:
    """Return a sample with every `step`-th row and column of the label, and the photograph averaged to that size."""
    label = np.ascontiguousarray(sample.label[::step, ::step])
    photo = Image.fromarray(sample.image).resize((label.shape[1], label.shape[0]), Image.Resampling.BOX)
    return Sample(sample.name, np.asarray(photo), label)


@dataclass(frozen=True)
class _SavedImage:
    """An image at the saved size: its label map from each file, and its photograph and label if they were found."""

    name: str
    maps: dict[str, NDArray[np.unsignedinteger]]
    sample: Sample | None
    colours: Colours

    def all_labels(self) -> list[NDArray[np.integer]]:
        """Return every predicted label map, and the label."""
        return [*self.maps.values(), *([self.sample.label] if self.sample else [])]

    def picture(self, base: str, step: int) -> Picture:
        """Draw the image with every `step`-th pixel."""
        sample = _reduced(self.sample, step) if self.sample else None
        maps = {name: labels[::step, ::step] for name, labels in self.maps.items()}
        label = sample.label if sample else None
        height, width = maps[base].shape
        return Picture(
            self.name,
            width,
            height,
            _jpeg_url(sample.image) if sample else None,
            _png_url(in_palette(label, self.colours)) if label is not None else None,
            {name: self._view(labels, maps[base], label) for name, labels in maps.items()},
        )

    def _view(self, labels: NDArray[np.integer], base: NDArray[np.integer], label: NDArray[np.integer] | None) -> View:
        changes = pixel_changes(labels, base, label)
        picture = Image.fromarray(changes)
        picture.putpalette(bytes(value for colour in _COLOURS.values() for value in colour), "RGBA")
        correct = None
        if label is not None and (counted := label != self.colours.ignored).any():
            correct = float((labels == label)[counted].mean())
        drawn = _png_url(in_palette(labels, self.colours))
        return View(drawn, _png_url(picture), float((changes != SAME).mean()), correct)


def pixel_changes(
    labels: NDArray[np.integer], base: NDArray[np.integer], label: NDArray[np.integer] | None
) -> NDArray[np.uint8]:
    """Return how each pixel changed from the map `base` to `labels`, given the correct `label`; all are H, W.

    Ignored pixels of `label` hold a value that no prediction has.
    """
    changes = np.where(labels == base, SAME, OTHER).astype(np.uint8)
    if label is not None:
        differs = labels != base
        changes[differs & (labels == label)] = CORRECTED
        changes[differs & (base == label)] = BROKEN
    return changes


def _bytes_of(picture: Picture) -> int:
    views = [url for view in picture.views.values() for url in (view.prediction, view.difference)]
    return sum(len(url) for url in (picture.photo, picture.label, *views) if url)


def _png_url(picture: Image.Image) -> str:
    content = io.BytesIO()
    picture.save(content, format="PNG", optimize=True)
    return _url("png", content)


def _jpeg_url(photo: NDArray[np.uint8]) -> str:
    content = io.BytesIO()
    Image.fromarray(photo).save(content, format="JPEG", quality=80, optimize=True)
    return _url("jpeg", content)


def _url(kind: str, content: io.BytesIO) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content.getvalue()).decode('ascii')}"
