"""The texts of the variant table: its headings, and the cells of its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastscnn_opt.rewriting.contract import Contract
from fastscnn_opt.scoring.tables.row import SPEED_FIGURES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastscnn_opt.scoring.records import StepSummary
    from fastscnn_opt.scoring.reference import ReferenceRow
    from fastscnn_opt.scoring.tables.row import TableRow

Heading = tuple[str, bool]
"""A column's heading, and whether it holds figures."""

ONE_RUN: tuple[Heading, ...] = (
    ("variant", False), ("target", False), ("batch", True), ("contract", False), ("pixAcc %", True),
    ("mIoU %", True), ("drop", True), ("ms", True), ("p99 ms", True), ("fps", True), ("ratio [95 %]", True),
    ("size MB", True), ("peak MB", True), ("status", False), ("reason", False),
)  # fmt: skip

UNKNOWN = "-"
"""The cell of an unknown figure."""


def contract_of(steps: Sequence[StepSummary]) -> str:
    """Return the promises of a row's passes in short, ``exact ✓, lossy``; a tick means that all of these were kept."""
    parts = []
    for contract in Contract:
        verified = [step.verified for step in steps if step.contract is contract]
        if verified:
            parts.append(contract + (" ✓" if all(verified) else ""))
    return ", ".join(parts) or "as is"


def cells(row: TableRow) -> list[str]:
    """Return a row as the texts of `ONE_RUN`."""
    interval = f" [{row.ratio_low:.2f}, {row.ratio_high:.2f}]" if row.ratio is not None else ""
    return [
        row.variant,
        row.target,
        str(row.batch),
        contract_of(row.steps) if row.model else UNKNOWN,
        number(row.pixAcc, 2, 100),
        number(row.mIoU, 2, 100),
        number(row.mIoU_drop, 2) + (" (too much)" if row.gate == "failed" else ""),
        number(row.median_ms, 2),
        number(row.p99_ms, 2),
        number(row.fps, 2) + (f" (card {row.fps_per_card:.2f})" if row.fps_per_card else ""),
        number(row.ratio, 2) + interval,
        number(row.model_bytes, 2, 1e-6),
        number(row.peak_rss_bytes, 0, 1e-6),
        row.status,
        row.reason + (f"; reproduce it with: {row.reproduce}" if row.reproduce else ""),
    ]


FLAT = (
    "variant", "passes", "target", "batch", "status", "pixAcc", "mIoU", "mIoU_all", "mIoU_drop", "gate", *SPEED_FIGURES,
    "model_bytes", "peak_rss_bytes", "reason", "reproduce",
)  # fmt: skip
"""The keys of a row that a spreadsheet gets, one column each, in full precision."""


def flat_cells(row: Mapping[str, Any]) -> list[str]:
    """Return a row, as JSON has it, as the texts of `FLAT`; unknown figures are empty."""
    return ["" if row.get(key) is None else str(row[key]) for key in FLAT]


def published_cells(row: ReferenceRow) -> list[str]:
    """Return a published row as the texts of `ONE_RUN`."""
    return [
        row.variant,
        row.target,
        UNKNOWN if row.batch is None else str(row.batch),
        UNKNOWN,
        number(row.pixAcc, 2),
        number(row.mIoU, 2),
        UNKNOWN,
        _as_published(row.mean_ms),
        UNKNOWN,
        _as_published(row.fps),
        UNKNOWN,
        UNKNOWN,
        UNKNOWN,
        "published",
        row.note or row.data,
    ]


def _as_published(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:g}"


def number(value: float | None, digits: int, scale: float = 1.0) -> str:
    """Return a figure, times `scale`, with `digits` behind the point."""
    return UNKNOWN if value is None else f"{round(value * scale, digits) + 0.0:.{digits}f}"  # + 0.0: no -0.00
