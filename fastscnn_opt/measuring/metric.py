"""The accuracy of label maps: one confusion matrix over all pixels, and the figures that follow from it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt.data.classes import CLASSES, IGNORE

if TYPE_CHECKING:
    from numpy.typing import NDArray

_COUNT = len(CLASSES)
_LABELS = 256
"""Values that a byte of a label map can have; counting them all is cheaper than masking the ignored ones."""


@dataclass(frozen=True)
class ConfusionMatrix:
    """Pixels by class in the label map (rows) and class in the prediction (columns), int64 of shape (19, 19)."""

    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros((_COUNT, _COUNT), dtype=np.int64))

    def update(self, label: NDArray[np.uint8], prediction: NDArray[np.integer]) -> None:
        """Count the pixels of one or more label maps.

        Parameters
        ----------
        label
            TrainIds, any shape; pixels of 255 are left out.
        prediction
            Classes 0 to 18, same shape.

        Raises
        ------
        ValueError
            The shapes differ, or a value is out of range.
        """
        if label.shape != prediction.shape:
            raise ValueError(f"label {label.shape} and prediction {prediction.shape} differ in shape")
        if prediction.size and not (prediction.min() >= 0 and prediction.max() < _COUNT):
            raise ValueError(f"a prediction lies outside 0 to {_COUNT - 1}")
        cells = np.multiply(label.ravel(), _COUNT, dtype=np.uint16)
        np.add(cells, prediction.ravel(), out=cells, casting="unsafe")
        by_label = np.bincount(cells, minlength=_LABELS * _COUNT).reshape(_LABELS, _COUNT)
        if by_label[_COUNT:IGNORE].any():
            raise ValueError(f"a label lies outside 0 to {_COUNT - 1} and {IGNORE}")
        np.add(self.counts, by_label[:_COUNT], out=self.counts)

    def merge(self, other: ConfusionMatrix) -> ConfusionMatrix:
        """Return the matrix of both sets of pixels."""
        return ConfusionMatrix(self.counts + other.counts)

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
        union = self.counts.sum(axis=0) + self.counts.sum(axis=1) - right
        return {
            name: float(hit / every) if every else None for name, hit, every in zip(CLASSES, right, union, strict=True)
        }

    @property
    def miou(self) -> float:
        """Mean IoU over the classes that are present, as the Cityscapes scripts have it; NaN without any."""
        present = [value for value in self.iou.values() if value is not None]
        return math.fsum(present) / len(present) if present else math.nan

    @property
    def miou_all(self) -> float:
        """Mean IoU over all 19 classes, an absent one counted as 0, as SegmenTron has it."""
        return math.fsum(value or 0.0 for value in self.iou.values()) / _COUNT

    def to_json(self) -> dict[str, Any]:
        """Return the figures as fractions, with the keys that `eval` prints; NaN figures become None."""
        figures = {"pixAcc": self.pix_acc, "mIoU": self.miou, "mIoU_all": self.miou_all}
        return {
            **{key: None if math.isnan(value) else value for key, value in figures.items()},
            "iou": self.iou,
            "pixels": self.pixels,
        }
