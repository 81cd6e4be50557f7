"""The accuracy of dumped outputs, and the running mean that the original evaluation script reports."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fastscnn_opt.ascend.dumps.content import content_of, read_dump
from fastscnn_opt.ascend.dumps.files import DumpChoice, ElementType, find_dumps
from fastscnn_opt.ascend.prepare.folder import check_description, is_prepared, open_prepared
from fastscnn_opt.data.dataset import check_size
from fastscnn_opt.data.prefetch import prefetch
from fastscnn_opt.errors import DataError
from fastscnn_opt.measuring.accuracy import Accuracy
from fastscnn_opt.measuring.metric import ConfusionMatrix
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from fastscnn_opt.data.dataset import Classes, Dataset
    from fastscnn_opt.data.source import DataSource


class LabelMaps(Protocol):
    """Label maps of one size in a fixed order; `PreparedLabels` is one."""

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each image."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""

    @property
    def classes(self) -> Classes:
        """The classes that labels are in."""

    def label(self, index: int) -> NDArray[np.unsignedinteger]:
        """Return one label map, H, W, with `ignored_value` for ignored pixels."""


@dataclass(frozen=True)
class DatasetLabels:
    """The label maps of a dataset."""

    dataset: Dataset

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each image."""
        return self.dataset.names

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.dataset.size

    @property
    def classes(self) -> Classes:
        """The classes that labels are in."""
        return self.dataset.classes

    def label(self, index: int) -> NDArray[np.unsignedinteger]:
        """Return one label map. Raises DataError."""
        return check_size(self.dataset.load(index), self.size).label


@dataclass(frozen=True)
class RunningMean:
    """The figures of the original evaluation script, which depend on the order of the images.

    After each image it takes pixAcc and mIoU of all images so far, a class without pixels counted as 0 as in
    SegmenTron, and reports the mean of these values over the images.
    """

    pix_acc: float
    miou: float


@dataclass(frozen=True)
class DumpAccuracy(Accuracy):
    """The confusion matrix over a number of dumps, and the running mean if it was asked for."""

    running: RunningMean | None = field(default=None, kw_only=True)

    def to_json(self) -> dict[str, Any]:
        """Return the figures of `Accuracy`; with a running mean also ``running_pixAcc`` and ``running_mIoU``."""
        figures = super().to_json()
        if self.running is not None:
            figures |= {"running_pixAcc": self.running.pix_acc, "running_mIoU": self.running.miou}
        return figures


def evaluate_dumps(
    labels: LabelMaps,
    choice: DumpChoice,
    *,
    dtype: ElementType | None = None,
    running_mean: bool = False,
    on_image: Callable[[int], None] | None = None,
) -> DumpAccuracy:
    """Count dumped outputs against the labels.

    All dumps are found, and their sizes checked, before the first is read. Files are read ahead by a few threads.

    Parameters
    ----------
    labels
        The label maps of the images that the tool was run on.
    choice
        Which dumps to read; see `find_dumps` for their names.
    dtype
        Type of the values of binary files; None deduces it from their size.
    running_mean
        Report the figure of the original script, too.
    on_image
        Called with the number of images finished since its last call.

    Raises
    ------
    DataError
        Dumps are missing, truncated or of an unknown or unclear kind, a label is unusable, or no pixel at all is
        labelled.
    """
    height, width = labels.size
    dumps = find_dumps(choice, labels.names)
    content = content_of(dumps, height * width, dtype, len(labels.classes))

    def load(turn: int) -> list[tuple[NDArray[np.unsignedinteger], NDArray[np.integer]]]:
        dump = dumps[turn]
        predictions = read_dump(dump, content, labels.size)
        return [(labels.label(dump.first + index), prediction) for index, prediction in enumerate(predictions)]

    confusion = ConfusionMatrix.empty(labels.classes.names)
    running: list[tuple[float, float]] = []
    with closing(prefetch(load, len(dumps))) as loaded:
        for pairs in loaded:
            for label, prediction in pairs:
                confusion.update(label, prediction)
                if running_mean:
                    running.append((confusion.pix_acc if confusion.pixels else 0.0, confusion.miou_all))
            if on_image is not None:
                on_image(len(pairs))
    if not confusion.pixels:
        raise DataError(
            f"there is no labelled pixel in {counted(len(labels.names), 'image')}", cure="use a split with annotations"
        )
    return DumpAccuracy(len(labels.names), confusion, running=_mean(running) if running_mean else None)


def _mean(running: list[tuple[float, float]]) -> RunningMean:
    pix_acc, miou = (math.fsum(values) / len(running) for values in zip(*running, strict=True))
    return RunningMean(pix_acc, miou)


def open_labels(source: DataSource) -> LabelMaps:
    """Open the labels of a dataset, or those of a folder made by `prepare` if `source.root` names one.

    Raises
    ------
    DataError
        There is no such dataset, the folder is only half prepared, or the description is of no use for dumps.
    """
    if source.root is not None and is_prepared(Path(source.root)):
        return open_prepared(Path(source.root), source.limit)
    check_description(source)
    if source.description and source.table.prediction_map:
        raise DataError(
            "prediction_map is stated, and dumps are scored with the classes of the data",
            where=f"{source.file}: [data]",
            cure="leave it out, and name the classes of the model",
        )
    return DatasetLabels(source.open())
