"""The texts of the variant table: its headings, and the cells of its rows."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, TypeVar

from fastscnn_opt.rewriting.contract import Contract
from fastscnn_opt.scoring.tables.row import SPEED_FIGURES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastscnn_opt.measuring.latency import Throughput
    from fastscnn_opt.scoring.records import StepSummary
    from fastscnn_opt.scoring.reference import ReferenceRow
    from fastscnn_opt.scoring.tables.row import TableRow

Cell = TypeVar("Cell")

Heading = tuple[str, bool]
"""A column's heading, and whether it holds figures."""

STREAMS: tuple[Heading, ...] = (
    ("streams x threads", True), ("streams fps [95 %]", True), ("streams gain [95 %]", True),
)  # fmt: skip
"""What is known of several requests at once; a table has these columns only if a row was timed so."""

HOST: Heading = ("host", False)
"""The machine that timed a row; a table has this column only if there were several."""

ONE_RUN: tuple[Heading, ...] = (
    ("variant", False), ("target", False), ("batch", True), ("contract", False), ("pixAcc %", True),
    ("mIoU %", True), ("drop", True), ("ms", True), ("p99 ms", True), ("fps", True), ("ratio [95 %]", True),
    *STREAMS, HOST, ("size MB", True), ("peak MB", True), ("status", False), ("reason", False),
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
        accuracy(row, row.pixAcc, 100),
        accuracy(row, row.mIoU, 100),
        accuracy(row, row.mIoU_drop) + (" (too much)" if row.gate == "failed" else ""),
        number(row.median_ms, 2),
        number(row.p99_ms, 2),
        number(row.fps, 2) + (f" (card {row.fps_per_card:.2f})" if row.fps_per_card else ""),
        number(row.ratio, 2) + interval,
        *stream_cells(row.throughput),
        row.host or UNKNOWN,
        number(row.model_bytes, 2, 1e-6),
        number(row.peak_rss_bytes, 0, 1e-6),
        row.status,
        row.reason + (f"; reproduce it with: {row.reproduce}" if row.reproduce else ""),
    ]


def stream_cells(found: Throughput | None) -> list[str]:
    """Return a throughput as the texts of `STREAMS`."""
    if found is None:
        return [UNKNOWN] * len(STREAMS)
    return [
        streams_text(found.threads),
        f"{found.fps:.2f} [{found.fps_low:.2f}, {found.fps_high:.2f}]",
        f"{found.gain:.2f} [{found.gain_low:.2f}, {found.gain_high:.2f}]",
    ]


def streams_text(threads: Sequence[int]) -> str:
    """Return the threads of each stream as text; streams of 2, 3 and 3 threads are ``1 x 2 + 2 x 3``."""
    return " + ".join(f"{count} x {each}" for each, count in Counter(threads).items())


def as_asked(
    headings: Sequence[Heading], lines: Sequence[list[Cell]], unknown: object = UNKNOWN
) -> tuple[list[Heading], list[list[Cell]]]:
    """Return a table without columns about streams if all their cells are `unknown`, and without a single host."""

    def is_shown(index: int, heading: Heading) -> bool:
        known = {line[index] for line in lines if line[index] != unknown}
        return len(known) > 1 if heading == HOST else bool(known) or heading not in STREAMS

    shown = [index for index, heading in enumerate(headings) if is_shown(index, heading)]
    return [headings[index] for index in shown], [[line[index] for index in shown] for line in lines]


FLAT = (
    "variant", "passes", "target", "batch", "status", "pixAcc", "mIoU", "mIoU_all", "mIoU_drop", "emulated",
    "gate", *SPEED_FIGURES, "host", "device",
    "model_bytes", "peak_rss_bytes", "reason", "reproduce",
)  # fmt: skip
"""The keys of a row that a spreadsheet gets, one column each, in full precision."""


def flat_table(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Return the keys of `FLAT`, and the rows, which are as JSON has them, as their texts; unknown figures are empty.

    Where a row has a throughput, its keys follow, as ``streams_fps``; the threads are as `streams_text` has them.
    """
    flat = [{**row, **_flat_throughput(**row.get("throughput", {}))} for row in rows]
    keys = [*FLAT, *dict.fromkeys(key for row in flat for key in row if key.startswith("streams_"))]
    return keys, [["" if row.get(key) is None else str(row[key]) for key in keys] for row in flat]


def _flat_throughput(threads: Sequence[int] = (), **figures: float) -> dict[str, Any]:
    if not threads:
        return {}
    return {"streams_threads": streams_text(threads), **{f"streams_{key}": value for key, value in figures.items()}}


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
        *stream_cells(None),
        UNKNOWN,
        UNKNOWN,
        UNKNOWN,
        "published",
        row.note or row.data,
    ]


def _as_published(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:g}"


def accuracy(row: TableRow | None, value: float | None, scale: float = 1.0) -> str:
    """Return a figure of the accuracy of a row with two digits, and a mark if it is emulated."""
    return number(value, 2, scale) + (row.mark if row is not None and value is not None else "")


def number(value: float | None, digits: int, scale: float = 1.0) -> str:
    """Return a figure, times `scale`, with `digits` behind the point."""
    return UNKNOWN if value is None else f"{round(value * scale, digits) + 0.0:.{digits}f}"  # + 0.0: no -0.00
