"""The accuracy of label maps: one confusion matrix over all pixels, and what follows from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt.data.masks import ignored_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class ConfusionMatrix:
    """Pixels by class in the label map and class in the prediction.

    Attributes
    ----------
    classes
        Names of the classes, C of them.
    counts
        int64 of shape (C, C + 1): rows are labels, columns are predictions, the last one those of no class of the data,
        as a model with more classes than the data makes them.
    """

    classes: tuple[str, ...]
    counts: NDArray[np.int64]

    @classmethod
    def empty(cls, classes: Sequence[str]) -> ConfusionMatrix:
        """Return a matrix without any pixel."""
        return cls(tuple(classes), np.zeros((len(classes), len(classes) + 1), dtype=np.int64))

    def update(self, label: NDArray[np.unsignedinteger], prediction: NDArray[np.integer]) -> None:
        """Count the pixels of one or more label maps.

        Parameters
        ----------
        label
            Classes, any shape; pixels of `ignored_value` are left out.
        prediction
            Classes of the data, or any larger number for no class of them; same shape.

        Raises
        ------
        ValueError
            The shapes differ, or a value is out of range.
        """
        if label.shape != prediction.shape:
            raise ValueError(f"label {label.shape} and prediction {prediction.shape} differ in shape")
        if prediction.size and prediction.min() < 0:
            raise ValueError("a prediction is negative")
        count = len(self.classes)
        columns, ignored = count + 1, ignored_value(count)
        labels, predictions = label.ravel(), prediction.ravel()
        rows, outside = ignored + 1, False
        if count > 255:  # a row for each value of 16 bits would take up to gigabytes
            outside = bool(((labels >= count) & (labels != ignored)).any())
            labels, rows = np.minimum(labels, count), count + 1
        cells = np.multiply(labels, columns, dtype=np.uint16 if rows * columns <= 1 << 16 else np.int64)
        if np.iinfo(predictions.dtype).max > count:
            predictions = np.minimum(predictions, count)
        np.add(cells, predictions, out=cells, casting="unsafe")
        by_label = np.bincount(cells, minlength=rows * columns).reshape(rows, columns)
        if outside or (count <= 255 and by_label[count:ignored].any()):
            raise ValueError(f"a label lies outside 0 to {count - 1} and {ignored}")
        np.add(self.counts, by_label[:count], out=self.counts)

    def merge(self, other: ConfusionMatrix) -> ConfusionMatrix:
        """Return the matrix of both sets of pixels."""
        return ConfusionMatrix(self.classes, self.counts + other.counts)

    @property
    def pixels(self) -> int:
        """Number of labelled pixels."""
        return int(self.counts.sum())

    @property
    def pix_acc(self) -> float:
        """Share of labelled pixels that are right; NaN without any."""
        return float(self.counts.trace() / self.pixels) if self.pixels else math.nan

    @property
    def iou(self) -> dict[str, float | None]:
        """Intersection over union of each class; None for a class that neither labels nor predictions have."""
        right = self.counts.diagonal()
        union = self.counts[:, :-1].sum(axis=0) + self.counts.sum(axis=1) - right
        return {
            name: float(hit / every) if every else None
            for name, hit, every in zip(self.classes, right, union, strict=True)
        }

    @property
    def miou(self) -> float:
        """Mean IoU over the classes that are present, as the Cityscapes scripts have it; NaN without any."""
        present = [value for value in self.iou.values() if value is not None]
        return math.fsum(present) / len(present) if present else math.nan

    @property
    def miou_all(self) -> float:
        """Mean IoU over all classes of the data, an absent one counted as 0, as SegmenTron has it."""
        return math.fsum(value or 0.0 for value in self.iou.values()) / len(self.classes)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as fractions, with the keys that `eval` prints; NaN figures become None."""
        figures = {"pixAcc": self.pix_acc, "mIoU": self.miou, "mIoU_all": self.miou_all}
        return {
            **{key: None if math.isnan(value) else value for key, value in figures.items()},
            "iou": self.iou,
            "pixels": self.pixels,
        }

    def to_lists(self) -> list[list[int]]:
        """Return the counts for records; without the last column where every prediction is a class of the data."""
        counts = self.counts if self.counts[:, -1].any() else self.counts[:, :-1]
        lists: list[list[int]] = counts.tolist()
        return lists
