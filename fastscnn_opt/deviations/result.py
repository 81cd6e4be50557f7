"""Where the values of two models part, as objects, JSON and a table for notebooks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastscnn_opt.html import html_table
from fastscnn_opt.text import counted, joined

HEADINGS = (
    ("tensor", False), ("operators", False), ("SNR dB", True), ("at end", True), ("largest", True),
    ("relative", True), ("cosine", True), ("", False),
)  # fmt: skip
"""The columns of the table, and whether they hold figures."""

_MARKED = 5
"""Layers that are marked because most of the noise at the end comes from them."""


@dataclass(frozen=True)
class TensorDeviation:
    """How much a tensor of the second model, b, deviates from that of the first, a, over all images.

    Attributes
    ----------
    tensor, other
        Its name in the first model, and in the second.
    operators
        What computes it in the first model from the compared tensors before it, such as ``Conv+Relu``.
    max_abs, relative
        The largest absolute deviation of an element; the same by the largest magnitude of a. None if an element is
        infinite or no number in one model only; the second also if a is zero.
    cosine
        The cosine of the angle between a and b; None if one of them is zero or not finite.
    snr_db
        10 log10(sum a^2 / sum (a - b)^2); None if there is no noise, or nothing else (`same` tells which).
    end_db
        The ratio in the last layers, on the first image, for the noise that arises in this layer. None if none arises,
        if no tensor is beyond the limit, and for tensors that are computed without weights.
    same
        Whether all values are equal.
    rescaled
        Whether each channel of b was divided by a factor of its own for the two ratios, because the channels have
        another scale in the second model, as `int8` gives them.
    is_beyond
        Whether `snr_db` is below the limit.
    """

    tensor: str
    other: str
    operators: str
    max_abs: float | None
    relative: float | None
    cosine: float | None
    snr_db: float | None
    end_db: float | None
    same: bool
    rescaled: bool
    is_beyond: bool


@dataclass(frozen=True)
class ValuesDiff:
    """The values of two models, tensor by tensor.

    Attributes
    ----------
    min_snr_db
        The limit.
    images
        How many images both models ran on; 0 for a generated input.
    rows
        The compared tensors, in topological order of the first model.
    only_first, only_second
        Float tensors without a partner of the same shape, by name.
    """

    min_snr_db: float
    images: int
    rows: list[TensorDeviation]
    only_first: list[str]
    only_second: list[str]

    @property
    def first_beyond(self) -> TensorDeviation | None:
        """The first tensor beyond the limit."""
        return next((row for row in self.rows if row.is_beyond), None)

    @property
    def worst(self) -> list[TensorDeviation]:
        """The layers from which more noise reaches the end than the limit allows in all, those with the most first."""
        harmful = [row for row in self.rows if row.end_db is not None and row.end_db < self.min_snr_db]
        return sorted(harmful, key=lambda row: row.end_db or 0.0)

    def to_json(self) -> dict[str, Any]:
        """Return what `diff --values --format json` prints."""
        first = self.first_beyond
        return {
            "min_snr_db": self.min_snr_db,
            "images": self.images,
            "first_beyond": first and first.tensor,
            "worst": [row.tensor for row in self.worst],
            "tensors": [vars(row) for row in self.rows],
            "only_first": self.only_first,
            "only_second": self.only_second,
        }

    def cells(self) -> list[list[str]]:
        """Return the rows of the table; the layers that most noise comes from are marked."""
        ranks = {row.tensor: f"worst {rank}" for rank, row in enumerate(self.worst[:_MARKED], 1)}
        return [
            [
                row.tensor,
                row.operators,
                "same" if row.same else _figure(row.snr_db, ".1f"),
                _figure(row.end_db, ".1f"),
                _figure(row.max_abs, ".3g"),
                _figure(row.relative, ".2g"),
                _figure(row.cosine, ".6f"),
                ", ".join(filter(None, [ranks.get(row.tensor), "beyond" * row.is_beyond, "rescaled" * row.rescaled])),
            ]
            for row in self.rows
        ]

    def summary(self) -> list[str]:
        """Return what the table says, in sentences."""
        first, images = self.first_beyond, counted(self.images, "image") if self.images else "a generated input"
        unpaired = f"{len(self.only_first)} of A and {len(self.only_second)} of B have no partner"
        lines = [f"{counted(len(self.rows), 'tensor')} compared on {images}; {unpaired}"]
        if first is None:
            return [*lines, f"no tensor is below {self.min_snr_db:g} dB"]
        lines.append(f"the first tensor below {self.min_snr_db:g} dB is {first.tensor}")
        if self.worst:
            lines.append(
                f"most of the noise at the end comes from {joined([row.tensor for row in self.worst[:_MARKED]])}"
            )
        return lines

    def _repr_html_(self) -> str:
        """Show the tensors as a table in a notebook."""
        return html_table(HEADINGS, self.cells())


def _figure(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
