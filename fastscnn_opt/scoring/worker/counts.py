"""What a worker counts over some images, and the accuracy over all of them."""

# Without `from __future__ import annotations`, because pydantic reads the types of the fields.
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastscnn_opt.html import html_table
from fastscnn_opt.machine import peak_rss_bytes
from fastscnn_opt.scoring.records import AccuracyDetails, AccuracyFigures

if TYPE_CHECKING:
    from fastscnn_opt.measuring.accuracy import Accuracy


@dataclass(frozen=True)
class Evaluation:
    """The accuracy of an artefact, and the most physical memory that its process held until then."""

    accuracy: AccuracyFigures
    details: AccuracyDetails
    peak_rss_bytes: int

    def _repr_html_(self) -> str:
        """Show the accuracy in percent in a notebook."""
        found = self.accuracy
        figures = {"pixAcc": found.pixAcc, "mIoU": found.mIoU, "mIoU_all": found.mIoU_all, **found.iou}
        rows = [[name, "absent" if share is None else f"{100 * share:.2f}"] for name, share in figures.items()]
        return html_table([("", False), ("%, emulated" if found.emulated else "%", True)], rows)


@dataclass(frozen=True)
class Counts:
    """What was counted over some images, as it crosses to another process; see `measuring.accuracy.Accuracy`.

    `confusion` has a row for each of `classes`, `stages_ms` the times of each stage per image, and `notes` what was
    assumed about the model.
    """

    classes: tuple[str, ...]
    images: int
    confusion: list[list[int]]
    ignored: int
    infinite: list[bool]
    stages_ms: dict[str, list[float]]
    notes: tuple[str, ...]
    emulated: bool
    peak_rss_bytes: int

    @classmethod
    def of(cls, found: "Accuracy", notes: Sequence[str], *, emulated: bool) -> "Counts":
        """Return what this process has counted."""
        return cls(
            found.confusion.classes, found.images, found.confusion.counts.tolist(), found.ignored,
            [bool(infinite) for infinite in found.infinite], found.stages.samples_ms, tuple(notes), emulated,
            peak_rss_bytes(),
        )  # fmt: skip


def evaluation_of(parts: Sequence[Counts]) -> Evaluation:
    """Return the accuracy over the images of all `parts`, which are of the same model.

    Raises DataError if no pixel at all is labelled.
    """
    import numpy as np

    from fastscnn_opt.measuring.accuracy import Accuracy
    from fastscnn_opt.measuring.metric import ConfusionMatrix
    from fastscnn_opt.measuring.plausibility import implausible
    from fastscnn_opt.measuring.predicting import StageTimes

    first = parts[0]
    found = Accuracy(
        sum(part.images for part in parts),
        ConfusionMatrix(first.classes, np.sum([np.array(part.confusion, np.int64) for part in parts], axis=0)),
        sum(part.ignored for part in parts),
        StageTimes({stage: [ms for part in parts for ms in part.stages_ms[stage]] for stage in first.stages_ms}),
        [infinite for part in parts for infinite in part.infinite],
    )
    found.check()
    details = AccuracyDetails(
        found.confusion.to_lists(), found.stages.medians_ms(), notes=(*first.notes, *implausible(found))
    )
    figures = AccuracyFigures(**found.to_json(), emulated=first.emulated)
    return Evaluation(figures, details, max(part.peak_rss_bytes for part in parts))
