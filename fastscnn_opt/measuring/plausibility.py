"""Say which results of an evaluation are so unlikely that data or preprocessing may be described wrongly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastscnn_opt.measuring.accuracy import Accuracy
    from fastscnn_opt.measuring.metric import ConfusionMatrix

_SLIGHT_AGREEMENT = 0.2
"""Cohen's kappa up to which Landis and Koch (1977) call an agreement slight."""

_MOSTLY_IGNORED = 0.5
_ONE_CLASS = 0.95
_COMMON = 0.05
"""Shares of pixels: ignored ones, those of one class, and those of a class that a trained model should find."""


def implausible(accuracy: Accuracy) -> list[str]:
    """Return what is unlikely in the result of an evaluation, one sentence each, with the likely cause."""
    confusion = accuracy.confusion
    shares = confusion.counts.sum(axis=1) / confusion.pixels
    ignored = accuracy.ignored / (accuracy.ignored + confusion.pixels)
    notes = []
    if count := sum(accuracy.infinite):
        notes.append(
            f"the output holds infinities in {count} of {counted(len(accuracy.infinite), 'run')}: values are beyond "
            "the range of their type, 65504 for float16; check the weights and the preprocessing"
        )
    if ignored > _MOSTLY_IGNORED:
        notes.append(
            f"{ignored:.0%} of the pixels are ignored; check label_map, ignore_index and whether the masks hold the "
            "numbers that the description says"
        )
    if shares.max() > _ONE_CLASS:
        notes.append(
            f"{shares.max():.0%} of labelled pixels are {confusion.classes[int(shares.argmax())]!r}; check classes, "
            "label_map and ignore_index (masks of 0 and 255 need label_map = { 0 = 0, 255 = 1 } and another "
            "ignore_index)"
        )
    elif kappa(confusion) < _SLIGHT_AGREEMENT:
        notes.append(
            f"predictions agree with the labels hardly better than chance (kappa {kappa(confusion):.2f}); check the "
            "preprocessing, the order of the classes (prediction_map) and which output is read"
        )
    return notes + _never_predicted(confusion, shares)


def _never_predicted(confusion: ConfusionMatrix, shares: NDArray[np.float64]) -> list[str]:
    predicted = confusion.counts.sum(axis=0)[:-1]
    return [
        f"the model never predicts {name!r}, which {share:.0%} of the labelled pixels are; if it is no class of the "
        "model, ignore it (ignore_index or label_map), and if the model numbers it otherwise, say so in prediction_map"
        for name, share, count in zip(confusion.classes, shares, predicted, strict=True)
        if share > _COMMON and not count
    ]


def kappa(confusion: ConfusionMatrix) -> float:
    """Return Cohen's kappa, the agreement beyond chance: 1 if all is right, 0 by chance; 0 where chance is certain."""
    total = confusion.pixels
    rows, columns = confusion.counts.sum(axis=1), confusion.counts.sum(axis=0)[:-1]
    by_chance = float(np.dot(rows / total, columns / total))
    return (confusion.pix_acc - by_chance) / (1 - by_chance) if by_chance < 1 else 0.0
