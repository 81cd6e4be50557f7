"""Compare two runs: which rows got better or worse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastscnn_opt.report.content import class_losses, label_in
from fastscnn_opt.scoring.pareto import NOTICEABLE
from fastscnn_opt.scoring.records import Status
from fastscnn_opt.scoring.tables.comparison import other_places, side_by_side
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from fastscnn_opt.report.content import ReportContent, ReportRow
    from fastscnn_opt.scoring.tables.comparison import ComparedRow
    from fastscnn_opt.scoring.tables.row import TableRow

_POINTS = 0.05
"""Change of mIoU in points that counts; another build of an engine may cause less, by breaking ties differently."""

_TIMES = 1.05
"""Change of speed that counts; times of two sessions are not paired and vary by about this much."""


def compare(first: ReportContent, second: ReportContent) -> dict[str, Any]:
    """Return the rows of two runs side by side with a verdict on each, for the template.

    A row is better if its mIoU or its speed improved by more than the thresholds above and neither got worse. It is
    worse in the opposite case; otherwise it is mixed, or the same.
    """
    table = side_by_side(first.run, second.run)
    here = [compared.first for compared in table]
    rows = [_row(compared, label_in(compared.first, here), first, second) for compared in table]
    return {"first": str(first.run.folder), "note": _note(first, second, rows), "rows": rows}


def _row(compared: ComparedRow, label: str, first: ReportContent, second: ReportContent) -> dict[str, Any]:
    row, other = compared.first, compared.second
    points, times = compared.miou_change, compared.fps_ratio
    verdict, tone = _verdict(row, other, points, times)
    return {
        "label": label,
        "miou_then": _accuracy(row),
        "miou_now": _accuracy(other),
        "miou_change": "" if points is None else f"{points:+.2f}{compared.mark}",
        "worst": _worst(_find(first, row), _find(second, row)),
        "fps_then": _text(row.fps, 2),
        "fps_now": _text(other.fps if other else None, 2),
        "times": _text(times, 2),
        "verdict": verdict,
        "tone": tone,
        "reason": other.reason if other and other.status is not Status.OK else "",
    }


def _verdict(row: TableRow, other: TableRow | None, points: float | None, times: float | None) -> tuple[str, str]:
    """Return the verdict in words, and its tone: good, bad or neither."""
    if row.status is Status.ABSENT:
        return "new", ""
    if other is None:
        return "gone", ""
    if (row.status is Status.OK) != (other.status is Status.OK):
        return ("works now", "good") if other.status is Status.OK else (f"{other.status} now", "bad")
    if other.status is not Status.OK:
        return f"still {other.status}", ""
    changes = []
    if points is not None and abs(points) >= _POINTS:
        changes.append(("more accurate", "good") if points > 0 else ("less accurate", "bad"))
    if times is not None and not 1 / _TIMES < times < _TIMES:
        changes.append(("faster", "good") if times > 1 else ("slower", "bad"))
    if not changes:
        return "same", ""
    tones = {tone for _, tone in changes}
    return ", ".join(words for words, _ in changes), tones.pop() if len(tones) == 1 else ""


def _worst(before: ReportRow | None, after: ReportRow | None) -> str:
    """Return the class that lost the most IoU from one run to the other."""
    if before is None or after is None:
        return ""
    losses = class_losses(before, after)
    worst = max(losses, key=lambda name: losses[name], default=None)
    return "" if worst is None or losses[worst] < NOTICEABLE else f"{worst} {-losses[worst]:+.2f}"


def _find(content: ReportContent, row: TableRow) -> ReportRow | None:
    return next((entry for entry in content.entries if entry.row.identity == row.identity), None)


def _note(first: ReportContent, second: ReportContent, rows: list[dict[str, Any]]) -> str:
    better, worse = (sum(row["tone"] == tone for row in rows) for tone in ("good", "bad"))
    words = [f"Of {counted(len(rows), 'row')}, {better or 'none'} got better and {worse or 'none'} got worse."]
    one, other = first.run.description, second.run.description
    if one.data.key != other.data.key:
        words.append("The runs are on different images, so a change of accuracy may come from these.")
    if places := other_places(first.run, second.run):
        words.append(f"{places[0].upper()}{places[1:]}.")
    else:
        words.append(f"Times of two sessions are not paired, so a speed counts as changed from {_TIMES:g} times on.")
    return " ".join(words)


def _accuracy(row: TableRow | None) -> str:
    return "" if row is None or row.mIoU is None else _text(row.mIoU, 2, 100) + row.mark


def _text(value: float | None, digits: int, scale: float = 1.0) -> str:
    return "" if value is None else f"{value * scale:.{digits}f}"
