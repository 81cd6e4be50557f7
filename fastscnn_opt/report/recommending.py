"""Recommend one row for each target, name the rows that are as fast, and state the work left to the host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastscnn_opt.report.content import ReportContent, ReportRow

_SHARE = 0.05
"""Host work that differs by less than this share of the engine's time is not mentioned."""


@dataclass(frozen=True)
class Recommendation:
    """The row recommended on a target.

    `ties` are other rows whose speed intervals overlap that of the fastest row. `affordable` are all rows of the target
    that lose little enough mIoU, the fastest first.
    """

    entry: ReportRow
    ties: tuple[ReportRow, ...]
    affordable: tuple[ReportRow, ...]


def recommend(content: ReportContent) -> list[Recommendation]:
    """Return, for each target, the fastest row whose loss of mIoU is affordable.

    Rows whose 95 % intervals overlap that of the fastest row count as equally fast. Among these, the row that needs the
    least time including the host's work is recommended, if that work was recorded for all of them.
    """
    affordable: dict[str, list[ReportRow]] = {}
    for entry in content.complete:
        drop = entry.row.mIoU_drop
        if entry.row.status == "ok" and drop is not None and drop <= content.affordable_drop:
            affordable.setdefault(entry.row.target, []).append(entry)
    return [_recommendation(sorted(rows, key=_engine_ms)) for rows in affordable.values()]


def _recommendation(rows: Sequence[ReportRow]) -> Recommendation:
    best = [entry for entry in rows if entry is rows[0] or _overlap(entry, rows[0])]
    chosen = best[0] if any(entry.host_ms is None for entry in best) else min(best, key=_whole_ms)
    return Recommendation(chosen, tuple(entry for entry in best if entry is not chosen), tuple(rows))


def _overlap(entry: ReportRow, fastest: ReportRow) -> bool:
    """Return whether the interval of a row overlaps that of the fastest; both are ratios to the same baseline."""
    high, low = entry.row.ratio_high, fastest.row.ratio_low
    return high is not None and low is not None and bool(high >= low)


def _engine_ms(entry: ReportRow) -> float:
    return 1000 / entry.fps


def _whole_ms(entry: ReportRow) -> float:
    """Return the time of an image in the engine and before and after it, in ms."""
    return _engine_ms(entry) + (entry.host_ms or 0.0)


def host_work(choice: Recommendation) -> str:
    """Return a sentence on the host's work, which the engine's times leave out; the empty text if rows hardly differ.

    A model that takes raw images and returns label maps leaves less work to the host.
    """
    known = [entry for entry in choice.affordable if entry.host_ms is not None]
    own = choice.entry.host_ms
    others = [float(entry.host_ms or 0.0) for entry in known if entry is not choice.entry]
    if own is None or not others or max(own, *others) - min(own, *others) < _SHARE * _engine_ms(choice.entry):
        return ""
    span = f"{min(others):.1f}" if len(others) == 1 else f"{min(others):.1f} to {max(others):.1f}"
    text = (
        "The speed is that of the engine alone. The work of the host before and after it (normalising, "
        f"taking labels from logits) took {own:.1f} ms for “{choice.entry.short}” and {span} for the others"
    )
    quickest = min(known, key=_whole_ms)
    if _whole_ms(choice.entry) - _whole_ms(quickest) < _SHARE * _engine_ms(choice.entry):
        return f"{text}."
    whole = f"{_whole_ms(quickest):.1f} ms per image, against {_whole_ms(choice.entry):.1f} ms"
    return f"{text}; with both added up, “{quickest.short}” is the quickest: {whole}."
